//! Which schemas a segment can have, and how a schema is told from another.

use std::collections::HashMap;

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::DictionaryTracker;
use arrow_schema::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION,
    DataType, Field, Schema,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::IpcError;
use crate::problem::{DictionaryProblem, Place, TypeProblem};

/// The most elements an array may have: what the Arrow columnar format asks every implementation to support.
pub const MAX_ARRAY_LEN: i64 = i32::MAX as i64;

/// The most levels of nested fields. A flatbuffer verifier goes 64 tables deep by default, and a footer has
/// four that are not fields.
pub const MAX_NESTING: usize = 60;

/// A number by which equal schemas are known: xxh3 of the schema encoded as an Arrow IPC flatbuffer.
///
/// Names, types, nullability and metadata count, all the way down; dictionary ids do not (they are numbered
/// anew), nor does the program that wrote the file. Two schemas with the same number are almost certainly
/// equal; compare them where it matters.
pub fn schema_fingerprint(schema: &Schema) -> u64 {
    let mut tracker = DictionaryTracker::new(false);
    let encoded = IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker).schema_to_fb(schema);
    xxh3_64(encoded.finished_data())
}

/// Refuses types that the format, the decoder or the limits of this crate do not allow.
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
    match check_type(field.data_type(), level) {
        Ok(()) => Ok(()),
        Err(Refused::Here(problem)) => refuse(problem),
        Err(Refused::Below(error)) => Err(error),
    }
}

enum Refused {
    Here(TypeProblem),
    Below(IpcError),
}

fn check_type(data_type: &DataType, level: Level) -> Result<(), Refused> {
    let below = Level { depth: level.depth + 1, ..level };
    let child = |field: &Field| check_field(field, below).map_err(Refused::Below);
    let problem = match data_type {
        DataType::FixedSizeBinary(size) if *size < 0 => TypeProblem::NegativeSize { size: *size },
        DataType::FixedSizeList(_, size) if *size < 0 => TypeProblem::NegativeSize { size: *size },
        DataType::Decimal32(p, s) => return decimal(*p, *s, DECIMAL32_MAX_PRECISION),
        DataType::Decimal64(p, s) => return decimal(*p, *s, DECIMAL64_MAX_PRECISION),
        DataType::Decimal128(p, s) => return decimal(*p, *s, DECIMAL128_MAX_PRECISION),
        DataType::Decimal256(p, s) => return decimal(*p, *s, DECIMAL256_MAX_PRECISION),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            return child(field);
        }
        DataType::ListView(field) | DataType::LargeListView(field) => {
            if !level.in_dictionary {
                return child(field);
            }
            TypeProblem::ListViewInDictionary
        }
        DataType::Struct(fields) => return fields.iter().try_for_each(|field| child(field)),
        DataType::Union(fields, _) => return fields.iter().try_for_each(|(_, field)| child(field)),
        DataType::Map(entries, _) => {
            if is_map_entries(entries) {
                return child(entries);
            }
            TypeProblem::MapEntries
        }
        DataType::RunEndEncoded(ends, values) => {
            if !ends.is_nullable() && ends.data_type().is_run_ends_type() {
                return child(values);
            }
            TypeProblem::RunEnds
        }
        DataType::Dictionary(_, values) if matches!(**values, DataType::Dictionary(..)) => {
            TypeProblem::NestedDictionary
        }
        DataType::Dictionary(keys, values) => {
            if keys.is_dictionary_key_type() {
                return check_type(values, Level { in_dictionary: true, ..level });
            }
            TypeProblem::DictionaryKeys
        }
        _ => return Ok(()),
    };
    Err(Refused::Here(problem))
}

fn decimal(precision: u8, scale: i8, max: u8) -> Result<(), Refused> {
    let fits = (1..=max).contains(&precision) && (scale <= 0 || scale.unsigned_abs() <= precision);
    if fits { Ok(()) } else { Err(Refused::Here(TypeProblem::Decimal { precision, scale, max })) }
}

fn is_map_entries(entries: &Field) -> bool {
    match entries.data_type() {
        DataType::Struct(fields) => !entries.is_nullable() && fields.len() == 2 && !fields[0].is_nullable(),
        _ => false,
    }
}

fn collect_dictionaries(
    field: &Field,
    place: Place,
    types: &mut HashMap<i64, DataType>,
) -> Result<(), IpcError> {
    if let (Some(id), DataType::Dictionary(_, values)) = (dictionary_id(field), field.data_type())
        && types.insert(id, values.as_ref().clone()).is_some()
    {
        return Err(IpcError::Dictionary { place, id, problem: DictionaryProblem::Shared });
    }
    collect_below(field.data_type(), place, types)
}

fn collect_below(
    data_type: &DataType,
    place: Place,
    types: &mut HashMap<i64, DataType>,
) -> Result<(), IpcError> {
    match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _)
        | DataType::RunEndEncoded(_, field) => collect_dictionaries(field, place, types),
        DataType::Struct(fields) => {
            fields.iter().try_for_each(|field| collect_dictionaries(field, place, types))
        }
        DataType::Union(fields, _) => {
            fields.iter().try_for_each(|(_, field)| collect_dictionaries(field, place, types))
        }
        DataType::Dictionary(_, values) => collect_below(values, place, types),
        _ => Ok(()),
    }
}
