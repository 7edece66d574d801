//! The input of Arrow's validation for an array of some type.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef};

/// Bytes for text, numbers for unions (their type ids), in whatever they are.
pub(super) fn as_given(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 => DataType::Binary,
        DataType::LargeUtf8 => DataType::LargeBinary,
        DataType::Utf8View => DataType::BinaryView,
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::ListView(item) => DataType::ListView(field(item)),
        DataType::LargeListView(item) => DataType::LargeListView(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Union(..) => DataType::Int8,
        DataType::RunEndEncoded(ends, values) => DataType::RunEndEncoded(Arc::clone(ends), field(values)),
        DataType::Dictionary(keys, values) => DataType::Dictionary(keys.clone(), Box::new(as_given(values))),
        other => other.clone(),
    }
}

/// The type of the ends of runs.
pub(super) fn run_ends(runs: &DataType) -> DataType {
    match runs {
        DataType::RunEndEncoded(ends, _) => ends.data_type().clone(),
        other => other.clone(),
    }
}

/// The type of the values of a dictionary.
pub(super) fn words(dictionary: &DataType) -> DataType {
    match dictionary {
        DataType::Dictionary(_, values) => (**values).clone(),
        other => other.clone(),
    }
}

fn field(field: &FieldRef) -> FieldRef {
    let data_type = as_given(field.data_type());
    if data_type == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(arrow_schema::Field::clone(field).with_data_type(data_type))
}
