use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use farrow_ipc::{IpcError, MessageSizes, StreamEncoder, StreamSchema, Trust};
use farrow_region::{FileRange, RegionError, survive_bus_errors};

use super::*;

const PAGE: usize = 4096;
const SIZES: MessageSizes = MessageSizes { about: 10_000, most: 1 << 20 };

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

fn open(file: &File, len: usize) -> Result<StreamEncoder<SegmentMemory>, IpcError> {
    StreamEncoder::open(map(file, len), Trust::Validated)
}

/// All messages from here on.
fn drain(mut encoder: StreamEncoder<SegmentMemory>) -> Result<usize, AgentError> {
    let mut stream = StreamSchema::new(encoder.schema())?;
    let mut messages = 0;
    while encoder.next(&mut stream, SIZES)?.is_some() {
        messages += 1;
    }
    Ok(messages)
}

#[test]
fn what_is_lost_before_it_is_copied() {
    let (file, len) = stored();
    let (whole, memory, unopened) = (open(&file, len).unwrap(), map(&file, len), map(&file, len));
    assert!(drain(open(&file, len).unwrap()).unwrap() > 10);
    file.set_len(3 * PAGE as u64).unwrap();
    is_lost(memory.expect_all());
    let last = (len - 1) / PAGE * PAGE;
    let opened = StreamEncoder::open(unopened, Trust::Validated).map_err(AgentError::from);
    assert_eq!(is_lost(opened), last as u64);
    assert!(is_lost(drain(whole)) >= 3 * PAGE as u64);
}

#[test]
fn what_is_lost_meanwhile() {
    for panics in [false, true] {
        let (file, len) = stored();
        let memory = map(&file, len);
        let bytes = memory.bytes().unwrap();
        let read = memory.read(|| {
            file.set_len(0).unwrap();
            let sum: usize = bytes.iter().step_by(PAGE).map(|byte| usize::from(*byte)).sum();
            assert!(!panics, "{sum}");
            Ok(sum)
        });
        is_lost(read);
        is_lost(memory.read(|| Ok(())));
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

/// Another process writes the file, and the encoder is between two messages.
#[test]
fn what_is_written_meanwhile_is_an_error_that_names_its_place() {
    let (file, len) = stored();
    let mut encoder = open(&file, len).unwrap();
    let mut stream = StreamSchema::new(encoder.schema()).unwrap();
    assert!(encoder.next(&mut stream, SIZES).unwrap().is_some());
    let block = encoder.layout().batches()[1];
    let words = vec![0xff; usize::try_from(block.body_len).unwrap()];
    file.write_all_at(&words, block.position + block.metadata_len).unwrap();
    let error = loop {
        match encoder.next(&mut stream, SIZES) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("offsets of -1 were sent"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.starts_with("record batch 1: column 1 (\"text\"): offset -1 where 0 to "), "{error}");
}
