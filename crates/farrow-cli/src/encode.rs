//! Rows as bytes of a format.

mod held;
mod json;
mod keys;
mod text;

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

pub(crate) use self::keys::{Keys, widened_batch, widened_schema};
pub(crate) use self::text::formatter;

/// Bytes written at a time.
const PIECE: usize = 1 << 20;

/// A row group is ended at about so many bytes, which are held until then.
const ROW_GROUP: usize = 64 << 20;

/// Rows of CSV that are made at a time.
const CSV_ROWS: usize = 1024;

/// Characters of a type or a reason that an error shows.
const WORDS: usize = 300;

/// Writes rows in a format, batch by batch.
pub(crate) struct Encoder<W: Write + Send> {
    format: Format,
    /// As Parquet holds them.
    held: Schema,
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
    /// Begins with a schema that [`check_types`] lets pass.
    pub(crate) fn new(format: Format, schema: &Schema, out: W) -> anyhow::Result<Self> {
        let buffered = |out| BufWriter::with_capacity(PIECE, out);
        let held = held::schema(schema);
        let writer = match format {
            Format::Ipc => Writer::File(Box::new(FileWriter::try_new(buffered(out), schema)?)),
            Format::Stream => Writer::Stream(Box::new(StreamWriter::try_new(buffered(out), schema)?)),
            Format::Parquet => Writer::Parquet(Box::new(parquet(schema, &held, out)?)),
            Format::Csv | Format::Tsv => {
                let builder = arrow_csv::WriterBuilder::new().with_delimiter(format.delimiter());
                let mut writer = builder.build(buffered(out));
                // A frame without rows has columns, too.
                writer.write(&text::without_times(&RecordBatch::new_empty(Arc::new(schema.clone())))?)?;
                Writer::Csv(Box::new(writer))
            }
            Format::Json => Writer::Json(Box::new(json::builder().build(buffered(out)))),
        };
        Ok(Self { format, held, writer })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let written = contained(|| self.write_held(batch)).map_err(Into::into).and_then(|written| written);
        // Encoders do not say which column they fail at.
        written.map_err(|error| failing(self.format, batch).unwrap_or(error))
    }

    fn write_held(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        match &mut self.writer {
            Writer::File(writer) => writer.write(batch)?,
            Writer::Stream(writer) => writer.write(batch)?,
            Writer::Csv(writer) => {
                // Their text is in memory as a whole.
                for first in (0..batch.num_rows()).step_by(CSV_ROWS) {
                    let rows = batch.slice(first, CSV_ROWS.min(batch.num_rows() - first));
                    writer.write(&text::without_times(&rows)?)?;
                }
            }
            Writer::Json(writer) => writer.write(batch)?,
            Writer::Parquet(writer) => {
                writer.write(&held::batch(&self.held, batch)?)?;
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

/// # Errors
/// Of a column whose type the format cannot hold.
pub(crate) fn check_types(format: Format, schema: &Schema) -> anyhow::Result<()> {
    // Arrow IPC has all types.
    if matches!(format, Format::Ipc | Format::Stream) {
        return Ok(());
    }
    schema.fields().iter().try_for_each(|field| try_type(format, field))
}

/// Finds out with a null of it that the format can hold such a column.
fn try_type(format: Format, field: &Field) -> anyhow::Result<()> {
    if format == Format::Parquet && has_values_of_no_bytes(field.data_type()) {
        return Err(refused(format, field, "Parquet has no values of 0 bytes"));
    }
    one_null(format, field).map_err(|error| refused(format, field, &format!("{error:#}")))
}

fn one_null(format: Format, field: &Field) -> anyhow::Result<()> {
    let nullable = Field::clone(field).with_nullable(true);
    contained(|| {
        let null = new_null_array(field.data_type(), 1);
        encode_alone(format, &RecordBatch::try_new(Arc::new(Schema::new(vec![nullable])), vec![null])?)
    })?
}

/// The columns of which the format may lack a value. [`check_values`] says which.
pub(crate) fn doubtful(format: Format, schema: &Schema) -> Vec<&str> {
    let doubtful = schema.fields().iter().filter(|field| format == Format::Parquet && held::is_other(field));
    doubtful.map(|field| field.name().as_str()).collect()
}

/// The columns whose keys may be too narrow in the format for all of a frame. [`Keys`] says which are.
pub(crate) fn narrow(format: Format, schema: &Schema) -> Vec<&str> {
    let narrow =
        |field: &&Arc<Field>| format == Format::Parquet && keys::may_be_too_narrow(field.data_type());
    schema.fields().iter().filter(narrow).map(|field| field.name().as_str()).collect()
}

/// # Errors
/// Of a column with a value that Parquet lacks.
pub(crate) fn check_values(batch: &RecordBatch) -> anyhow::Result<()> {
    batch.columns().iter().zip(batch.schema().fields()).try_for_each(|(column, field)| {
        let held = contained(|| held::column(column)).map_err(anyhow::Error::from);
        let held = held.and_then(|held| Ok(held?));
        held.map(drop).map_err(|error| refused(Format::Parquet, field, &format!("{error:#}")))
    })
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
    let mut encoder = Encoder::new(format, &batch.schema(), std::io::sink())?;
    encoder.write_held(batch)?;
    encoder.end()?;
    Ok(())
}

/// JSON and Arrow IPC hold every type and every value.
fn refused(format: Format, field: &Field, why: &str) -> anyhow::Error {
    let name = match format {
        Format::Csv | Format::Tsv => "CSV",
        Format::Json => "JSON",
        Format::Parquet => "Parquet",
        Format::Ipc | Format::Stream => "Arrow IPC",
    };
    anyhow!(
        "column {}, {}, cannot be written as {name}: {}. Try: `farrow get NAME --format json -o FILE` or `farrow get NAME \
         --format ipc -o FILE`",
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
