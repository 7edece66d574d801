//! Few batches, large ones, one dictionary each.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int8Array, Int64Array, ListArray, RecordBatch, RecordBatchOptions,
    StringArray, StringViewArray, StructArray,
};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use farrow_ipc::{DEFAULT_TARGET_BYTES, IpcError, Layout, Plan, logical_bytes, prepare, prepare_segments};

use crate::samples::{every_type, one_column, read_all, segment};

/// Prepared batches hold the same rows, fit one file, and come back.
fn assert_prepared(batches: &[RecordBatch], target: u64) -> Vec<RecordBatch> {
    let schema = batches[0].schema();
    let prepared = prepare(&schema, batches.to_vec(), target).unwrap();
    let bytes = segment(&schema, &prepared);
    Layout::verify(&bytes).unwrap().validate_values(Buffer::from(bytes.as_slice())).unwrap();
    let all = concat_batches(&schema, batches).unwrap();
    assert_eq!(concat_batches(&schema, &read_all(&bytes)).unwrap(), all);
    prepared
}

fn rows(batches: &[RecordBatch]) -> Vec<usize> {
    batches.iter().map(RecordBatch::num_rows).collect()
}

#[test]
fn small_batches_of_every_type_are_joined() {
    let parts: Vec<_> = [20, 0, 7, 33, 1, 0, 12].map(every_type).to_vec();
    assert_eq!(rows(&assert_prepared(&parts, DEFAULT_TARGET_BYTES)), [73]);
    let all = every_type(90);
    let slices: Vec<_> = [(0, 9), (9, 31), (40, 50)].map(|(start, len)| all.slice(start, len)).to_vec();
    assert_eq!(rows(&assert_prepared(&slices, DEFAULT_TARGET_BYTES)), [90]);
}

#[test]
fn batches_of_every_type_that_stay_apart_have_one_dictionary() {
    let parts: Vec<_> = [20, 7, 33, 1].map(every_type).to_vec();
    assert_eq!(rows(&assert_prepared(&parts, 1)), [20, 7, 33, 1]);
}

#[test]
fn joining_stops_at_the_target() {
    let batch = |rows: usize| one_column(Int64Array::from(vec![7; rows]));
    let parts: Vec<_> = [100, 100, 100, 1000, 5, 5].map(batch).to_vec();
    assert_eq!(rows(&assert_prepared(&parts, 8 * 250)), [200, 100, 1000, 10]);
    assert_eq!(rows(&assert_prepared(&parts, 8 * 1310)), [1310]);
    assert_eq!(rows(&assert_prepared(&parts, 0)), [100, 100, 100, 1000, 5, 5]);
}

#[test]
fn what_is_large_enough_is_not_copied() {
    let batch = one_column(Int64Array::from(vec![7; 1000]));
    let prepared = assert_prepared(&[batch.clone(), batch.slice(0, 500)], 100);
    for part in &prepared {
        let (before, after) = (batch.column(0).to_data(), part.column(0).to_data());
        assert!(before.buffers()[0].data_ptr() == after.buffers()[0].data_ptr());
    }
}

#[test]
fn nothing_prepared_is_nothing() {
    let schema = every_type(0).schema();
    assert_eq!(prepare(&schema, [], 10).unwrap(), []);
    assert_eq!(prepare(&schema, [every_type(0)], 10).unwrap(), []);
    let rows = RecordBatchOptions::new().with_row_count(Some(3));
    let empty = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &rows).unwrap();
    let prepared = prepare(&empty.schema(), [empty.clone(), empty.clone()], 10).unwrap();
    assert_eq!(prepared.iter().map(RecordBatch::num_rows).sum::<usize>(), 6);
}

fn dictionary(values: &[&str], keys: &[i8]) -> ArrayRef {
    let values = Arc::new(StringArray::from(values.to_vec()));
    Arc::new(DictionaryArray::<Int8Type>::new(Int8Array::from(keys.to_vec()), values))
}

fn columns(arrays: impl IntoIterator<Item = ArrayRef>) -> Vec<RecordBatch> {
    arrays.into_iter().map(|array| RecordBatch::try_from_iter([("column", array)]).unwrap()).collect()
}

#[test]
fn dictionaries_that_begin_alike_are_shared_without_copying_keys() {
    let parts = columns([
        dictionary(&["a", "b"], &[0, 1, 0]),
        dictionary(&["a", "b", "c"], &[2, 1]),
        dictionary(&["a"], &[0]),
    ]);
    assert!(
        matches!(Plan::new(&parts[0].schema(), &parts), Err(IpcError::Write { .. })),
        "as they are they do not fit"
    );
    let prepared = assert_prepared(&parts, 1);
    for (part, prepared) in parts.iter().zip(&prepared) {
        let keys = |batch: &RecordBatch| batch.column(0).as_dictionary::<Int8Type>().keys().values().clone();
        assert!(keys(part).ptr_eq(&keys(prepared)));
        assert_eq!(prepared.column(0).as_any_dictionary().values().len(), 3);
    }
    // Joined, they still have the values once.
    let joined = assert_prepared(&parts, DEFAULT_TARGET_BYTES);
    assert_eq!(joined[0].column(0).as_any_dictionary().values().len(), 3);
}

#[test]
fn different_dictionaries_become_one() {
    let parts = columns([
        dictionary(&["a", "b"], &[0, 1, 0]),
        dictionary(&["x", "a"], &[0, 1]),
        dictionary(&["a", "b"], &[1]),
    ]);
    assert_eq!(rows(&assert_prepared(&parts, 1)), [3, 2, 1]);
    assert_eq!(rows(&assert_prepared(&parts, 5)), [5, 1]);
}

#[test]
fn dictionaries_within_other_types_become_one() {
    let list = |values: ArrayRef| -> ArrayRef {
        let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        Arc::new(ListArray::new(field, offsets, values, None))
    };
    let structs = |values: ArrayRef| -> ArrayRef {
        let field = Field::new("inner", values.data_type().clone(), true);
        Arc::new(StructArray::new(vec![field].into(), vec![values], None))
    };
    for wrap in [&list as &dyn Fn(ArrayRef) -> ArrayRef, &structs, &|values| list(structs(values))] {
        let (one, other) = (dictionary(&["a", "b"], &[0, 1]), dictionary(&["x", "a"], &[0, 1]));
        let parts = columns([wrap(one.clone()), wrap(other), wrap(one.clone())]);
        assert!(Plan::new(&parts[0].schema(), &parts).is_err());
        assert_prepared(&parts, 1);
        let shared = columns([wrap(one.clone()), wrap(one)]);
        assert_prepared(&shared, 1);
    }
}

/// A hundred values of their own, as many as keys of eight bits can count but not twice.
fn hundred(from: usize) -> RecordBatch {
    let values: Vec<String> = (from..from + 100).map(|i| format!("value {i}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    columns([dictionary(&values, &(0..100).collect::<Vec<i8>>())]).remove(0)
}

#[test]
fn keys_too_small_for_all_values_are_an_error_of_one_file() {
    let parts = [hundred(0), hundred(100)];
    for target in [1, DEFAULT_TARGET_BYTES] {
        let error = prepare(&parts[0].schema(), parts.clone(), target).unwrap_err();
        let overflow = |source: &_| matches!(source, ArrowError::DictionaryKeyOverflowError);
        assert!(matches!(&error, IpcError::Join { column: 0, source, .. } if overflow(source)), "{error}");
    }
}

#[test]
fn what_one_file_cannot_hold_is_several_segments() {
    let schema = hundred(0).schema();
    for (firsts, expected) in [
        (vec![], vec![0]),
        (vec![0], vec![100]),
        (vec![0; 9], vec![900]),
        (vec![0, 100], vec![100, 100]),
        (vec![0, 0, 0, 100, 100, 100, 300], vec![300, 300, 100]),
        (vec![0, 0, 0, 0, 0, 100], vec![500, 100]),
        (vec![100, 0, 0, 0, 0, 0], vec![100, 500]),
        (vec![0, 100, 0, 100], vec![100; 4]),
    ] {
        let parts: Vec<RecordBatch> = firsts.iter().map(|&first| hundred(first)).collect();
        for target in [1, DEFAULT_TARGET_BYTES] {
            let segments = prepare_segments(&schema, &parts, target).unwrap();
            let counts: Vec<usize> = segments.iter().map(|segment| rows(segment).iter().sum()).collect();
            assert_eq!(counts, expected, "{firsts:?}");
            let read: Vec<_> =
                segments.iter().flat_map(|batches| read_all(&segment(&schema, batches))).collect();
            let words = |batches: &[RecordBatch]| -> Vec<Option<String>> {
                let columns = batches.iter().map(|batch| batch.column(0).as_dictionary::<Int8Type>());
                let typed = columns.map(|column| column.downcast_dict::<StringArray>().unwrap());
                typed.flat_map(|column| column.into_iter().map(|word| word.map(str::to_owned))).collect()
            };
            assert_eq!(words(&read), words(&parts), "{firsts:?}");
        }
    }
}

#[test]
fn views_do_not_drag_along_what_they_were_cut_from() {
    let long: Vec<String> = (0..1000).map(|i| format!("a text that is not inline, number {i}")).collect();
    let views = StringViewArray::from_iter_values(&long);
    let whole = one_column(views.clone());
    let field = Arc::new(Field::new_list_field(DataType::Utf8View, true));
    let lists = ListArray::new(field, OffsetBuffer::from_repeated_length(10, 100), Arc::new(views), None);
    let lists = one_column(lists);
    for (batch, step) in [(whole, 100), (lists, 10)] {
        let size = |batches: &[RecordBatch]| Plan::new(&batch.schema(), batches).unwrap().len;
        let cut: Vec<_> = (0..10).map(|i| batch.slice(i * step, step)).collect();
        assert!(size(&cut) > 5 * size(std::slice::from_ref(&batch)), "as they are each is written whole");
        let prepared = assert_prepared(&cut, 1);
        assert!(size(&prepared) < 2 * size(std::slice::from_ref(&batch)));
    }
}

#[test]
fn logical_bytes_count_what_is_written() {
    assert_eq!(logical_bytes(&one_column(Int64Array::from(vec![1, 2, 3]))), 24);
    assert_eq!(logical_bytes(&one_column(Int64Array::from(vec![Some(1), None])).slice(1, 1)), 9);
    assert_eq!(logical_bytes(&one_column(StringArray::from(vec!["abc", "de"])).slice(1, 1)), 8 + 2);
    let inline_and_not = StringViewArray::from(vec!["short", "longer than twelve"]);
    assert_eq!(logical_bytes(&one_column(inline_and_not.clone())), 32 + 18);
    assert_eq!(logical_bytes(&one_column(inline_and_not).slice(0, 1)), 16);
    assert_eq!(logical_bytes(&columns([dictionary(&["a long value that is not counted"], &[0, 0])])[0]), 2);
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), Some(2)]),
        Some(vec![Some(3)]),
    ]);
    assert_eq!(logical_bytes(&one_column(lists.slice(1, 1))), 8 + 4);
    // Within a few per cent of the file, which has headers and padding besides.
    let batch = every_type(2000);
    let (logical, file) =
        (logical_bytes(&batch), Plan::new(&batch.schema(), std::slice::from_ref(&batch)).unwrap().len);
    assert!(logical < file && file < logical + logical / 10, "{logical} of {file}");
}
