//! Values that the Arrow format rules out, and that arrow's own validation lets pass.
//!
//! Times that are no time of a day, dates in milliseconds that are no whole day, decimals of too many digits, and dense
//! unions that do not take their children's values in order: `validate(full=True)` of pyarrow refuses them. As there,
//! all values of an array count, those that no list refers to included, and those under a null do not.

use arrow_array::{Array, RecordBatch};
use arrow_buffer::{ArrowNativeType, NullBuffer, i256};
use arrow_data::ArrayData;
use arrow_data::decimal::{
    MAX_DECIMAL32_FOR_EACH_PRECISION, MAX_DECIMAL64_FOR_EACH_PRECISION, MAX_DECIMAL128_FOR_EACH_PRECISION,
    MAX_DECIMAL256_FOR_EACH_PRECISION, MIN_DECIMAL32_FOR_EACH_PRECISION, MIN_DECIMAL64_FOR_EACH_PRECISION,
    MIN_DECIMAL128_FOR_EACH_PRECISION, MIN_DECIMAL256_FOR_EACH_PRECISION,
};
use arrow_schema::{ArrowError, DataType, Field, TimeUnit, UnionMode};

use crate::error::IpcError;
use crate::problem::{Place, ValueProblem};
use crate::schema::child_fields;

const DAY_MILLIS: i64 = 86_400_000;

/// The choice whether dictionaries are looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dictionaries {
    /// They came in messages of their own, and were checked with them.
    Checked,
    /// Nobody has looked at them.
    Unchecked,
}

/// Checks the columns of a batch: of all of its schema, or of those whose numbers are given.
///
/// # Errors
/// [`IpcError::Value`] for the first value that its type does not allow.
pub(crate) fn check(
    batch: &RecordBatch,
    place: Place,
    columns: Option<&[usize]>,
    dictionaries: Dictionaries,
) -> Result<(), IpcError> {
    for (index, (field, array)) in batch.schema_ref().fields().iter().zip(batch.columns()).enumerate() {
        if is_restricted(field.data_type()) {
            let column = columns.map_or(index, |columns| columns[index]);
            check_column(field, &array.to_data(), place, column, dictionaries)?;
        }
    }
    Ok(())
}

/// Checks that no column refers to a null that is not nullable. Arrow's own validation counts bitmaps alone, but for fields
/// of structs.
///
/// # Errors
/// [`ArrowError::InvalidArgumentError`] for the first such column.
pub(crate) fn check_nulls(batch: &RecordBatch) -> Result<(), ArrowError> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    let mut strict = columns.filter(|(field, _)| !field.is_nullable());
    match strict.find(|(_, array)| array.logical_null_count() > 0) {
        Some((field, array)) => {
            Err(ArrowError::InvalidArgumentError(unexpected_nulls(field, array.logical_null_count())))
        }
        None => Ok(()),
    }
}

/// The text of the error that [`check_nulls`] makes.
pub(crate) fn unexpected_nulls(field: &Field, nulls: usize) -> String {
    format!("column {:?} is not nullable, and {nulls} of its elements refer to a null", field.name())
}

/// The same of one array, which is `column` or in it.
pub(crate) fn check_column(
    field: &Field,
    data: &ArrayData,
    place: Place,
    column: usize,
    dictionaries: Dictionaries,
) -> Result<(), IpcError> {
    check_array(field, data, dictionaries).map_err(|invalid| IpcError::Value {
        place,
        column,
        field: invalid.field,
        problem: invalid.problem,
    })
}

struct Invalid {
    field: String,
    problem: ValueProblem,
}

/// True if arrays of this type may have values that are to be refused.
fn is_restricted(data_type: &DataType) -> bool {
    match data_type {
        DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Date64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Union(_, UnionMode::Dense) => true,
        DataType::Dictionary(_, values) => is_restricted(values),
        data_type => child_fields(data_type).iter().any(|child| is_restricted(child.data_type())),
    }
}

fn check_array(field: &Field, data: &ArrayData, dictionaries: Dictionaries) -> Result<(), Invalid> {
    let problem = match data.data_type() {
        DataType::Time32(unit) => time::<i32>(data, *unit),
        DataType::Time64(unit) => time::<i64>(data, *unit),
        DataType::Date64 => {
            let found = first_invalid::<i64>(data, |date| date % DAY_MILLIS == 0);
            found.map(|(index, found)| ValueProblem::Date { index, found })
        }
        DataType::Decimal32(precision, _) => {
            let (min, max) = (&MIN_DECIMAL32_FOR_EACH_PRECISION, &MAX_DECIMAL32_FOR_EACH_PRECISION);
            decimal::<i32>(data, *precision, min, max)
        }
        DataType::Decimal64(precision, _) => {
            let (min, max) = (&MIN_DECIMAL64_FOR_EACH_PRECISION, &MAX_DECIMAL64_FOR_EACH_PRECISION);
            decimal::<i64>(data, *precision, min, max)
        }
        DataType::Decimal128(precision, _) => {
            let (min, max) = (&MIN_DECIMAL128_FOR_EACH_PRECISION, &MAX_DECIMAL128_FOR_EACH_PRECISION);
            decimal::<i128>(data, *precision, min, max)
        }
        DataType::Decimal256(precision, _) => {
            let (min, max) = (&MIN_DECIMAL256_FOR_EACH_PRECISION, &MAX_DECIMAL256_FOR_EACH_PRECISION);
            decimal::<i256>(data, *precision, min, max)
        }
        DataType::Union(_, UnionMode::Dense) => union_offsets(data),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(Invalid { field: field.name().clone(), problem });
    }
    match data.data_type() {
        DataType::Dictionary(_, values)
            if dictionaries == Dictionaries::Unchecked && is_restricted(values) =>
        {
            check_array(field, &data.child_data()[0], dictionaries)
        }
        data_type => {
            let children = child_fields(data_type).into_iter().zip(data.child_data());
            let mut restricted = children.filter(|(child, _)| is_restricted(child.data_type()));
            restricted.try_for_each(|(child, data)| check_array(child, data, dictionaries))
        }
    }
}

fn time<T: ArrowNativeType + Into<i64>>(data: &ArrayData, unit: TimeUnit) -> Option<ValueProblem> {
    let end = match unit {
        TimeUnit::Second => DAY_MILLIS / 1000,
        TimeUnit::Millisecond => DAY_MILLIS,
        TimeUnit::Microsecond => DAY_MILLIS * 1000,
        TimeUnit::Nanosecond => DAY_MILLIS * 1_000_000,
    };
    let found = first_invalid::<T>(data, |time| (0..end).contains(&time.into()));
    found.map(|(index, found)| ValueProblem::Time { index, found: found.into(), unit, end })
}

/// The bounds are of 0 digits, of 1, and so on.
fn decimal<T: ArrowNativeType + Ord + std::fmt::Display>(
    data: &ArrayData,
    precision: u8,
    min: &[T],
    max: &[T],
) -> Option<ValueProblem> {
    let (min, max) = (min[usize::from(precision)], max[usize::from(precision)]);
    let found = first_invalid::<T>(data, |value| min <= value && value <= max);
    found.map(|(index, found)| ValueProblem::Decimal { index, found: found.to_string().into(), precision })
}

/// The first value that is not allowed and not under a null.
fn first_invalid<T: ArrowNativeType>(data: &ArrayData, allowed: impl Fn(T) -> bool) -> Option<(usize, T)> {
    let values = &data.buffer::<T>(0)[..data.len()];
    // Without a branch for each value the compiler makes vector instructions of it.
    if values.iter().fold(true, |all, value| all & allowed(*value)) {
        return None;
    }
    let is_null = |index| data.nulls().is_some_and(|nulls: &NullBuffer| nulls.is_null(index));
    let mut invalid = values.iter().enumerate().filter(|(_, value)| !allowed(**value));
    invalid.find(|(index, _)| !is_null(*index)).map(|(index, value)| (index, *value))
}

/// Type ids are 0 to 127: arrow's validation has seen to that.
fn union_offsets(data: &ArrayData) -> Option<ValueProblem> {
    let (type_ids, offsets) = (data.buffer::<i8>(0), data.buffer::<i32>(1));
    let mut last = [0; 128];
    for (index, (id, found)) in type_ids.iter().zip(offsets).take(data.len()).enumerate() {
        let last = last.get_mut(usize::try_from(*id).ok()?)?;
        if found < last {
            return Some(ValueProblem::UnionOffset { index, found: *found, before: *last });
        }
        *last = *found;
    }
    None
}
