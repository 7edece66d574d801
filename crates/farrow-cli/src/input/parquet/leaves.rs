//! Columns of Parquet as Arrow's reader can give them, with the extension types that their logical types stand for.

use std::sync::Arc;

use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::basic::{LogicalType, Type};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::ColumnDescPtr;

/// Returns the schema that is to be read. A dictionary of the file's Arrow schema that Arrow's reader cannot make is read
/// as its values, as pyarrow does: a pandas Categorical of booleans is a column of booleans. Without an Arrow schema UUIDs
/// and JSON have the extension types of these names.
pub(super) fn readable(read: &SchemaRef, metadata: &ParquetMetaData) -> SchemaRef {
    let pairs = metadata.file_metadata().key_value_metadata();
    let described = pairs.is_some_and(|pairs| pairs.iter().any(|pair| pair.key == ARROW_SCHEMA_META_KEY));
    let mut leaves = Leaves { columns: metadata.file_metadata().schema_descr().columns().iter(), described };
    let fields = read.fields().iter().map(|field| leaves.field(field));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), read.metadata().clone()))
}

/// The columns of the file. Fields without children are in the same order.
struct Leaves<'a> {
    columns: std::slice::Iter<'a, ColumnDescPtr>,
    /// True if the file has an Arrow schema.
    described: bool,
}

impl Leaves<'_> {
    fn field(&mut self, field: &FieldRef) -> FieldRef {
        let r#type = match field.data_type() {
            DataType::List(item) => DataType::List(self.field(item)),
            DataType::LargeList(item) => DataType::LargeList(self.field(item)),
            DataType::ListView(item) => DataType::ListView(self.field(item)),
            DataType::LargeListView(item) => DataType::LargeListView(self.field(item)),
            DataType::FixedSizeList(item, len) => DataType::FixedSizeList(self.field(item), *len),
            DataType::Map(entries, sorted) => DataType::Map(self.field(entries), *sorted),
            DataType::Struct(fields) => {
                DataType::Struct(fields.iter().map(|field| self.field(field)).collect())
            }
            _ => return self.leaf(field),
        };
        Arc::new(Field::clone(field).with_data_type(r#type))
    }

    fn leaf(&mut self, field: &FieldRef) -> FieldRef {
        let Some(column) = self.columns.next() else { return field.clone() };
        match field.data_type() {
            DataType::Dictionary(_, values) if !packs(column.physical_type(), values) => {
                Arc::new(Field::clone(field).with_data_type((**values).clone()))
            }
            r#type if !self.described && field.extension_type_name().is_none() => {
                match (column.logical_type_ref(), r#type) {
                    (Some(LogicalType::Uuid), DataType::FixedSizeBinary(16)) => {
                        extension(field, "arrow.uuid")
                    }
                    (Some(LogicalType::Json), DataType::Utf8) => extension(field, "arrow.json"),
                    _ => field.clone(),
                }
            }
            _ => field.clone(),
        }
    }
}

/// True if Arrow's reader makes dictionaries of such values.
fn packs(stored: Type, values: &DataType) -> bool {
    match stored {
        Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => matches!(
            values,
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
        ),
        Type::INT32 | Type::INT64 | Type::INT96 | Type::FLOAT | Type::DOUBLE => values != &DataType::Null,
        Type::BOOLEAN => false,
    }
}

fn extension(field: &Field, name: &str) -> FieldRef {
    let mut metadata = field.metadata().clone();
    metadata.insert(EXTENSION_TYPE_NAME_KEY.to_owned(), name.to_owned());
    metadata.insert(EXTENSION_TYPE_METADATA_KEY.to_owned(), String::new());
    Arc::new(field.clone().with_metadata(metadata))
}

#[cfg(test)]
mod tests;
