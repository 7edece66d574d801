//! Types: all of them arrive as they lie in the mapping.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array, Int64Array,
    LargeStringArray, RecordBatch, StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
};

use crate::{agent, outside, rows, session, text};

/// A column of each type, without nulls or with.
fn columns(nulls: bool) -> RecordBatch {
    let null = |n: i64| nulls && n % 3 == 1;
    let some = |n: i64| (!null(n)).then_some(n);
    let numbers = || (0..100_i64).map(some);
    let texts = || numbers().map(|n| n.map(|n| format!("a string of more than twelve bytes: {n}")));
    let integers: Int64Array = numbers().collect();
    let mut lists = ListBuilder::new(Int64Builder::new());
    let mut words = StringDictionaryBuilder::<Int32Type>::new();
    for n in numbers() {
        lists.append_option(n.map(|n| [Some(n), Some(n + 1)]));
        words.append_option(n.map(|n| if n % 2 == 0 { "even" } else { "odd" }));
    }
    let fields =
        [("a", Arc::new(integers.clone()) as ArrayRef), ("b", Arc::new(texts().collect::<StringArray>()))];
    let columns: [(&str, ArrayRef); 14] = [
        ("int8", Arc::new(numbers().map(|n| n.and_then(|n| i8::try_from(n).ok())).collect::<Int8Array>())),
        ("int64", Arc::new(integers)),
        ("double", Arc::new(numbers().map(|n| n.map(|_| 0.5)).collect::<Float64Array>())),
        ("bool", Arc::new(numbers().map(|n| n.map(|n| n % 2 == 0)).collect::<BooleanArray>())),
        ("decimal", Arc::new(numbers().map(|n| n.map(i128::from)).collect::<Decimal128Array>())),
        ("date", Arc::new(numbers().map(|n| n.map(|_| 7)).collect::<Date32Array>())),
        ("moment", Arc::new(numbers().collect::<TimestampMicrosecondArray>().with_timezone("Europe/Vienna"))),
        ("utf8", Arc::new(texts().collect::<StringArray>())),
        ("large_utf8", Arc::new(texts().collect::<LargeStringArray>())),
        ("utf8_view", Arc::new(texts().collect::<StringViewArray>())),
        ("binary", Arc::new(texts().map(|text| text.map(String::into_bytes)).collect::<BinaryArray>())),
        ("dictionary", Arc::new(words.finish())),
        ("list", Arc::new(lists.finish())),
        ("record", Arc::new(StructArray::try_from(fields.to_vec()).unwrap())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

#[tokio::test]
async fn every_type_arrives_as_it_lies() {
    let (_region, _agent, client) = agent().await;
    for nulls in [false, true] {
        let batch = columns(nulls);
        client.put("kinds", batch.schema(), vec![batch]).await.unwrap();
        let frame = client.get("kinds").await.unwrap();
        let mappings = frame.mappings().to_vec();
        let found = rows(&session(frame, 1), "SELECT * FROM t").await;
        assert_eq!(found.iter().map(|batch| batch.num_rows()).sum::<usize>(), 100);
        for column in found.iter().flat_map(|batch| batch.columns()) {
            assert_eq!(outside(column, &mappings), 0, "{}", column.data_type());
            assert!(outside(column, &[]) > 0, "buffers are found at all");
        }
    }
}

#[tokio::test]
async fn their_values_are_those_that_were_put() {
    let (_region, _agent, client) = agent().await;
    let batch = columns(true);
    client.put("kinds", batch.schema(), vec![batch]).await.unwrap();
    let session = session(client.get("kinds").await.unwrap(), 2);
    let row = "SELECT int8, double, bool, decimal, date, moment, utf8, utf8_view, binary, dictionary, list, record \
               FROM t WHERE int64 = 8";
    let found = text(&session, row).await;
    for value in [
        "8",
        "0.5",
        "true",
        "1970-01-08",
        "1970-01-01T01:00:00.000008",
        "even",
        "[8, 9]",
        "a: 8, b: a string",
    ] {
        assert!(found.contains(value), "{value}: {found}");
    }
    let nulls =
        "SELECT count(*) - count(utf8_view), count(*) - count(list), count(*) - count(dictionary) FROM t";
    assert!(text(&session, nulls).await.contains("| 33 "), "{}", text(&session, nulls).await);
}
