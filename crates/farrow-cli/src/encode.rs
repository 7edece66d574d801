//! Rows as bytes of a format.

use std::io::{BufWriter, Write};

use arrow_array::RecordBatch;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::format::Format;

/// Bytes written at a time.
const PIECE: usize = 1 << 20;

/// A row group is ended at about so many bytes, which are held until then.
const ROW_GROUP: usize = 64 << 20;

/// Writes rows in a format, batch by batch.
pub(crate) enum Encoder<W: Write + Send> {
    File(Box<FileWriter<BufWriter<W>>>),
    Stream(Box<StreamWriter<BufWriter<W>>>),
    Parquet(Box<ArrowWriter<W>>),
    Csv(Box<arrow_csv::Writer<BufWriter<W>>>),
}

impl<W: Write + Send> Encoder<W> {
    pub(crate) fn new(format: Format, delimiter: u8, schema: &Schema, out: W) -> anyhow::Result<Self> {
        let buffered = |out| BufWriter::with_capacity(PIECE, out);
        Ok(match format {
            Format::Ipc => Self::File(Box::new(FileWriter::try_new(buffered(out), schema)?)),
            Format::Stream => Self::Stream(Box::new(StreamWriter::try_new(buffered(out), schema)?)),
            Format::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                Self::Parquet(Box::new(ArrowWriter::try_new(out, schema.clone().into(), Some(properties))?))
            }
            Format::Csv => {
                let mut writer =
                    arrow_csv::WriterBuilder::new().with_delimiter(delimiter).build(buffered(out));
                // A frame without rows has columns, too.
                writer.write(&RecordBatch::new_empty(schema.clone().into()))?;
                Self::Csv(Box::new(writer))
            }
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        match self {
            Self::File(writer) => writer.write(batch)?,
            Self::Stream(writer) => writer.write(batch)?,
            Self::Csv(writer) => writer.write(batch)?,
            Self::Parquet(writer) => {
                writer.write(batch)?;
                if writer.in_progress_size() > ROW_GROUP {
                    writer.flush()?;
                }
            }
        }
        Ok(())
    }

    /// Writes the end, and returns what was written to.
    pub(crate) fn finish(self) -> anyhow::Result<W> {
        let buffered = match self {
            Self::Parquet(writer) => return Ok(writer.into_inner()?),
            Self::File(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
            Self::Stream(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
            Self::Csv(writer) => writer.into_inner(),
        };
        Ok(buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?)
    }
}
