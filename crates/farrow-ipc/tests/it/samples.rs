//! Batches of every type, and what the tests do with all of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryViewBuilder, FixedSizeBinaryBuilder, Int32Builder, ListBuilder, ListViewBuilder, MapBuilder,
    StringBuilder, StringViewBuilder,
};
use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Int8Type, Int16Type, Int32Type,
    IntervalDayTime, IntervalMonthDayNano,
};
use arrow_array::*;
use arrow_buffer::{OffsetBuffer, ScalarBuffer, i256};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, UnionFields};
use farrow_ipc::{Plan, SegmentReader, Trust, write};

/// A segment, as it would lie in memory.
pub(crate) fn segment(schema: &SchemaRef, batches: &[RecordBatch]) -> Vec<u8> {
    let plan = Plan::new(schema, batches).unwrap();
    let mut bytes = Vec::with_capacity(usize::try_from(plan.len).unwrap());
    assert_eq!(write(schema, batches, &mut bytes).unwrap(), plan.len);
    assert_eq!(bytes.len() as u64, plan.len);
    bytes
}

/// The batches of a segment, by way of full validation.
pub(crate) fn read_all(bytes: &[u8]) -> Vec<RecordBatch> {
    let reader = SegmentReader::open(arrow_buffer::Buffer::from(bytes), Trust::Untrusted).unwrap();
    reader.batches().map(Result::unwrap).collect()
}

/// `rows` rows of every type, each column under the name of what is in it; a third of the values null where
/// the type has nulls.
pub(crate) fn every_type(rows: usize) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = [flat(rows), strings(rows), nested(rows), encoded(rows)].concat();
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| {
            Field::new(*name, array.data_type().clone(), true)
                .with_metadata(HashMap::from([("unit".to_owned(), format!("of {name}"))]))
        })
        .collect();
    let schema =
        Schema::new(fields).with_metadata(HashMap::from([("source".to_owned(), "samples".to_owned())]));
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

fn numbers(rows: usize) -> impl Iterator<Item = Option<i64>> + Clone {
    (0..i64::try_from(rows).unwrap()).map(|i| (i % 3 != 1).then_some(i % 100))
}

fn flat(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let n = || numbers(rows);
    let small = || n().map(|v| v.map(|v| i8::try_from(v).unwrap()));
    let i16s = || n().map(|v| v.map(|v| i16::try_from(v).unwrap()));
    let i32s = || n().map(|v| v.map(|v| i32::try_from(v).unwrap()));
    let mut fixed = FixedSizeBinaryBuilder::new(3);
    for value in small() {
        match value {
            Some(value) => fixed.append_value([value.to_le_bytes()[0], 1, 2]).unwrap(),
            None => fixed.append_null(),
        }
    }
    vec![
        ("null", Arc::new(NullArray::new(rows))),
        ("bool", Arc::new(BooleanArray::from_iter(n().map(|v| v.map(|v| v % 2 == 0))))),
        ("int8", Arc::new(Int8Array::from_iter(small()))),
        ("int16", Arc::new(Int16Array::from_iter(i16s()))),
        ("int32", Arc::new(Int32Array::from_iter(i32s()))),
        ("int64", Arc::new(Int64Array::from_iter(n()))),
        ("int64 without nulls", Arc::new(Int64Array::from_iter_values(n().flatten().cycle().take(rows)))),
        ("uint8", Arc::new(UInt8Array::from_iter(small().map(|v| v.map(i8::unsigned_abs))))),
        ("uint16", Arc::new(UInt16Array::from_iter(i16s().map(|v| v.map(i16::unsigned_abs))))),
        ("uint32", Arc::new(UInt32Array::from_iter(i32s().map(|v| v.map(i32::unsigned_abs))))),
        ("uint64", Arc::new(UInt64Array::from_iter(n().map(|v| v.map(i64::unsigned_abs))))),
        ("float32", Arc::new(Float32Array::from_iter(i16s().map(|v| v.map(f32::from))))),
        ("float64", Arc::new(Float64Array::from_iter(i32s().map(|v| v.map(f64::from))))),
        ("date32", Arc::new(Date32Array::from_iter(i32s()))),
        ("date64", Arc::new(Date64Array::from_iter(n().map(|v| v.map(|v| v * 86_400_000))))),
        ("time32", Arc::new(Time32MillisecondArray::from_iter(i32s()))),
        ("time64", Arc::new(Time64NanosecondArray::from_iter(n()))),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from_iter(n()).with_timezone("Europe/Berlin"))),
        ("duration", Arc::new(DurationSecondArray::from_iter(n()))),
        ("months", Arc::new(IntervalYearMonthArray::from_iter(i32s()))),
        (
            "days",
            Arc::new(IntervalDayTimeArray::from_iter(i32s().map(|v| v.map(|v| IntervalDayTime::new(v, 1))))),
        ),
        (
            "months, days, ns",
            Arc::new(IntervalMonthDayNanoArray::from_iter(
                i32s().map(|v| v.map(|v| IntervalMonthDayNano::new(v, 1, 2))),
            )),
        ),
        ("decimal32", Arc::new(PrimitiveArray::<Decimal32Type>::from_iter(i32s()))),
        ("decimal64", Arc::new(PrimitiveArray::<Decimal64Type>::from_iter(n()))),
        ("decimal128", Arc::new(PrimitiveArray::<Decimal128Type>::from_iter(n().map(|v| v.map(i128::from))))),
        ("decimal256", Arc::new(PrimitiveArray::<Decimal256Type>::from_iter(n().map(|v| v.map(i256::from))))),
        ("fixed binary", Arc::new(fixed.finish())),
    ]
}

/// Some inline in a view, some not, some empty.
fn text(i: i64) -> String {
    "ähnlich lang ".repeat(usize::try_from(i % 4).unwrap())
}

fn strings(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let texts = || numbers(rows).map(|v| v.map(text));
    let mut utf8_view = StringViewBuilder::new().with_fixed_block_size(64);
    let mut binary_view = BinaryViewBuilder::new();
    for value in texts() {
        utf8_view.append_option(value.as_deref());
        binary_view.append_option(value.as_deref());
    }
    vec![
        ("utf8", Arc::new(StringArray::from_iter(texts()))),
        ("large utf8", Arc::new(LargeStringArray::from_iter(texts()))),
        ("binary", Arc::new(BinaryArray::from_iter(texts()))),
        ("large binary", Arc::new(LargeBinaryArray::from_iter(texts()))),
        ("utf8 view", Arc::new(utf8_view.finish())),
        ("binary view", Arc::new(binary_view.finish())),
    ]
}

fn nested(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let mut list = ListBuilder::new(StringViewBuilder::new());
    let mut list_view = ListViewBuilder::new(Int32Builder::new());
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for value in numbers(rows) {
        for i in 0..value.unwrap_or(0) % 4 {
            list.values().append_value(text(i));
            list_view.values().append_value(i32::try_from(i).unwrap());
            map.keys().append_value(text(i));
            map.values().append_option((i % 2 == 0).then_some(7));
        }
        list.append(value.is_some());
        list_view.append(value.is_some());
        map.append(value.is_some()).unwrap();
    }
    let offsets = OffsetBuffer::<i64>::from_lengths((0..rows).map(|i| i % 3));
    let values: ArrayRef = Arc::new(Int16Array::from_iter_values((0..offsets.last()).map(|_| 5)));
    let item = Arc::new(Field::new_list_field(DataType::Int16, false));
    let large_list = LargeListArray::new(Arc::clone(&item), offsets.clone(), Arc::clone(&values), None);
    let sizes = ScalarBuffer::from_iter(offsets.lengths().map(|len| i64::try_from(len).unwrap()));
    let starts = ScalarBuffer::from(offsets[..rows].to_vec());
    let large_list_view = LargeListViewArray::new(item, starts, sizes, values, None);
    let pairs: ArrayRef =
        Arc::new(BooleanArray::from_iter((0..2 * rows).map(|i| (i % 5 != 2).then_some(i % 2 == 0))));
    let pair_field = Arc::new(Field::new_list_field(DataType::Boolean, true));
    let pair_nulls = Int64Array::from_iter(numbers(rows)).nulls().cloned();
    let fixed_list = FixedSizeListArray::new(pair_field, 2, pairs, pair_nulls.clone());
    let fields = Fields::from(vec![
        Field::new("number", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
    ]);
    let texts: ArrayRef = Arc::new(StringArray::from_iter(numbers(rows).map(|v| v.map(text))));
    let children: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter(numbers(rows))), texts];
    let structs = StructArray::new(fields, children, pair_nulls.clone());
    let empty_structs = StructArray::new_empty_fields(rows, pair_nulls);
    vec![
        ("list of views", Arc::new(list.finish())),
        ("list view", Arc::new(list_view.finish())),
        ("large list", Arc::new(large_list)),
        ("large list view", Arc::new(large_list_view)),
        ("fixed list", Arc::new(fixed_list)),
        ("map", Arc::new(map.finish())),
        ("struct", Arc::new(structs)),
        ("struct of nothing", Arc::new(empty_structs)),
    ]
}

fn encoded(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let texts = || numbers(rows).map(|v| v.map(text));
    let dictionary: DictionaryArray<Int8Type> =
        texts().collect::<Vec<_>>().iter().map(Option::as_deref).collect();
    let numbers_dictionary = DictionaryArray::<Int16Type>::new(
        Int16Array::from_iter(numbers(rows).map(|v| v.map(|v| i16::try_from(v % 2).unwrap()))),
        Arc::new(Int64Array::from(vec![Some(1 << 40), None])),
    );
    let list_values: DictionaryArray<Int32Type> =
        (0..2 * rows).map(|i| Some(["a", "b", "c"][i % 3])).collect();
    let list_values: ArrayRef = Arc::new(list_values);
    let list_field = Arc::new(Field::new_list_field(list_values.data_type().clone(), true));
    let lengths = OffsetBuffer::from_repeated_length(2, rows);
    let list_of_dictionary = ListArray::new(list_field, lengths, list_values, None);
    let runs: RunArray<Int32Type> = texts().collect::<Vec<_>>().iter().map(Option::as_deref).collect();
    vec![
        ("dictionary", Arc::new(dictionary)),
        ("dictionary of numbers", Arc::new(numbers_dictionary)),
        ("list of dictionary", Arc::new(list_of_dictionary)),
        ("runs", Arc::new(runs)),
        ("sparse union", Arc::new(union(rows, false))),
        ("dense union", Arc::new(union(rows, true))),
    ]
}

fn union(rows: usize, dense: bool) -> UnionArray {
    let fields = UnionFields::try_new(
        [5, 2],
        [Field::new("number", DataType::Int64, true), Field::new("text", DataType::Utf8View, true)],
    )
    .unwrap();
    let type_ids: ScalarBuffer<i8> = (0..rows).map(|i| if i % 2 == 0 { 5 } else { 2 }).collect();
    let len = if dense { rows.div_ceil(2) } else { rows };
    let offsets = dense.then(|| (0..i32::try_from(rows).unwrap()).map(|i| i / 2).collect());
    let children: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter(numbers(len))),
        Arc::new(StringViewArray::from_iter(numbers(len).map(|v| v.map(text)))),
    ];
    UnionArray::try_new(fields, type_ids, offsets, children).unwrap()
}

/// A batch of one column.
pub(crate) fn one_column(array: impl Array + 'static) -> RecordBatch {
    let array: ArrayRef = Arc::new(array);
    RecordBatch::try_from_iter([("column", array)]).unwrap()
}
