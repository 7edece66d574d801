//! Rows as bytes of a format.

mod held;
mod json;

use std::io::{BufWriter, Write};
use std::sync::Arc;

use anyhow::anyhow;
use arrow_array::{RecordBatch, new_null_array};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_json::LineDelimitedWriter;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::contained::contained;
use crate::format::Format;
use crate::output;

pub(crate) use self::held::column as held_column;

/// Bytes written at a time.
const PIECE: usize = 1 << 20;

/// A row group is ended at about so many bytes, which are held until then.
const ROW_GROUP: usize = 64 << 20;

/// Characters of a type or a reason that an error shows.
const WORDS: usize = 300;

/// Writes rows in a format, batch by batch.
pub(crate) struct Encoder<W: Write + Send> {
    format: Format,
    /// As the format holds them.
    schema: Schema,
    writer: Writer<W>,
}

enum Writer<W: Write + Send> {
    File(Box<FileWriter<BufWriter<W>>>),
    Stream(Box<StreamWriter<BufWriter<W>>>),
    Parquet(Box<ArrowWriter<W>>),
    Csv(Box<arrow_csv::Writer<BufWriter<W>>>),
    Json(Box<LineDelimitedWriter<BufWriter<W>>>),
}

impl<W: Write + Send> Encoder<W> {
    /// # Errors
    /// Before a byte is written, of a column whose type the format cannot hold.
    pub(crate) fn new(format: Format, schema: &Schema, out: W) -> anyhow::Result<Self> {
        // Arrow IPC has all types.
        if !matches!(format, Format::Ipc | Format::Stream) {
            schema.fields().iter().try_for_each(|field| try_type(format, field))?;
        }
        Self::untried(format, schema, out)
    }

    fn untried(format: Format, schema: &Schema, out: W) -> anyhow::Result<Self> {
        let buffered = |out| BufWriter::with_capacity(PIECE, out);
        let held = held::schema(format, schema);
        let writer = match format {
            Format::Ipc => Writer::File(Box::new(FileWriter::try_new(buffered(out), schema)?)),
            Format::Stream => Writer::Stream(Box::new(StreamWriter::try_new(buffered(out), schema)?)),
            Format::Parquet => Writer::Parquet(Box::new(parquet(schema, &held, out)?)),
            Format::Csv | Format::Tsv => {
                let builder = arrow_csv::WriterBuilder::new().with_delimiter(format.delimiter());
                let mut writer = builder.build(buffered(out));
                // A frame without rows has columns, too.
                writer.write(&RecordBatch::new_empty(Arc::new(held.clone())))?;
                Writer::Csv(Box::new(writer))
            }
            Format::Json => Writer::Json(Box::new(json::builder().build(buffered(out)))),
        };
        Ok(Self { format, schema: held, writer })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let written = contained(|| self.write_held(batch)).map_err(Into::into).and_then(|written| written);
        // Encoders do not say which column they fail at.
        written.map_err(|error| failing(self.format, batch).unwrap_or(error))
    }

    fn write_held(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let batch = &held::batch(self.format, &self.schema, batch)?;
        match &mut self.writer {
            Writer::File(writer) => writer.write(batch)?,
            Writer::Stream(writer) => writer.write(batch)?,
            Writer::Csv(writer) => writer.write(batch)?,
            Writer::Json(writer) => writer.write(batch)?,
            Writer::Parquet(writer) => {
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
        contained(|| self.end())?
    }

    fn end(self) -> anyhow::Result<W> {
        let buffered = match self.writer {
            Writer::Parquet(writer) => return Ok(writer.into_inner()?),
            Writer::File(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
            Writer::Stream(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
            Writer::Csv(writer) => writer.into_inner(),
            Writer::Json(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
        };
        Ok(buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?)
    }
}

/// `held` is what is written of `schema`. Metadata stand in the footer as such too: readers of `geo` and `pandas` do not
/// all know Arrow's schema.
fn parquet<W: Write + Send>(schema: &Schema, held: &Schema, out: W) -> anyhow::Result<ArrowWriter<W>> {
    let metadata = schema.metadata().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let mut metadata: Vec<_> = metadata.collect();
    metadata.sort_by(|one, other| one.key.cmp(&other.key));
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(metadata))
        .build();
    add_encoded_arrow_schema_to_metadata(&held::declared(schema), &mut properties);
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    Ok(ArrowWriter::try_new_with_options(out, Arc::new(held.clone()), options)?)
}

/// Finds out with a null of it that the format can hold such a column.
fn try_type(format: Format, field: &Field) -> anyhow::Result<()> {
    if format == Format::Parquet && has_values_of_no_bytes(field.data_type()) {
        return Err(refused(format, field, "Parquet has no values of 0 bytes"));
    }
    let nullable = Field::clone(field).with_nullable(true);
    let tried = contained(|| {
        let null = new_null_array(field.data_type(), 1);
        encode_alone(format, &RecordBatch::try_new(Arc::new(Schema::new(vec![nullable])), vec![null])?)
    });
    tried
        .map_err(Into::into)
        .and_then(|tried| tried)
        .map_err(|error| refused(format, field, &format!("{error:#}")))
}

/// The first column of the batch that the format cannot hold, for its values.
fn failing(format: Format, batch: &RecordBatch) -> Option<anyhow::Error> {
    (0..batch.num_columns()).find_map(|at| {
        let schema = batch.schema();
        let tried = contained(|| encode_alone(format, &batch.project(&[at])?));
        let error = tried.map_err(Into::into).and_then(|tried| tried).err()?;
        Some(refused(format, schema.field(at), &format!("{error:#}")))
    })
}

fn encode_alone(format: Format, batch: &RecordBatch) -> anyhow::Result<()> {
    let mut encoder = Encoder::untried(format, &batch.schema(), std::io::sink())?;
    encoder.write_held(batch)?;
    encoder.end()?;
    Ok(())
}

fn refused(format: Format, field: &Field, why: &str) -> anyhow::Error {
    let (name, others) = match format {
        Format::Csv | Format::Tsv => ("CSV", "--format parquet, ipc or json"),
        Format::Json => ("JSON", "--columns with others"),
        Format::Parquet => ("Parquet", "--format ipc"),
        Format::Ipc | Format::Stream => ("Arrow IPC", "--format parquet"),
    };
    anyhow!(
        "column {}, {}, cannot be written as {name}: {}. Try: {others}",
        output::short(field.name(), WORDS),
        output::short(field.data_type(), WORDS),
        output::short(why.trim_end_matches('.'), WORDS)
    )
}

fn has_values_of_no_bytes(r#type: &DataType) -> bool {
    match r#type {
        DataType::FixedSizeBinary(len) => *len == 0,
        DataType::Dictionary(_, values) => has_values_of_no_bytes(values),
        DataType::RunEndEncoded(_, values) => has_values_of_no_bytes(values.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_values_of_no_bytes(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_values_of_no_bytes(field.data_type())),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
