use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};

use super::super::formatter;
use super::*;

fn array(r#type: &DataType, values: &[i64]) -> ArrayRef {
    let narrow = matches!(r#type, DataType::Date32 | DataType::Time32(_));
    let numbers: ArrayRef = if narrow {
        Arc::new(values.iter().map(|value| i32::try_from(*value).unwrap()).collect::<Int32Array>())
    } else {
        Arc::new(Int64Array::from(values.to_vec()))
    };
    let data = numbers.to_data().into_builder().data_type(r#type.clone()).build().unwrap();
    arrow_array::make_array(data)
}

fn told(r#type: &DataType, value: i64) -> String {
    let array = array(r#type, &[value]);
    formatter(&array).unwrap().value(0).try_to_string().unwrap()
}

fn types() -> Vec<DataType> {
    let zones =
        [None, Some("UTC"), Some("+02:00"), Some("-0930"), Some("+14"), Some("-23:59"), Some("+24:00")];
    let mut types = vec![
        DataType::Date32,
        DataType::Date64,
        DataType::Time32(Second),
        DataType::Time32(Millisecond),
        DataType::Time64(Microsecond),
        DataType::Time64(Nanosecond),
    ];
    for unit in [Second, Millisecond, Microsecond, Nanosecond] {
        types.push(DataType::Duration(unit));
        types.extend(zones.map(|zone| DataType::Timestamp(unit, zone.map(Into::into))));
    }
    types
}

/// Of what Arrow's own text can tell, ours is the same.
#[test]
fn it_is_as_arrow_has_it() {
    let options = FormatOptions::new().with_display_error(false);
    let mut random = fastrand::Rng::with_seed(7);
    let mut compared = 0;
    for r#type in types() {
        let narrow = matches!(r#type, DataType::Date32 | DataType::Time32(_));
        let mut values: Vec<i64> = (0..2_000).map(|_| random.i64(..) >> random.u32(0..64)).collect();
        // Each day of some years, about a leap year and about the year 0.
        values.extend((-720_500..-718_500).chain(-500..1_500));
        // Whole seconds, milliseconds and microseconds, too.
        for unit in [86_400, 1_000, 1_000_000, 1_000_000_000] {
            values.extend((0..500).filter_map(|_| random.i64(-1 << 32..1 << 32).checked_mul(unit)));
        }
        if narrow {
            values.retain(|value| i32::try_from(*value).is_ok());
        }
        let array = array(&r#type, &values);
        let ours = formatter(&array).unwrap();
        let theirs = match &r#type {
            DataType::Timestamp(unit, Some(zone)) if zone.parse::<arrow_array::timezone::Tz>().is_err() => {
                arrow_cast::cast(&array, &DataType::Timestamp(*unit, Some("+00:00".into()))).unwrap()
            }
            _ => array.clone(),
        };
        let theirs = ArrayFormatter::try_new(&theirs, &options).unwrap();
        for (row, value) in values.iter().enumerate() {
            let (ours, theirs) =
                (ours.value(row).try_to_string().unwrap(), theirs.value(row).try_to_string());
            if let Some(theirs) = theirs.ok().filter(|theirs| theirs != "<invalid>") {
                assert_eq!(ours, theirs, "{type} {value}", type = r#type);
                compared += 1;
            }
        }
    }
    assert!(compared > 100_000, "{compared}");
}

#[test]
fn every_number_is_told() {
    let timestamp = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
    for (r#type, value, text) in [
        (DataType::Date32, i32::MAX.into(), "+5881580-07-11"),
        (DataType::Date32, i32::MIN.into(), "-5877641-06-23"),
        (DataType::Date64, i64::MAX, "+292278994-08-17T07:12:55.807"),
        (DataType::Date64, i64::MIN, "-292275055-05-16T16:47:04.192"),
        (timestamp(Second, None), i64::MAX, "+292277026596-12-04T15:30:07"),
        (timestamp(Second, None), i64::MIN, "-292277022657-01-27T08:29:52"),
        (timestamp(Second, Some("UTC")), 1 << 62, "+146138514283-06-19T07:45:04Z"),
        (timestamp(Second, Some("+14:00")), i64::MAX, "+292277026596-12-05T05:30:07+14:00"),
        (timestamp(Second, Some("-14:00")), i64::MIN, "-292277022657-01-26T18:29:52-14:00"),
        (timestamp(Microsecond, Some("Europe/Vienna")), i64::MAX, "+294247-01-10T04:00:54.775807Z"),
        // The last second of the calendar that Arrow's own text has, in a zone that is ahead.
        (timestamp(Second, Some("+02:00")), 8_210_266_876_799, "+262143-01-01T01:59:59+02:00"),
        (DataType::Duration(Second), i64::MIN, "-PT9223372036854775808S"),
        (DataType::Duration(Millisecond), i64::MIN, "-PT9223372036854775.808S"),
        (DataType::Time32(Second), i32::MAX.into(), "596523:14:07"),
        (DataType::Time64(Nanosecond), -1, "-00:00:00.000000001"),
    ] {
        assert_eq!(told(&r#type, value), text, "{type} {value}", type = r#type);
    }
}
