//! Columns as Parquet can hold them, where it lacks their type: the same values in another one.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, TimeUnit};

/// The schema of what [`column()`] gives.
pub(super) fn schema(schema: &Schema) -> Schema {
    mapped_schema(schema, &leaf)
}

/// True for a column that has another type there, which may lack a value.
pub(crate) fn is_other(field: &Field) -> bool {
    mapped(field.data_type(), &leaf) != *field.data_type()
}

/// The Arrow schema that stands in a Parquet file: a reader that knows Arrow has 64-bit dates back as they were. Its
/// seconds are the milliseconds of the file, which Arrow's reader needs to take their zone.
pub(super) fn declared(schema: &Schema) -> Schema {
    mapped_schema(schema, &|r#type| match r#type {
        DataType::Date64 => None,
        other => leaf(other),
    })
}

/// The column as Parquet holds it; no copy where it holds it as it is.
pub(crate) fn column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let wanted = mapped(column.data_type(), &leaf);
    if wanted == *column.data_type() {
        return Ok(column.clone());
    }
    let data = column.to_data();
    if data.child_data().is_empty() {
        // Seconds of year 300,000,000 are no milliseconds of 64 bits: an error, and no null.
        return cast_with_options(column, &wanted, &CastOptions { safe: false, ..CastOptions::default() });
    }
    let children = data.child_data().iter().map(|child| {
        let child = make_array(child.clone());
        self::column(&child).map(|held| held.to_data())
    });
    let children = children.collect::<Result<Vec<_>, _>>()?;
    Ok(make_array(data.into_builder().data_type(wanted).child_data(children).build()?))
}

/// All columns as Parquet holds them; `schema` is [`schema`] of theirs.
pub(super) fn batch(schema: &Schema, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(column);
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(
        Arc::new(schema.clone()),
        columns.collect::<Result<Vec<_>, _>>()?,
        &options,
    )
}

/// A type without children, where Parquet, which has no seconds and one type of dates, holds another instead.
fn leaf(r#type: &DataType) -> Option<DataType> {
    match r#type {
        DataType::Timestamp(TimeUnit::Second, zone) => {
            Some(DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))
        }
        DataType::Time32(TimeUnit::Second) => Some(DataType::Time32(TimeUnit::Millisecond)),
        DataType::Date64 => Some(DataType::Date32),
        _ => None,
    }
}

pub(super) type Leaf<'a> = &'a dyn Fn(&DataType) -> Option<DataType>;

fn mapped_schema(schema: &Schema, leaf: Leaf<'_>) -> Schema {
    let fields = schema.fields().iter().map(|field| mapped_field(field, leaf));
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
}

pub(super) fn mapped_field(field: &FieldRef, leaf: Leaf<'_>) -> FieldRef {
    Arc::new(Field::clone(field).with_data_type(mapped(field.data_type(), leaf)))
}

/// The type with another one wherever `leaf` names one for it, at any depth.
pub(super) fn mapped(r#type: &DataType, leaf: Leaf<'_>) -> DataType {
    if let Some(other) = leaf(r#type) {
        return other;
    }
    let field = |field: &FieldRef| mapped_field(field, leaf);
    match r#type {
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::ListView(item) => DataType::ListView(field(item)),
        DataType::LargeListView(item) => DataType::LargeListView(field(item)),
        DataType::FixedSizeList(item, len) => DataType::FixedSizeList(field(item), *len),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        DataType::Union(fields, mode) => {
            let fields = fields.iter().map(|(id, of)| (id, field(of))).collect();
            DataType::Union(fields, *mode)
        }
        DataType::Dictionary(keys, values) => {
            DataType::Dictionary(keys.clone(), Box::new(mapped(values, leaf)))
        }
        DataType::RunEndEncoded(ends, values) => DataType::RunEndEncoded(ends.clone(), field(values)),
        other => other.clone(),
    }
}
