use std::fs::File;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use farrow_region::{FileRange, RegionError, survive_bus_errors};

use super::*;

const PAGE: usize = 4096;

/// A file with a segment of several batches; its pages are mapped anew by each [`map`].
fn stored() -> (File, usize) {
    survive_bus_errors().unwrap();
    let numbers: ArrayRef = Arc::new((0..5000).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new((0..5000).map(|n| Some(format!("row {n}"))).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("number", numbers), ("text", texts)]).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let len = farrow_ipc::write(&batch.schema(), &[batch.clone(), batch], &mut file).unwrap();
    (file, usize::try_from(len).unwrap())
}

fn map(file: &File, len: usize) -> SegmentMemory {
    let mapping = ReadMapping::map(file, &[FileRange { offset: 0, len: len as u64 }]).unwrap();
    SegmentMemory::new(mapping, 0, len)
}

fn is_lost<T>(result: Result<T, AgentError>) -> u64 {
    match result {
        Err(AgentError::Region(RegionError::Lost { offset, .. })) => offset,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("nothing was lost"),
    }
}

#[test]
fn what_is_lost_beforehand() {
    let (file, len) = stored();
    let memory = map(&file, len);
    let segment = OpenSegment::open(map(&file, len), Trust::Validated).unwrap();
    let before = map(&file, len);
    file.set_len(3 * PAGE as u64).unwrap();
    let footer = (len - FOOTER) / PAGE * PAGE;
    assert_eq!(is_lost(OpenSegment::open(memory, Trust::Validated)), footer as u64);
    let block = segment.layout().batches()[1];
    let end = block.position + block.metadata_len + block.body_len;
    assert_eq!(is_lost(segment.batch(1)), (end - 1) / PAGE as u64 * PAGE as u64);
    before.expect(0, 3 * PAGE).unwrap();
    assert_eq!(is_lost(before.expect(0, 5 * PAGE)), 3 * PAGE as u64, "few pages: each of them is asked for");
    is_lost(before.expect_all());
}

#[test]
fn what_is_lost_meanwhile() {
    for panics in [false, true] {
        let (file, len) = stored();
        let segment = OpenSegment::open(map(&file, len), Trust::Validated).unwrap();
        let batch = segment.batch(0).unwrap();
        let read = segment.read(|| {
            file.set_len(0).unwrap();
            let sum: usize =
                batch.columns().iter().map(|column| column.to_data().buffers()[0][0] as usize).sum();
            assert!(!panics, "{sum}");
            Ok(sum)
        });
        is_lost(read);
        is_lost(segment.read(|| Ok(())));
    }
}

#[test]
fn a_panic_is_an_error() {
    let (file, len) = stored();
    let memory = map(&file, len);
    let panicked = memory.read::<()>(|| panic!("offsets that go backwards"));
    let error = panicked.unwrap_err().to_string();
    assert!(error.contains("offsets that go backwards"), "{error}");
    assert_eq!(memory.read(|| Ok(memory.bytes()?.len())).unwrap(), len);
}
