//! Sizes of rows that refer to their values by place, in no order, many times, or hardly at all, once they are written.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, UnionFields};
use arrow_select::concat::concat_batches;
use farrow_ipc::{Plan, logical_bytes, prepare, slices};

use crate::samples::{read_all, segment};

const ROWS: usize = 6000;
/// Values of a row, all together 1 KiB.
const EACH: usize = 128;
/// Bytes of all rows, with what comes on top.
const WHOLE: u64 = 1200 * ROWS as u64;

/// All numbers below `count` in no order, the same in each run.
fn shuffled(count: usize) -> Vec<i32> {
    let mut numbers: Vec<i32> = (0..i32::try_from(count).unwrap()).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        numbers.swap(last, usize::try_from(state % (last as u64 + 1)).unwrap());
    }
    numbers
}

fn item(data_type: &DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type.clone(), true))
}

fn list_view(values: ArrayRef, starts: Vec<i32>, size: usize, nulls: Option<NullBuffer>) -> ArrayRef {
    let sizes = vec![i32::try_from(size).unwrap(); starts.len()];
    let (starts, sizes) = (starts.into(), sizes.into());
    Arc::new(ListViewArray::new(item(values.data_type()), starts, sizes, values, nulls))
}

fn spread(starts: &[i32], each: usize) -> Vec<i32> {
    starts.iter().map(|start| start * i32::try_from(each).unwrap()).collect()
}

fn numbers(count: usize) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(0..i64::try_from(count).unwrap()))
}

fn some_null() -> Option<NullBuffer> {
    Some((0..ROWS).map(|row| row % 7 != 3).collect())
}

/// Strings of 1 KiB each.
fn texts() -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| format!("{row:1024}"))))
}

/// Every fourth value of a child, for the elements of a union must lie in the order of its rows.
fn one_of_four() -> Vec<i32> {
    (0..i32::try_from(ROWS).unwrap()).map(|row| row * 4 + row % 3).collect()
}

fn union(offsets: Vec<i32>, values: ArrayRef) -> ArrayRef {
    let fields =
        [Field::new("value", values.data_type().clone(), true), Field::new("number", DataType::Int64, true)];
    let ids: ScalarBuffer<i8> = (0..offsets.len()).map(|row| if row % 5 == 0 { 3 } else { 0 }).collect();
    let fields = UnionFields::try_new([0, 3], fields).unwrap();
    let children = vec![values, numbers(4 * ROWS)];
    Arc::new(UnionArray::try_new(fields, ids, Some(offsets.into()), children).unwrap())
}

/// Rows of about 1 KiB each that lie in no order.
fn in_no_order() -> Vec<(&'static str, ArrayRef)> {
    let order = shuffled(ROWS);
    let values = || numbers(ROWS * EACH);
    let lists = list_view(values(), spread(&order, EACH), EACH, None);
    let large: ScalarBuffer<i64> = spread(&order, EACH).into_iter().map(i64::from).collect();
    let sizes = ScalarBuffer::from(vec![i64::try_from(EACH).unwrap(); ROWS]);
    let large = LargeListViewArray::new(item(&DataType::Int64), large, sizes, values(), some_null());
    let views: ArrayRef =
        Arc::new(StringViewArray::from_iter_values((0..ROWS).map(|row| format!("{row:1024}"))));
    let runs =
        PrimitiveArray::<Int32Type>::from_iter_values((1..=ROWS).map(|run| 3 * i32::try_from(run).unwrap()));
    let runs: ArrayRef = Arc::new(RunArray::try_new(&runs, &texts()).unwrap());
    let structs: ArrayRef = Arc::new(StructArray::from(vec![
        (item(&DataType::Utf8), texts()),
        (item(&DataType::Int64), numbers(ROWS)),
    ]));
    let of_lists: ArrayRef = Arc::new(ListArray::new(
        item(&DataType::Int64),
        OffsetBuffer::from_repeated_length(EACH, ROWS),
        values(),
        some_null(),
    ));
    let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(item(&DataType::Utf8), 1, texts(), some_null()));
    let keyed = StructArray::from(vec![
        (Arc::new(Field::new("keys", DataType::Int64, false)), numbers(ROWS)),
        (Arc::new(Field::new("values", DataType::Utf8, true)), texts()),
    ]);
    let entries = Arc::new(Field::new("entries", keyed.data_type().clone(), false));
    let maps: ArrayRef =
        Arc::new(MapArray::new(entries, OffsetBuffer::from_repeated_length(1, ROWS), keyed, None, false));
    let many_texts: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..4 * ROWS).map(|row| format!("{row:1024}"))));
    let many_views = StringViewArray::from_iter_values((0..4 * ROWS).map(|row| format!("{row:1024}")));
    let many_lists = list_view(numbers(4 * ROWS * EACH), spread(&shuffled(4 * ROWS), EACH), EACH, None);
    let one = |values: ArrayRef| list_view(values, order.clone(), 1, some_null());
    vec![
        ("list views", lists.clone()),
        ("large list views with nulls", Arc::new(large)),
        ("dense unions", union(one_of_four(), many_texts)),
        ("list views of texts", one(texts())),
        ("list views of views", one(views.clone())),
        ("list views of list views", one(lists.clone())),
        ("list views of dense unions", one(union((0..i32::try_from(ROWS).unwrap()).collect(), texts()))),
        ("list views of runs", list_view(runs, spread(&order, 3), 3, None)),
        ("list views of structs", one(structs)),
        ("list views of lists", one(of_lists)),
        ("list views of fixed lists", one(fixed)),
        ("list views of maps", one(maps)),
        ("dense unions of list views", union(one_of_four(), many_lists)),
        ("dense unions of views", union(one_of_four(), Arc::new(many_views))),
    ]
}

/// The same within other arrays.
fn within(rows: &ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    let field = item(rows.data_type());
    let pairs = OffsetBuffer::from_repeated_length(2, ROWS / 2);
    let ends =
        PrimitiveArray::<Int32Type>::from_iter_values((1..=ROWS).map(|run| 2 * i32::try_from(run).unwrap()));
    let keyed = StructArray::from(vec![
        (Arc::new(Field::new("keys", DataType::Int64, false)), numbers(ROWS)),
        (Arc::new(Field::new("values", rows.data_type().clone(), true)), Arc::clone(rows)),
    ]);
    let entries = Arc::new(Field::new("entries", keyed.data_type().clone(), false));
    let unions = UnionArray::try_new(
        UnionFields::try_new([0], [Field::new("a", rows.data_type().clone(), true)]).unwrap(),
        vec![0; ROWS].into(),
        None,
        vec![Arc::clone(rows)],
    );
    vec![
        ("themselves", Arc::clone(rows)),
        ("structs", Arc::new(StructArray::from(vec![(Arc::clone(&field), Arc::clone(rows))]))),
        ("lists", Arc::new(ListArray::new(Arc::clone(&field), pairs.clone(), Arc::clone(rows), None))),
        ("fixed lists", Arc::new(FixedSizeListArray::new(field, 2, Arc::clone(rows), None))),
        ("maps", Arc::new(MapArray::new(entries, pairs, keyed, None, false))),
        ("runs", Arc::new(RunArray::try_new(&ends, rows).unwrap())),
        ("sparse unions", Arc::new(unions.unwrap())),
    ]
}

fn column(array: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("column", array, true)]).unwrap()
}

fn of_each(test: impl Fn(&str, &RecordBatch)) {
    for (name, rows) in in_no_order() {
        for (outer, array) in within(&rows) {
            test(&format!("{name} in {outer}"), &column(array));
        }
    }
}

/// Bytes of a file of these batches.
fn size(batches: &[RecordBatch]) -> u64 {
    Plan::new(&batches[0].schema(), batches).unwrap().len
}

fn in_slices(batch: &RecordBatch, count: usize) -> Vec<RecordBatch> {
    let each = batch.num_rows() / count;
    (0..count).map(|index| batch.slice(index * each, each)).collect()
}

#[test]
fn slices_for_the_wire_have_each_value_once() {
    of_each(|name, batch| {
        let sent: Vec<_> = slices(batch, WHOLE / 30).collect();
        assert!(sent.len() >= 20, "{name}: {} slices", sent.len());
        let bytes = size(&sent);
        assert!(bytes < WHOLE, "{name}: {bytes} bytes sent");
        assert_eq!(&concat_batches(&batch.schema(), &sent).unwrap(), batch, "{name}");
    });
}

#[test]
fn slices_are_joined_without_what_they_were_cut_from() {
    of_each(|name, batch| {
        for target in [0, 64 << 20] {
            let prepared = prepare(&batch.schema(), in_slices(batch, 30), target).unwrap();
            assert_eq!(prepared.len(), if target == 0 { 30 } else { 1 }, "{name}");
            let bytes = size(&prepared);
            assert!(bytes < WHOLE, "{name}: {bytes} bytes");
            let read = read_all(&segment(&batch.schema(), &prepared));
            assert_eq!(&concat_batches(&batch.schema(), &read).unwrap(), batch, "{name}");
        }
    });
}

#[test]
fn few_rows_take_few_bytes() {
    of_each(|name, batch| {
        let two = concat_batches(&batch.schema(), &[batch.slice(10, 1), batch.slice(2000, 1)]).unwrap();
        for rows in [batch.slice(1000, 2), two, batch.slice(500, 0)] {
            let prepared = prepare(&batch.schema(), [rows.clone()], 0).unwrap();
            let bytes = Plan::new(&batch.schema(), &prepared).unwrap().len;
            assert!(bytes < 8 << 10, "{name}: {bytes} bytes of {} rows", rows.num_rows());
            assert_eq!(concat_batches(&batch.schema(), &prepared).unwrap(), rows, "{name}");
        }
    });
}

#[test]
fn values_of_a_dictionary_are_compacted_once() {
    let keys = Int32Array::from_iter_values((0..1000).map(|key| key % 50));
    let views = StringViewArray::from_iter_values((0..ROWS).map(|row| format!("{row:1024}")));
    let dictionary: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(views.slice(2000, 50))));
    let starts = shuffled(1000);
    for array in [Arc::clone(&dictionary), list_view(dictionary, starts, 1, None)] {
        let batch = column(array);
        let prepared = prepare(&batch.schema(), in_slices(&batch, 10), 0).unwrap();
        assert_eq!(prepared.len(), 10);
        assert!(size(&prepared) < 100 << 10, "{} bytes", size(&prepared));
        assert_eq!(concat_batches(&batch.schema(), &prepared).unwrap(), batch);
        let sent: Vec<_> = slices(&batch, 1000).collect();
        assert!(sent.len() > 2 && size(&sent) < 100 << 10, "{} bytes", size(&sent));
    }
}

/// Values that many rows name stay where they are: copied for each row they would be far more.
#[test]
fn shared_values_are_not_multiplied() {
    let values = numbers(400_000);
    let starts = || shuffled(20_000);
    let overlapping = column(list_view(Arc::clone(&values), starts(), 300_000, None));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(3 << 20); 2]));
    let same = column(union(vec![1; 6000], text));
    for (batch, once) in [(overlapping, 320_000 * 8), (same, 3 << 20)] {
        let bytes = size(&prepare(&batch.schema(), [batch.clone()], 0).unwrap());
        assert!(bytes < once + (400 << 10), "{bytes} bytes of {once}");
        let sent: Vec<_> = slices(&batch, 256 << 10).collect();
        assert!(
            size(&sent) < 2 * once + (400 << 10),
            "{} bytes of {once} in {} slices",
            size(&sent),
            sent.len()
        );
        assert_eq!(sent.iter().map(RecordBatch::num_rows).sum::<usize>(), batch.num_rows());
    }
}

/// Behind a null anything may be hidden.
#[test]
fn nulls_name_nothing() {
    let shows = |row: usize| row.is_multiple_of(100);
    let starts: Vec<i32> = (0..ROWS).map(|row| if shows(row) { 70 } else { 0 }).collect();
    let sizes: Vec<i32> = (0..ROWS).map(|row| if shows(row) { 5 } else { 700_000 }).collect();
    let nulls: NullBuffer = (0..ROWS).map(shows).collect();
    let lists = ListViewArray::new(
        item(&DataType::Int64),
        starts.into(),
        sizes.into(),
        numbers(700_000),
        Some(nulls),
    );
    let batch = column(Arc::new(lists));
    let prepared = prepare(&batch.schema(), [batch.clone()], 0).unwrap();
    assert!(size(&prepared) < 64 << 10);
    assert_eq!(concat_batches(&batch.schema(), &prepared).unwrap(), batch);
}

#[test]
fn what_is_in_order_is_not_copied() {
    let starts: Vec<i32> = (0..i32::try_from(ROWS).unwrap()).collect();
    let lists = list_view(numbers(ROWS * EACH), spread(&starts, EACH), EACH, some_null());
    let of_texts = list_view(texts(), starts.clone(), 1, None);
    // All of them, and in no order: nothing would be gained.
    let shuffled = list_view(texts(), shuffled(ROWS), 1, None);
    let address = |batch: &RecordBatch, start: usize, each: usize| {
        let values = batch.column(0).as_list_view::<i32>().values().slice(start * each, 1).to_data();
        match values.data_type() {
            DataType::Utf8 => values.buffers()[1].as_ptr(),
            _ => values.buffers()[0].as_ptr().wrapping_add(values.offset() * 8),
        }
    };
    for (array, each) in [(lists, EACH), (of_texts, 1)] {
        let batch = column(array);
        let sent: Vec<_> = slices(&batch, logical_bytes(&batch) / 3).collect();
        assert!(sent.len() > 2);
        let prepared = prepare(&batch.schema(), [batch.clone()], 0).unwrap();
        assert_eq!(address(&prepared[0], 0, each), address(&batch, 0, each));
        assert_eq!(address(&sent[1], 0, each), address(&batch, sent[0].num_rows(), each));
    }
    let batch = column(shuffled);
    let prepared = prepare(&batch.schema(), [batch.clone()], 0).unwrap();
    assert_eq!(address(&prepared[0], 0, 1), address(&batch, 0, 1));
}
