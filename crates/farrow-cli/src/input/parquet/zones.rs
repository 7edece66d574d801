//! Zones of timestamps that were seconds. Parquet has milliseconds instead, for which Arrow's reader does not take the
//! zone of the Arrow schema in the file, but UTC.

use std::sync::Arc;

use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::file::metadata::ParquetMetaData;

/// The schema as it is read, with the zones that the file's Arrow schema has.
pub(super) fn restored(read: &SchemaRef, metadata: &ParquetMetaData) -> SchemaRef {
    let Some(written) = written(metadata) else { return read.clone() };
    if written.fields().len() != read.fields().len() {
        return read.clone();
    }
    let fields = read.fields().iter().zip(written.fields()).map(|(read, written)| field(read, written));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), read.metadata().clone()))
}

/// The Arrow schema in the file, if it has one that can be read: it is a hint.
fn written(metadata: &ParquetMetaData) -> Option<Schema> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == ARROW_SCHEMA_META_KEY)?.value.as_ref()?;
    try_schema_from_ipc_buffer(&BASE64_STANDARD.decode(text).ok()?).ok()
}

fn field(read: &FieldRef, written: &FieldRef) -> FieldRef {
    Arc::new(Field::clone(read).with_data_type(data_type(read.data_type(), written.data_type())))
}

fn data_type(read: &DataType, written: &DataType) -> DataType {
    match (read, written) {
        (
            DataType::Timestamp(TimeUnit::Millisecond, Some(_)),
            DataType::Timestamp(TimeUnit::Second, zone @ Some(_)),
        ) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        (_, DataType::Dictionary(_, values)) => data_type(read, values),
        (DataType::List(read), DataType::List(written)) => DataType::List(field(read, written)),
        (DataType::LargeList(read), DataType::LargeList(written)) => {
            DataType::LargeList(field(read, written))
        }
        (DataType::FixedSizeList(read, len), DataType::FixedSizeList(written, _)) => {
            DataType::FixedSizeList(field(read, written), *len)
        }
        (DataType::Map(read, sorted), DataType::Map(written, _)) => {
            DataType::Map(field(read, written), *sorted)
        }
        (DataType::Struct(read), DataType::Struct(written)) if read.len() == written.len() => {
            DataType::Struct(read.iter().zip(written).map(|(read, written)| field(read, written)).collect())
        }
        _ => read.clone(),
    }
}
