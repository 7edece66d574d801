//! Dates, times and durations in ISO 8601, as Arrow has them, of every number: a year that does not have four digits has a
//! sign (`+292277026596-12-04T15:30:07`).

use std::fmt::{self, Write};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_cast::display::{DisplayIndex, FormatResult};
use arrow_schema::{DataType, TimeUnit};

const DAY: i128 = 86_400;

/// An array of times.
pub(super) struct Times<'a> {
    array: &'a dyn Array,
    value: Box<dyn Fn(usize) -> i64 + 'a>,
    /// Units of the numbers in a second; of days 1 in a day.
    per_second: u64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Date,
    Time,
    Duration,
    /// Of no zone.
    Local,
    /// Of a zone, whose seconds are ahead of UTC.
    Instant(i64),
}

impl<'a> Times<'a> {
    /// None of an array of something else.
    pub(super) fn new(array: &'a dyn Array) -> Option<Self> {
        macro_rules! value {
            ($type:ty) => {{
                let values = array.as_primitive_opt::<$type>()?.values();
                Box::new(|row: usize| i64::from(values[row])) as Box<dyn Fn(usize) -> i64>
            }};
        }
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let (value, unit, kind) = match array.data_type() {
            DataType::Date32 => (value!(Date32Type), Second, Kind::Date),
            DataType::Date64 => (value!(Date64Type), Millisecond, Kind::Local),
            DataType::Time32(Second) => (value!(Time32SecondType), Second, Kind::Time),
            DataType::Time32(unit) => (value!(Time32MillisecondType), *unit, Kind::Time),
            DataType::Time64(Microsecond) => (value!(Time64MicrosecondType), Microsecond, Kind::Time),
            DataType::Time64(unit) => (value!(Time64NanosecondType), *unit, Kind::Time),
            DataType::Duration(unit) => {
                let value = match unit {
                    Second => value!(DurationSecondType),
                    Millisecond => value!(DurationMillisecondType),
                    Microsecond => value!(DurationMicrosecondType),
                    Nanosecond => value!(DurationNanosecondType),
                };
                (value, *unit, Kind::Duration)
            }
            DataType::Timestamp(unit, zone) => {
                let value = match unit {
                    Second => value!(TimestampSecondType),
                    Millisecond => value!(TimestampMillisecondType),
                    Microsecond => value!(TimestampMicrosecondType),
                    Nanosecond => value!(TimestampNanosecondType),
                };
                (value, *unit, zone.as_deref().map_or(Kind::Local, |zone| Kind::Instant(offset(zone))))
            }
            _ => return None,
        };
        let per_second = match unit {
            Second => 1,
            Millisecond => 1_000,
            Microsecond => 1_000_000,
            Nanosecond => 1_000_000_000,
        };
        Some(Self { array, value, per_second, kind })
    }

    fn write_value(&self, value: i64, out: &mut dyn Write) -> fmt::Result {
        // Those ahead of UTC may have more than 64 bits.
        let per_second = i128::from(self.per_second);
        let (seconds, part) =
            (i128::from(value).div_euclid(per_second), i128::from(value).rem_euclid(per_second));
        match self.kind {
            Kind::Date => date(value.into(), out),
            Kind::Time if value >= 0 => self.time(seconds, part, out),
            Kind::Time => {
                out.write_char('-')?;
                let value = i128::from(value.unsigned_abs());
                self.time(value / per_second, value % per_second, out)
            }
            Kind::Duration => self.duration(value, out),
            Kind::Local => self.moment(seconds, part, out),
            Kind::Instant(0) => {
                self.moment(seconds, part, out)?;
                out.write_char('Z')
            }
            Kind::Instant(offset) => {
                self.moment(seconds + i128::from(offset), part, out)?;
                let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
                write!(out, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }

    fn moment(&self, seconds: i128, part: i128, out: &mut dyn Write) -> fmt::Result {
        date(seconds.div_euclid(DAY), out)?;
        out.write_char('T')?;
        self.time(seconds.rem_euclid(DAY), part, out)
    }

    /// Of a day; hours of a time that is of none go on behind it.
    fn time(&self, seconds: i128, part: i128, out: &mut dyn Write) -> fmt::Result {
        let (minutes, second) = (seconds.div_euclid(60), seconds.rem_euclid(60));
        write!(out, "{:02}:{:02}:{second:02}", minutes.div_euclid(60), minutes.rem_euclid(60))?;
        // Of thousandths, as many as there are; of their thousandths, too.
        match part * (1_000_000_000 / i128::from(self.per_second)) {
            0 => Ok(()),
            nanos if nanos % 1_000_000 == 0 => write!(out, ".{:03}", nanos / 1_000_000),
            nanos if nanos % 1_000 == 0 => write!(out, ".{:06}", nanos / 1_000),
            nanos => write!(out, ".{nanos:09}"),
        }
    }

    fn duration(&self, value: i64, out: &mut dyn Write) -> fmt::Result {
        if value == 0 {
            return out.write_str("P0D");
        }
        let (seconds, part) =
            (value.unsigned_abs() / self.per_second, value.unsigned_abs() % self.per_second);
        write!(out, "{}PT{seconds}", if value < 0 { "-" } else { "" })?;
        if part > 0 {
            let digits = format!("{:09}", part * (1_000_000_000 / self.per_second));
            write!(out, ".{}", digits.trim_end_matches('0'))?;
        }
        out.write_char('S')
    }
}

impl DisplayIndex for Times<'_> {
    fn write(&self, row: usize, out: &mut dyn Write) -> FormatResult {
        if self.array.is_valid(row) {
            self.write_value((self.value)(row), out)?;
        }
        Ok(())
    }
}

/// Seconds that a zone is ahead of UTC. Of one that has a name, the offset is in a database that is not here: its instants
/// are told in UTC.
fn offset(zone: &str) -> i64 {
    let found = || {
        let (sign, digits) = match zone.as_bytes() {
            [sign, hours @ ..] if hours.len() == 2 => (sign, [hours[0], hours[1], b'0', b'0']),
            [sign, a, b, c, d] => (sign, [*a, *b, *c, *d]),
            [sign, a, b, b':', c, d] => (sign, [*a, *b, *c, *d]),
            _ => return None,
        };
        let digits = digits.map(|digit| char::from(digit).to_digit(10).map(i64::from));
        let [a, b, c, d] = digits;
        let seconds = (a? * 10 + b?) * 3600 + (c? * 10 + d?) * 60;
        match sign {
            _ if seconds >= 86_400 => None,
            b'+' => Some(seconds),
            b'-' => Some(-seconds),
            _ => None,
        }
    };
    found().unwrap_or(0)
}

/// The day in the calendar of ISO 8601, which is Gregorian before its introduction, too, and has a year 0.
///
/// As in <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>: years that begin in March, in eras of 400.
fn date(days: i128, out: &mut dyn Write) -> fmt::Result {
    const ERA: i128 = 146_097;
    // From 0000-03-01.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year + i128::from(month <= 2);
    if (0..=9999).contains(&year) { write!(out, "{year:04}") } else { write!(out, "{year:+05}") }?;
    write!(out, "-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests;
