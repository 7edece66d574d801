//! Types and values that a format cannot hold, and how that is told.

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Date64Array, DictionaryArray, FixedSizeListArray, Float64Array, Int32Array, ListArray,
    MapArray, RunArray, StringArray, StructArray, TimestampMicrosecondArray, TimestampSecondArray,
    UnionArray,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{Fields, TimeUnit, UnionFields};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::*;

fn of(name: &str, column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([
        ("before", Arc::new(Int32Array::from(vec![1; column.len()])) as _),
        (name, column),
    ])
    .unwrap()
}

fn encoded(format: Format, rows: &RecordBatch) -> Result<Vec<u8>, String> {
    check_types(format, &rows.schema()).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(format, &rows.schema(), &mut bytes).unwrap();
    let written = encoder.write(rows).map_err(|error| error.to_string());
    encoder.finish().unwrap();
    written.map(|()| bytes)
}

fn union() -> ArrayRef {
    let fields = UnionFields::from_fields([Field::new("n", DataType::Int32, true)]);
    let values: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    Arc::new(UnionArray::try_new(fields, ScalarBuffer::from(vec![0_i8, 0]), None, vec![values]).unwrap())
}

#[test]
fn a_type_that_a_format_lacks_is_refused_before_a_byte_is_written() {
    crate::contained::quiet_panics();
    let mut empty = FixedSizeBinaryBuilder::new(0);
    empty.append_value(b"").unwrap();
    let empty: ArrayRef = Arc::new(empty.finish());
    let list = |values: ArrayRef| -> ArrayRef {
        let item = Arc::new(Field::new("item", values.data_type().clone(), true));
        let ends = OffsetBuffer::from_lengths([values.len()]);
        Arc::new(ListArray::new(item, ends, values, None))
    };
    for (format, column) in [
        (Format::Parquet, union()),
        (Format::Parquet, list(union())),
        (Format::Parquet, empty.clone()),
        (Format::Parquet, list(empty)),
        (Format::Csv, union()),
        (Format::Csv, list(Arc::new(Int32Array::from(vec![1])))),
    ] {
        let rows = of("odd", column);
        let refused = check_types(format, &rows.schema()).unwrap_err().to_string();
        assert!(refused.starts_with("column odd, "), "{refused}");
        assert!(
            refused
                .contains("Try: `farrow get NAME --format json -o FILE` or `farrow get NAME --format ipc ")
        );
        assert!(encoded(Format::Ipc, &rows).is_ok() && encoded(Format::Json, &rows).is_ok());
    }
}

/// The null that a column is tried with does not fail where the column itself would not.
#[test]
fn what_holds_no_nulls_is_tried_too() {
    let values: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let item = Arc::new(Field::new("item", DataType::Int32, false));
    let columns: [ArrayRef; 4] = [
        Arc::new(StructArray::new(vec![item.clone()].into(), vec![values.clone()], None)),
        Arc::new(FixedSizeListArray::new(item.clone(), 1, values.clone(), None)),
        Arc::new(ListArray::new(item.clone(), OffsetBuffer::from_lengths([1, 1]), values.clone(), None)),
        Arc::new(RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 2]), &values).unwrap()),
    ];
    for column in columns {
        let field = Field::new("x", column.data_type().clone(), false);
        let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap();
        assert_eq!(encoded(Format::Parquet, &rows).map(|_| ()), Ok(()), "{}", rows.schema());
    }
}

#[test]
fn a_value_that_a_format_lacks_is_an_error_of_its_column() {
    let late = TimestampSecondArray::from(vec![0, i64::MAX]);
    let rows = of("late", Arc::new(late));
    assert_eq!(doubtful(Format::Parquet, &rows.schema()), ["late"]);
    assert_eq!(doubtful(Format::Csv, &rows.schema()), [""; 0]);
    for error in [check_values(&rows).unwrap_err().to_string(), encoded(Format::Parquet, &rows).unwrap_err()]
    {
        assert!(error.starts_with("column late, Timestamp(s), cannot be written as Parquet: "), "{error}");
    }
}

#[test]
fn times_with_a_zone_are_told_in_utc() {
    let moment = TimestampMicrosecondArray::from(vec![1_704_067_200_250_000]);
    for (zone, told) in [
        ("UTC", "2024-01-01T00:00:00.250Z"),
        ("Europe/Vienna", "2024-01-01T00:00:00.250Z"),
        ("Nowhere/Land", "2024-01-01T00:00:00.250Z"),
        ("+02:00", "2024-01-01T02:00:00.250+02:00"),
    ] {
        let csv = encoded(Format::Csv, &of("t", Arc::new(moment.clone().with_timezone(zone)))).unwrap();
        assert_eq!(String::from_utf8(csv).unwrap(), format!("before,t\n1,{told}\n"));
    }
}

#[test]
fn parquet_has_seconds_as_milliseconds_in_any_depth() {
    let seconds: ArrayRef =
        Arc::new(TimestampSecondArray::from(vec![Some(5), None]).with_timezone("Europe/Vienna"));
    let r#type = DataType::Timestamp(TimeUnit::Millisecond, Some("Europe/Vienna".into()));
    let item = |r#type: &DataType| Arc::new(Field::new("item", r#type.clone(), true));
    let list = ListArray::new(item(seconds.data_type()), OffsetBuffer::from_lengths([2]), seconds, None);
    let held = held::column(&(Arc::new(list) as ArrayRef)).unwrap();
    assert_eq!(held.data_type(), &DataType::List(item(&r#type)));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["as it is"]));
    assert!(Arc::ptr_eq(&held::column(&text).unwrap(), &text));
    let dates: ArrayRef = Arc::new(Date64Array::from(vec![86_400_000]));
    assert_eq!(held::column(&dates).unwrap().data_type(), &DataType::Date32);
}

/// Text, JSON and the table of `head` have one form of a value, in any depth.
#[test]
fn times_outside_of_the_calendar_are_told_in_any_depth() {
    let late: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(i64::MAX), None, Some(0)]));
    let item = |r#type: &DataType| Arc::new(Field::new("item", r#type.clone(), true));
    let kind = late.data_type().clone();
    let list = ListArray::new(item(&kind), OffsetBuffer::from_lengths([1, 1, 1]), late.clone(), None);
    let fields: Fields = vec![Field::new("x", kind.clone(), true)].into();
    let structs = StructArray::new(fields, vec![late.clone()], None);
    let keys = Int32Array::from(vec![Some(0), Some(1), None]);
    let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::try_new(keys, late.clone()).unwrap());
    let listed = ListArray::new(
        item(dictionary.data_type()),
        OffsetBuffer::from_lengths([1, 1, 1]),
        dictionary.clone(),
        None,
    );
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 2, 3]), &late).unwrap();
    let keyed: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX, 5, 0]));
    let entries: Fields =
        vec![Field::new("keys", kind.clone(), false), Field::new("values", kind.clone(), true)].into();
    let entries = StructArray::new(entries, vec![keyed, late.clone()], None);
    let map = MapArray::new(
        Arc::new(Field::new("entries", entries.data_type().clone(), false)),
        OffsetBuffer::from_lengths([1, 1, 1]),
        entries,
        None,
        false,
    );
    let fields = UnionFields::from_fields([Field::new("t", kind, true)]);
    let ids = ScalarBuffer::from(vec![0_i8; 3]);
    let union = UnionArray::try_new(fields, ids, None, vec![late.clone()]).unwrap();
    let columns: Vec<(ArrayRef, [&str; 3], [&str; 3])> = vec![
        (late, ["T", "", "Z"], ["\"T\"", "null", "\"Z\""]),
        (dictionary, ["T", "", ""], ["\"T\"", "null", "null"]),
        (Arc::new(runs), ["T", "", "Z"], ["\"T\"", "null", "\"Z\""]),
        (Arc::new(list), ["[T]", "[]", "[Z]"], ["[\"T\"]", "[null]", "[\"Z\"]"]),
        (Arc::new(listed), ["[T]", "[]", "[]"], ["[\"T\"]", "[null]", "[null]"]),
        (
            Arc::new(structs),
            ["{x: T}", "{x: }", "{x: Z}"],
            ["{\"x\":\"T\"}", "{\"x\":null}", "{\"x\":\"Z\"}"],
        ),
        (Arc::new(map), ["{T: T}", "{F: }", "{Z: Z}"], ["{\"T\":\"T\"}", "{\"F\":null}", "{\"Z\":\"Z\"}"]),
        (Arc::new(union), ["{t=T}", "{t=}", "{t=Z}"], ["{\"t\":\"T\"}", "{\"t\":null}", "{\"t\":\"Z\"}"]),
    ];
    let spelt = |text: &str| {
        let text = text.replace('T', "+292277026596-12-04T15:30:07");
        text.replace('Z', "1970-01-01T00:00:00").replace('F', "1970-01-01T00:00:05")
    };
    for (at, (column, texts, json)) in columns.into_iter().enumerate() {
        // As they are, and from the middle of others.
        for first in [0, 1] {
            let column = column.slice(first, 3 - first);
            let rows = RecordBatch::try_from_iter_with_nullable([("c", column.clone(), true)]).unwrap();
            let shown = formatter(&column).unwrap();
            let shown: Vec<String> = (0..column.len()).map(|row| shown.value(row).to_string()).collect();
            let texts: Vec<String> = texts[first..].iter().map(|text| spelt(text)).collect();
            assert_eq!(shown, texts, "{at}");
            let json: String =
                json[first..].iter().map(|value| format!("{{\"c\":{}}}\n", spelt(value))).collect();
            assert_eq!(String::from_utf8(encoded(Format::Json, &rows).unwrap()).unwrap(), json, "{at}");
            if at < 3 {
                let csv: String = texts
                    .iter()
                    .map(|text| if text.is_empty() { "\"\"\n".into() } else { format!("{text}\n") })
                    .collect();
                assert_eq!(
                    String::from_utf8(encoded(Format::Csv, &rows).unwrap()).unwrap(),
                    format!("c\n{csv}"),
                    "{at}"
                );
            }
        }
    }
}

/// JSON has objects whose names are text, and no unions.
#[test]
fn json_has_keys_and_unions_of_any_type() {
    let keys: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("say \"x\""), None]));
    let entries: Fields =
        vec![Field::new("k", DataType::Int32, false), Field::new("v", DataType::Utf8, true)].into();
    let entries = StructArray::new(entries, vec![keys.clone(), values.clone()], None);
    let entry = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let map = MapArray::new(entry, OffsetBuffer::from_lengths([2, 0]), entries, None, false);
    let fields = UnionFields::try_new(
        [5, 3],
        [Field::new("n", DataType::Int32, true), Field::new("a \"b\"", DataType::Utf8, true)],
    );
    let dense = UnionArray::try_new(
        fields.unwrap(),
        ScalarBuffer::from(vec![3_i8, 5]),
        Some(ScalarBuffer::from(vec![1, 0])),
        vec![keys, values],
    );
    let columns: [(&str, ArrayRef); 2] = [("m", Arc::new(map)), ("u", Arc::new(dense.unwrap()))];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    assert_eq!(
        String::from_utf8(encoded(Format::Json, &rows).unwrap()).unwrap(),
        "{\"m\":{\"1\":\"say \\\"x\\\"\",\"2\":null},\"u\":{\"a \\\"b\\\"\":null}}\n{\"m\":{},\"u\":{\"n\":1}}\n"
    );
}

/// A dictionary has its nulls among its keys or among its values.
#[test]
fn nulls_in_the_values_of_dictionaries_go_out_as_nulls() {
    let dictionary = |keys: Vec<Option<i32>>, values: ArrayRef| -> ArrayRef {
        Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), values).unwrap())
    };
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(7)]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![None, Some(0.5), Some(f64::NAN)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some("x")]));
    let keys = || vec![Some(0), Some(1), None];
    let number = dictionary(keys(), numbers.clone());
    let inner = dictionary(keys(), texts.clone());
    let item = |r#type: &DataType| Arc::new(Field::new("item", r#type.clone(), true));
    let fields: Fields = vec![Field::new("x", inner.data_type().clone(), true)].into();
    let structs = StructArray::new(fields, vec![inner.clone()], None);
    let ends = OffsetBuffer::from_lengths([2, 0, 1]);
    let list = ListArray::new(item(number.data_type()), ends, number.clone(), None);
    let run_ends = Int32Array::from(vec![1, 2, 3]);
    let runs = RunArray::<Int32Type>::try_new(&run_ends, &dictionary(keys(), texts.clone())).unwrap();
    let none: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
    let columns: [(&str, ArrayRef); 7] = [
        ("n", number.clone()),
        ("f", dictionary(vec![Some(0), Some(1), Some(2)], floats)),
        ("t", inner),
        ("s", Arc::new(structs)),
        ("l", Arc::new(list)),
        ("r", Arc::new(runs)),
        ("e", dictionary(vec![None; 3], none)),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
    let rows = rows.unwrap();
    let json = String::from_utf8(encoded(Format::Json, &rows).unwrap()).unwrap();
    assert_eq!(
        json.lines().collect::<Vec<_>>(),
        [
            r#"{"n":null,"f":null,"t":null,"s":{"x":null},"l":[null,7],"r":null,"e":null}"#,
            r#"{"n":7,"f":0.5,"t":"x","s":{"x":"x"},"l":[],"r":"x","e":null}"#,
            r#"{"n":null,"f":null,"t":null,"s":{"x":null},"l":[null],"r":null,"e":null}"#,
        ]
    );
    let flat = rows.project(&[0, 2]).unwrap();
    let csv = String::from_utf8(encoded(Format::Csv, &flat).unwrap()).unwrap();
    assert_eq!(csv, "n,t\n,\n7,x\n,\n");
    let mut parquet = tempfile::tempfile().unwrap();
    parquet.write_all(&encoded(Format::Parquet, &rows.project(&[0, 2, 3, 4]).unwrap()).unwrap()).unwrap();
    let back: Vec<_> =
        ParquetRecordBatchReader::try_new(parquet, 1024).unwrap().map(Result::unwrap).collect();
    let back = String::from_utf8(encoded(Format::Json, &back[0]).unwrap()).unwrap();
    assert_eq!(
        back.lines().collect::<Vec<_>>(),
        [
            r#"{"n":null,"t":null,"s":{"x":null},"l":[null,7]}"#,
            r#"{"n":7,"t":"x","s":{"x":"x"},"l":[]}"#,
            r#"{"n":null,"t":null,"s":{"x":null},"l":[null]}"#,
        ]
    );
}
