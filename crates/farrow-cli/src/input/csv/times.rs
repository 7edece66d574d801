//! Times in CSV: with an offset from UTC they are instants, without one they are not, and a column has one kind. Leap
//! seconds are none, as Arrow has no number for them: those of the sample make a column text, as in pyarrow.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, make_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use super::VALUE;
use crate::output;

/// The types that were found, where columns of times have the zone UTC if all of the sample have an offset; some that
/// have and some that have not are text.
pub(super) fn with_zones(found: SchemaRef, format: &Format, sample: &[u8]) -> Result<SchemaRef, ArrowError> {
    if !found.fields().iter().any(|field| unit(field).is_some()) {
        return Ok(found);
    }
    let texts = Arc::new(mapped(&found, |_| Some(DataType::Utf8)));
    let format = format.clone().with_truncated_rows(true);
    let rows = ReaderBuilder::new(texts).with_format(format).build(sample)?;
    let mut kinds = vec![[false; 3]; found.fields().len()];
    for batch in rows {
        for ((kinds, field), column) in kinds.iter_mut().zip(found.fields()).zip(batch?.columns()) {
            if unit(field).is_some() {
                column
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .for_each(|value| kinds[Kind::of(value) as usize] = true);
            }
        }
    }
    let mut kinds = kinds.into_iter();
    let typed = mapped(&found, |field| {
        let kinds = kinds.next()?;
        Some(match (unit(field)?, kinds) {
            (unit, [_, false, false]) => DataType::Timestamp(unit, None),
            (unit, [false, true, false]) => DataType::Timestamp(unit, Some("UTC".into())),
            _ => DataType::Utf8,
        })
    });
    Ok(Arc::new(typed))
}

/// Returns the schema with text for columns of times, of times of day, and of dates that have one.
pub(super) fn as_text(schema: &SchemaRef) -> SchemaRef {
    Arc::new(mapped(schema, |field| is_time(field.data_type()).then_some(DataType::Utf8)))
}

/// Columns of times that were decoded as text; `before` are the rows before the batch.
pub(super) fn from_text(
    batch: &RecordBatch,
    schema: &SchemaRef,
    before: usize,
) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match field.data_type() {
        time if is_time(time) => {
            let texts = column.as_string();
            let odd = |(row, why): (usize, String)| {
                let (name, value) =
                    (output::short(field.name(), VALUE), output::short(texts.value(row), VALUE));
                let row = before + row + 1;
                ArrowError::ParseError(format!("row {row}, column {name}: '{value}' {why}"))
            };
            let times = parsed(texts, time).map_err(odd)?;
            Ok(make_array(times.to_data().into_builder().data_type(field.data_type().clone()).build()?))
        }
        _ => Ok(column.clone()),
    });
    let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

/// Parses times of the type, in UTC. An error is the row of a text that is no such time, and the reason.
fn parsed(texts: &StringArray, time: &DataType) -> Result<ArrayRef, (usize, String)> {
    let (unit, zoned) = match time {
        DataType::Timestamp(unit, zone) => (*unit, Some(zone.is_some())),
        DataType::Time32(unit) | DataType::Time64(unit) => (*unit, None),
        _ => (TimeUnit::Millisecond, None),
    };
    for (row, text) in texts.iter().enumerate() {
        let Some(text) = text else { continue };
        let why = match (Kind::of(text), zoned) {
            _ if is_leap_second(text) => "is a leap second, which no Arrow time can be",
            (Kind::Offset, Some(false)) => "has an offset from UTC, and the times of this column have none",
            (Kind::Local, Some(true)) => "has no offset from UTC, and the times of this column have one",
            _ if !fits(text, unit) => {
                return Err((row, format!("has a fraction, and the times of this column are {unit:?}s")));
            }
            _ => continue,
        };
        return Err((row, why.to_owned()));
    }
    let times = match time {
        DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, None),
        other => other.clone(),
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    // Arrow says neither row nor column.
    cast_with_options(texts, &times, &strict).map_err(|_| {
        let fails = |row: &usize| cast_with_options(&texts.slice(*row, 1), &times, &strict).is_err();
        let row = (0..texts.len()).find(fails).unwrap_or(0);
        (row, "is no time".to_owned())
    })
}

/// The unit holds the fraction of a second.
fn fits(text: &str, unit: TimeUnit) -> bool {
    let digits = match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let end = fraction.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(fraction.len());
    fraction[..end].trim_end_matches('0').len() <= digits
}

/// True if the text has a 61st second, of which Arrow makes the 60th or the next minute's first.
fn is_leap_second(text: &str) -> bool {
    // Behind a date, a time of day may have no colons.
    if let Some([b'T' | b't' | b' ', time @ ..]) = text.as_bytes().get(10..17)
        && time.iter().all(u8::is_ascii_digit)
    {
        return time.ends_with(b"60");
    }
    let time = text.get(text.find(':').unwrap_or(text.len())..).unwrap_or_default();
    // The offset behind it has minutes of its own, and no second colon.
    let time = &time[..time.find(['+', '-']).unwrap_or(time.len())];
    time.split(':').nth(2).is_some_and(|second| second.starts_with("60"))
}

#[derive(Clone, Copy)]
enum Kind {
    Local,
    Offset,
    Other,
}

impl Kind {
    /// By what stands behind the time of day.
    fn of(text: &str) -> Self {
        let time = text.trim_start_matches(|part: char| !matches!(part, 'T' | 't' | ' '));
        let time = time.get(1..).unwrap_or_default();
        let behind = time.trim_start_matches(|part: char| part.is_ascii_digit() || matches!(part, ':' | '.'));
        match behind.trim_start().as_bytes() {
            _ if is_leap_second(text) => Self::Other,
            [] => Self::Local,
            [b'Z' | b'z'] | [b'+' | b'-', ..] => Self::Offset,
            _ => Self::Other,
        }
    }
}

/// True if text of this type may have a time of day.
fn is_time(r#type: &DataType) -> bool {
    matches!(r#type, DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) | DataType::Date64)
}

fn unit(field: &Field) -> Option<TimeUnit> {
    match field.data_type() {
        DataType::Timestamp(unit, _) => Some(*unit),
        _ => None,
    }
}

/// The schema with other types for some columns.
fn mapped(schema: &Schema, mut other: impl FnMut(&Field) -> Option<DataType>) -> Schema {
    let fields = schema.fields().iter().map(|field| match other(field) {
        Some(r#type) => Arc::new(Field::clone(field).with_data_type(r#type)),
        None => field.clone(),
    });
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
}
