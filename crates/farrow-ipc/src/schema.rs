//! Schemas that a segment can have, and fingerprints by which they are told apart.

use std::collections::HashMap;

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::DictionaryTracker;
use arrow_schema::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION,
    DataType, Field, Schema,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::IpcError;
use crate::extension;
use crate::problem::{DictionaryProblem, Place, TypeProblem};
use crate::row_metadata::{has_row_metadata, lasting_metadata};

/// The most elements an array may have: what the Arrow columnar format asks every implementation to support.
pub const MAX_ARRAY_LEN: i64 = i32::MAX as i64;

/// The most levels of nested fields; a dictionary is one more level. A flatbuffer verifier goes 64 tables deep by
/// default, and a footer has four that are not fields. Arrow C++ imports 63 levels.
pub const MAX_NESTING: usize = 60;

/// The dictionary id that Arrow C++ takes for none.
const NO_ID: i64 = -1;

/// A number by which equal schemas are known: xxh3 of the schema encoded as an Arrow IPC flatbuffer.
///
/// Names, types, nullability and metadata count, all the way down; dictionary ids do not (they are numbered
/// anew), nor does the program that wrote the file, nor metadata of the schema itself that describe the rows: `pandas`,
/// `org.apache.spark.version`, and parts of `geo` and `huggingface`. [`schema_of_segments`](crate::schema_of_segments)
/// says which of them hold for segments of one version. Two schemas with the same number are almost certainly equal;
/// compare them where it matters ([`schema_difference`](crate::schema_difference())).
pub fn schema_fingerprint(schema: &Schema) -> u64 {
    if has_row_metadata(schema) {
        let lasting = lasting_metadata(schema).into_iter();
        let metadata: HashMap<_, _> =
            lasting.map(|(key, value)| (key.to_owned(), value.into_owned())).collect();
        return fingerprint(&schema.clone().with_metadata(metadata));
    }
    fingerprint(schema)
}

fn fingerprint(schema: &Schema) -> u64 {
    let mut tracker = DictionaryTracker::new(false);
    let encoded = IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker).schema_to_fb(schema);
    xxh3_64(encoded.finished_data())
}

/// Refuses what the format, the decoder, the limits of this crate or another reader do not allow: of pyarrow, Arrow's
/// Rust implementation and the C data interface, each must be able to read what is published.
///
/// # Errors
/// [`IpcError::Type`] for the first field that is not allowed.
pub(crate) fn check_types(schema: &Schema) -> Result<(), IpcError> {
    schema.fields().iter().try_for_each(|field| check_field(field, Level { depth: 1, in_dictionary: false }))
}

/// The type of the values of each dictionary of the schema, by its id.
///
/// # Errors
/// [`DictionaryProblem::Shared`] if two fields have the same id: the decoder finds a dictionary's type by the
/// first field that has its id, and the others would take values of that type for their own.
/// [`DictionaryProblem::NoId`] for an id that Arrow C++ does not look up.
pub(crate) fn dictionary_types(schema: &Schema, place: Place) -> Result<HashMap<i64, DataType>, IpcError> {
    let mut types = HashMap::new();
    for field in schema.fields() {
        collect_dictionaries(field, place, &mut types)?;
    }
    Ok(types)
}

/// The id that connects a field with its dictionary batch, if its type is a dictionary.
pub(crate) fn dictionary_id(field: &Field) -> Option<i64> {
    #[expect(
        deprecated,
        reason = "the id is how a file says which dictionary a field uses; nothing replaces it"
    )]
    field.dict_id()
}

#[derive(Clone, Copy)]
struct Level {
    depth: usize,
    in_dictionary: bool,
}

fn check_field(field: &Field, level: Level) -> Result<(), IpcError> {
    let refuse = |problem| Err(IpcError::Type { field: field.name().clone(), problem });
    if level.depth > MAX_NESTING {
        return refuse(TypeProblem::Nesting { max: MAX_NESTING });
    }
    if field.name().contains('\0') {
        return refuse(TypeProblem::NameWithNul);
    }
    if let Err(problem) = check_type(field.data_type(), level).and_then(|()| extension::check(field)) {
        return refuse(problem);
    }
    check_below(field.data_type(), level)
}

/// The children of a type; of a dictionary, those of its values.
fn check_below(data_type: &DataType, level: Level) -> Result<(), IpcError> {
    let below = Level { depth: level.depth + 1, ..level };
    match data_type {
        DataType::Dictionary(_, values) => check_below(values, Level { in_dictionary: true, ..below }),
        data_type => child_fields(data_type).into_iter().try_for_each(|child| check_field(child, below)),
    }
}

/// Checks a type itself, and a dictionary's values, without the fields below it.
fn check_type(data_type: &DataType, level: Level) -> Result<(), TypeProblem> {
    match data_type {
        DataType::FixedSizeBinary(size) | DataType::FixedSizeList(_, size) if *size < 0 => {
            Err(TypeProblem::NegativeSize { size: *size })
        }
        DataType::Timestamp(_, Some(zone)) if zone.contains('\0') => Err(TypeProblem::TimeZoneWithNul),
        DataType::Decimal32(p, s) => decimal(*p, *s, DECIMAL32_MAX_PRECISION),
        DataType::Decimal64(p, s) => decimal(*p, *s, DECIMAL64_MAX_PRECISION),
        DataType::Decimal128(p, s) => decimal(*p, *s, DECIMAL128_MAX_PRECISION),
        DataType::Decimal256(p, s) => decimal(*p, *s, DECIMAL256_MAX_PRECISION),
        DataType::ListView(_) | DataType::LargeListView(_) if level.in_dictionary => {
            Err(TypeProblem::ListViewInDictionary)
        }
        DataType::Map(entries, _) if !is_map_entries(entries) => Err(TypeProblem::MapEntries),
        DataType::Union(fields, _) if fields.is_empty() => Err(TypeProblem::EmptyUnion),
        DataType::RunEndEncoded(ends, _) if !is_run_ends(ends) => Err(TypeProblem::RunEnds),
        DataType::RunEndEncoded(_, values) if matches!(values.data_type(), DataType::RunEndEncoded(..)) => {
            Err(TypeProblem::NestedRuns)
        }
        DataType::Dictionary(_, values) if matches!(**values, DataType::Dictionary(..)) => {
            Err(TypeProblem::NestedDictionary)
        }
        DataType::Dictionary(keys, _) if !keys.is_dictionary_key_type() => Err(TypeProblem::DictionaryKeys),
        DataType::Dictionary(_, values) => check_type(values, Level { in_dictionary: true, ..level }),
        _ => Ok(()),
    }
}

/// The fields directly below a type, in the order of its arrays; a dictionary has none.
pub(crate) fn child_fields(data_type: &DataType) -> Vec<&Field> {
    match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => vec![field],
        DataType::RunEndEncoded(ends, values) => vec![ends, values],
        DataType::Struct(fields) => fields.iter().map(AsRef::as_ref).collect(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.as_ref()).collect(),
        _ => vec![],
    }
}

fn decimal(precision: u8, scale: i8, max: u8) -> Result<(), TypeProblem> {
    let fits = (1..=max).contains(&precision) && (scale <= 0 || scale.unsigned_abs() <= precision);
    if fits { Ok(()) } else { Err(TypeProblem::Decimal { precision, scale, max }) }
}

fn is_run_ends(ends: &Field) -> bool {
    !ends.is_nullable() && ends.data_type().is_run_ends_type() && !extension::is_registered(ends)
}

fn is_map_entries(entries: &Field) -> bool {
    match entries.data_type() {
        DataType::Struct(fields) => {
            let nullable = entries.is_nullable() || fields.first().is_none_or(|key| key.is_nullable());
            !nullable && fields.len() == 2 && !extension::is_registered(entries)
        }
        _ => false,
    }
}

fn collect_dictionaries(
    field: &Field,
    place: Place,
    types: &mut HashMap<i64, DataType>,
) -> Result<(), IpcError> {
    if let (Some(id), DataType::Dictionary(_, values)) = (dictionary_id(field), field.data_type()) {
        let refuse = |problem| Err(IpcError::Dictionary { place, id, problem });
        if id == NO_ID {
            return refuse(DictionaryProblem::NoId);
        }
        if types.insert(id, values.as_ref().clone()).is_some() {
            return refuse(DictionaryProblem::Shared);
        }
    }
    let data_type = match field.data_type() {
        DataType::Dictionary(_, values) => values,
        data_type => data_type,
    };
    child_fields(data_type).into_iter().try_for_each(|child| collect_dictionaries(child, place, types))
}
