//! Segments written batch by batch.

use arrow_array::types::Int32Type;
use arrow_array::{DictionaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use farrow_ipc::{IpcError, SegmentWriter, prepare};
use proptest::prelude::*;

use crate::samples::{every_type, one_column, read_all, segment};

fn written(schema: &SchemaRef, batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = SegmentWriter::new(schema, Vec::new()).unwrap();
    for (index, batch) in batches.iter().enumerate() {
        assert!(writer.takes(&batches[index..]));
        let most = writer.len_with(&batches[index..=index]).unwrap();
        writer.write(batch).unwrap();
        assert!(writer.written() < most);
    }
    let (bytes, len) = writer.finish().unwrap();
    assert_eq!(bytes.len() as u64, len);
    bytes
}

#[test]
fn the_bytes_are_those_of_all_at_once() {
    let parts = [20, 7, 33, 1].map(every_type);
    let schema = parts[0].schema();
    let batches = prepare(&schema, parts, 1).unwrap();
    assert_eq!(batches.len(), 4);
    assert_eq!(written(&schema, &batches), segment(&schema, &batches));
    assert_eq!(written(&schema, &[]), segment(&schema, &[]));
}

#[test]
fn what_was_begun_and_not_finished_is_no_file() {
    let batch = every_type(10);
    let mut bytes = Vec::new();
    let mut writer = SegmentWriter::new(&batch.schema(), &mut bytes).unwrap();
    writer.write(&batch).unwrap();
    drop(writer);
    assert!(farrow_ipc::Layout::verify(&bytes).is_err());
}

#[test]
fn another_dictionary_needs_another_file() {
    let words = |words: &[&str]| one_column(words.iter().copied().collect::<DictionaryArray<Int32Type>>());
    let first = words(&["a", "b", "a"]);
    let mut writer = SegmentWriter::new(&first.schema(), Vec::new()).unwrap();
    assert!(writer.takes(&[words(&["x"])]), "nothing is there yet");
    writer.write(&first).unwrap();
    let (same, longer, other) = (words(&["a", "b"]), words(&["a", "b", "c"]), words(&["b", "a"]));
    assert!(writer.takes(std::slice::from_ref(&first)) && writer.takes(std::slice::from_ref(&same)));
    assert!(!writer.takes(std::slice::from_ref(&longer)) && !writer.takes(std::slice::from_ref(&other)));
    writer.write(&same).unwrap();
    assert!(matches!(writer.write(&other), Err(IpcError::Write { .. })));
    let mut writer = SegmentWriter::new(&first.schema(), Vec::new()).unwrap();
    for batch in [&first, &same, &first] {
        writer.write(batch).unwrap();
    }
    assert_eq!(read_all(&writer.finish().unwrap().0), [first.clone(), same, first]);
}

#[test]
fn a_batch_of_another_schema() {
    let mut writer = SegmentWriter::new(&one_column(Int64Array::from(vec![1])).schema(), Vec::new()).unwrap();
    let other = one_column(StringArray::from(vec!["a"]));
    assert!(matches!(writer.write(&other), Err(IpcError::BatchSchema { batch: 0, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is reserved by it holds the file.
    #[test]
    fn len_with_is_enough_and_not_far_off(rows in proptest::collection::vec(0_usize..300, 1..12), split in 0_usize..12) {
        let whole = every_type(300);
        let schema = whole.schema();
        let batches = prepare(&schema, rows.iter().map(|&rows| whole.slice(0, rows)), 1).unwrap();
        let (first, rest) = batches.split_at(split.min(batches.len()));
        let mut writer = SegmentWriter::new(&schema, Vec::new()).unwrap();
        first.iter().for_each(|batch| writer.write(batch).unwrap());
        let most = writer.len_with(rest).unwrap();
        rest.iter().for_each(|batch| writer.write(batch).unwrap());
        let (_, len) = writer.finish().unwrap();
        let beginning_and_end = segment(&schema, &[]).len() as u64;
        let dictionaries = segment(&schema, &batches[..1.min(batches.len())]).len() as u64;
        prop_assert!(len <= most, "{len} of {most}");
        prop_assert!(most - len <= beginning_and_end + dictionaries + 24 * 12 + 64, "{len} of {most}");
    }
}
