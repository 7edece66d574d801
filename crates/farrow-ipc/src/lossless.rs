//! Types that can take all values of another one.

use std::collections::HashMap;

use arrow_schema::{DataType, Field, FieldRef, Fields, TimeUnit};

use crate::schema::child_fields;
use crate::schema_difference::{Different, FieldPart, Level, order_below};

/// Finds what keeps `expected` from taking the values of `found` without loss. Whether its keys, offsets and times can
/// count them all is found out with the values themselves.
pub(crate) fn lossy(expected: &Field, found: &Field, level: Level) -> Option<Different> {
    let differs = |part| Different::in_part(expected, found, part);
    // A column of nulls is whatever the others are.
    if found.data_type() == &DataType::Null {
        return differs(FieldPart::Type).filter(|_| !can_be_null(expected.data_type()));
    }
    let of_type = || {
        if expected.data_type() == found.data_type() {
            return order_below(expected, found);
        }
        within(expected, found).unwrap_or_else(|| {
            let taken = takes(expected.data_type(), found.data_type());
            differs(FieldPart::Type).filter(|_| !taken)
        })
    };
    // An order that the values do not have must not be claimed of them.
    let ordered = || differs(FieldPart::Ordered).filter(|_| is_dictionary(expected.data_type()));
    let strict = level == Level::Within && found.is_nullable() && !expected.is_nullable();
    differs(FieldPart::Extension)
        .or_else(of_type)
        .or_else(ordered)
        .or_else(|| differs(FieldPart::Nullability).filter(|_| strict))
}

/// The same of the fields within two nested types, where they are of one kind; `None`: they are not.
fn within(expected: &Field, found: &Field) -> Option<Option<Different>> {
    use DataType::{FixedSizeList, LargeList, List, Map, Struct};
    let below = |wanted: &Field, given: &Field| {
        lossy(wanted, given, Level::Within).map(|different| different.below(expected))
    };
    match (expected.data_type(), found.data_type()) {
        (Struct(wanted), Struct(given)) => {
            let places = places(wanted, given)?;
            Some(wanted.iter().zip(places).find_map(|(wanted, place)| below(wanted, &given[place])))
        }
        // What the field within a list is called differs between programs, and nobody asks for it.
        (List(wanted) | LargeList(wanted), List(given) | LargeList(given)) => Some(below(wanted, given)),
        (FixedSizeList(wanted, size), FixedSizeList(given, found)) if size == found => {
            Some(below(wanted, given))
        }
        (Map(wanted, sorted), Map(given, found)) if sorted == found => {
            let pairs = child_fields(wanted.data_type()).into_iter().zip(child_fields(given.data_type()));
            Some(pairs.filter_map(|(wanted, given)| below(wanted, given)).next())
        }
        _ => None,
    }
}

/// Returns where among the fields `given` each of `wanted` is, if they have the same names, each once.
pub(crate) fn places(wanted: &Fields, given: &Fields) -> Option<Vec<usize>> {
    let found: HashMap<&str, usize> =
        given.iter().enumerate().map(|(place, field)| (name(field), place)).collect();
    let names: HashMap<&str, usize> =
        wanted.iter().enumerate().map(|(place, field)| (name(field), place)).collect();
    if found.len() != given.len() || names.len() != wanted.len() || found.len() != names.len() {
        return None;
    }
    wanted.iter().map(|field| found.get(name(field)).copied()).collect()
}

fn name(field: &FieldRef) -> &str {
    field.name()
}

/// True if an array of this type can be made of nulls alone.
fn can_be_null(data_type: &DataType) -> bool {
    match data_type {
        DataType::Union(..) | DataType::RunEndEncoded(..) => false,
        DataType::Dictionary(_, values) => can_be_null(values),
        nested => child_fields(nested).into_iter().all(|child| can_be_null(child.data_type())),
    }
}

/// True if `to` takes all values of `from`; neither is nested, but for dictionaries of the same values.
fn takes(to: &DataType, from: &DataType) -> bool {
    match (to, from) {
        (DataType::Dictionary(_, to), DataType::Dictionary(_, from)) => to == from || is_wider(to, from),
        (DataType::Dictionary(_, to), from) => is_packed(to) && (&**to == from || is_wider(to, from)),
        (to, DataType::Dictionary(_, from)) => {
            child_fields(from).is_empty() && (to == &**from || is_wider(to, from))
        }
        (to, from) => is_wider(to, from),
    }
}

/// True if dictionaries are made of such values. Not of floats, whose zeros are two and equal.
fn is_packed(values: &DataType) -> bool {
    integer(values).is_some() || is_text(values) || is_bytes(values)
}

fn is_wider(to: &DataType, from: &DataType) -> bool {
    use DataType::{Date32, Date64, Duration, FixedSizeBinary, Float16, Float32, Float64, Timestamp};
    match (to, from) {
        (Float32, Float16) | (Float64, Float16 | Float32) | (Date64, Date32) => true,
        (Timestamp(to, zone), Timestamp(from, other)) => zone == other && is_finer(*to, *from),
        (Duration(to), Duration(from)) => is_finer(*to, *from),
        (to, FixedSizeBinary(_)) => is_bytes(to),
        (to, from) => {
            let text = is_text(to) && is_text(from) || is_bytes(to) && is_bytes(from);
            let integers = integer(to).zip(integer(from)).is_some_and(|((signed, bits), (other, fewer))| {
                if signed == other { bits > fewer } else { signed && bits > fewer }
            });
            let decimals = decimal(to)
                .zip(decimal(from))
                .is_some_and(|((before, after), (fewer, less))| before >= fewer && after >= less);
            let times = time(to).zip(time(from)).is_some_and(|(to, from)| is_finer(to, from));
            text || integers || decimals || times
        }
    }
}

fn is_dictionary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(..))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// Its sign and its bits.
fn integer(data_type: &DataType) -> Option<(bool, usize)> {
    let bits = 8 * data_type.primitive_width()?;
    data_type.is_integer().then(|| (data_type.is_signed_integer(), bits))
}

/// Digits before and after the point.
fn decimal(data_type: &DataType) -> Option<(i16, i16)> {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    match data_type {
        Decimal32(digits, after)
        | Decimal64(digits, after)
        | Decimal128(digits, after)
        | Decimal256(digits, after) => Some((i16::from(*digits) - i16::from(*after), i16::from(*after))),
        _ => None,
    }
}

fn time(data_type: &DataType) -> Option<TimeUnit> {
    match data_type {
        DataType::Time32(unit) | DataType::Time64(unit) => Some(*unit),
        _ => None,
    }
}

fn is_finer(to: TimeUnit, from: TimeUnit) -> bool {
    let parts = |unit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    parts(to) > parts(from)
}
