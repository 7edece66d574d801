//! Dictionaries whose keys are too narrow for all of a frame's values.
//!
//! Each segment of a frame may have dictionaries of its own. A reader of Parquet makes one of those of a row group, with
//! keys of the type that Arrow's schema in the file says.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, FieldRef, Schema};

use super::held::{mapped, mapped_field};

/// Counts the values of dictionaries, column by column.
#[derive(Default)]
pub(crate) struct Keys {
    /// Of each column the dictionaries in it, in the order in which they are met.
    columns: Vec<Vec<Dictionary>>,
}

struct Dictionary {
    last: ArrayData,
    /// Values of all that differ from the one before: at least as many as there are.
    values: usize,
    most: usize,
}

impl Keys {
    /// Adds those of the next batch.
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        self.columns.resize_with(batch.num_columns(), Vec::new);
        for (known, column) in self.columns.iter_mut().zip(batch.columns()) {
            let mut at = 0;
            add(known, &mut at, &column.to_data());
        }
    }

    /// True for each column that has more values than a key of it can tell apart, as far as is known.
    pub(crate) fn too_narrow(&self) -> impl Iterator<Item = bool> {
        self.columns.iter().map(|known| known.iter().any(|of| of.values > of.most))
    }
}

fn add(known: &mut Vec<Dictionary>, at: &mut usize, data: &ArrayData) {
    if let DataType::Dictionary(keys, _) = data.data_type() {
        let (values, most) = (&data.child_data()[0], distinct(keys));
        match known.get_mut(*at) {
            None => known.push(Dictionary { last: values.clone(), values: values.len(), most }),
            Some(known) if known.last.ptr_eq(values) || known.last == *values => {}
            Some(known) => {
                known.values += values.len();
                known.last = values.clone();
            }
        }
        *at += 1;
    }
    data.child_data().iter().for_each(|child| add(known, at, child));
}

/// The values that keys of a type tell apart.
fn distinct(keys: &DataType) -> usize {
    match keys {
        DataType::Int8 => 1 << 7,
        DataType::UInt8 => 1 << 8,
        DataType::Int16 => 1 << 15,
        DataType::UInt16 => 1 << 16,
        _ => usize::MAX,
    }
}

/// True for a column with keys that may be too narrow.
pub(super) fn may_be_too_narrow(r#type: &DataType) -> bool {
    mapped(r#type, &wide) != *r#type
}

/// The schema whose named columns have keys of 32 bits.
pub(crate) fn widened_schema(schema: &Schema, names: &[String]) -> Schema {
    let fields = schema.fields().iter().map(|field| match names.contains(field.name()) {
        true => mapped_field(field, &wide),
        false => field.clone(),
    });
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
}

/// The batch with the types of a schema that [`widened_schema`] gave.
pub(crate) fn widened_batch(schema: &Schema, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| widened_column(column, field.data_type()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(Arc::new(schema.clone()), columns, &options)
}

fn widened_column(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == wanted {
        return Ok(column.clone());
    }
    if let DataType::Dictionary(..) = column.data_type() {
        return cast_with_options(column, wanted, &CastOptions { safe: false, ..CastOptions::default() });
    }
    let data = column.to_data();
    let types = child_types(wanted);
    let children = data.child_data().iter().zip(types).map(|(child, wanted)| {
        widened_column(&make_array(child.clone()), &wanted).map(|child| child.to_data())
    });
    let children = children.collect::<Result<Vec<_>, _>>()?;
    Ok(make_array(data.into_builder().data_type(wanted.clone()).child_data(children).build()?))
}

/// The types of an array's children, in their order.
fn child_types(r#type: &DataType) -> Vec<DataType> {
    let of = |field: &FieldRef| field.data_type().clone();
    match r#type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => vec![of(item)],
        DataType::Struct(fields) => fields.iter().map(of).collect(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| of(field)).collect(),
        DataType::RunEndEncoded(ends, values) => vec![of(ends), of(values)],
        _ => Vec::new(),
    }
}

/// A dictionary with keys of 32 bits, instead of one with narrower ones.
fn wide(r#type: &DataType) -> Option<DataType> {
    match r#type {
        DataType::Dictionary(keys, values) if distinct(keys) < usize::MAX => {
            Some(DataType::Dictionary(Box::new(DataType::Int32), values.clone()))
        }
        _ => None,
    }
}
