//! Types and values that a format cannot hold, and how that is told.

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Date64Array, DictionaryArray, FixedSizeListArray, Float64Array, Int32Array, ListArray,
    RunArray, StringArray, StructArray, TimestampMicrosecondArray, TimestampSecondArray, UnionArray,
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
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(format, &rows.schema(), &mut bytes).map_err(|error| error.to_string())?;
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
        let mut bytes = Vec::new();
        let refused = Encoder::new(format, &rows.schema(), &mut bytes).map(|_| ()).unwrap_err().to_string();
        assert!(refused.starts_with("column odd, ") && refused.contains("Try: --format "), "{refused}");
        assert_eq!(bytes, b"");
        assert!(encoded(Format::Ipc, &rows).is_ok());
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
    for format in [Format::Parquet, Format::Csv] {
        let error = encoded(format, &of("late", Arc::new(late.clone()))).unwrap_err();
        assert!(error.starts_with("column late, Timestamp(s), cannot be written as "), "{error}");
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
    let held = held_column(Format::Parquet, &(Arc::new(list) as ArrayRef)).unwrap();
    assert_eq!(held.data_type(), &DataType::List(item(&r#type)));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["as it is"]));
    assert!(Arc::ptr_eq(&held_column(Format::Parquet, &text).unwrap(), &text));
    let dates: ArrayRef = Arc::new(Date64Array::from(vec![86_400_000]));
    assert_eq!(held_column(Format::Parquet, &dates).unwrap().data_type(), &DataType::Date32);
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
