//! The addresses of buffers, and the owners of their bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use bytes::Bytes;
use farrow_ipc::{IpcError, SegmentReader, Trust};

use crate::samples::{every_type, segment};

fn buffers(data: &ArrayData, visit: &mut dyn FnMut(&Buffer)) {
    data.buffers().iter().for_each(&mut *visit);
    data.nulls().into_iter().for_each(|nulls| visit(nulls.buffer()));
    data.child_data().iter().for_each(|child| buffers(child, visit));
}

#[test]
fn every_buffer_of_every_type_lies_in_the_bytes() {
    let batch = every_type(100);
    let bytes = Buffer::from(segment(&batch.schema(), &[batch.slice(0, 60), batch.slice(60, 40)]).as_slice());
    let place = bytes.as_ptr().addr()..=bytes.as_ptr().addr() + bytes.len();
    for trust in [Trust::Untrusted, Trust::Validated] {
        let reader = SegmentReader::open(bytes.clone(), trust).unwrap();
        let mut seen = 0;
        for batch in reader.batches().map(Result::unwrap) {
            for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
                buffers(&column.to_data(), &mut |buffer| {
                    let start = buffer.as_ptr().addr();
                    let inside = place.contains(&start) && place.contains(&(start + buffer.len()));
                    assert!(
                        inside || buffer.is_empty(),
                        "{}: {} bytes elsewhere",
                        field.name(),
                        buffer.len()
                    );
                    seen += usize::from(!buffer.is_empty());
                });
            }
        }
        assert!(seen > 2 * batch.num_columns(), "only {seen} buffers seen");
    }
}

/// Bytes that tell when they are let go, as a mapping under a lease does.
struct Leased {
    bytes: Buffer,
    gone: Arc<AtomicBool>,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
    }
}

fn leased(batch: &RecordBatch) -> (Bytes, Arc<AtomicBool>) {
    let bytes = Buffer::from(segment(&batch.schema(), std::slice::from_ref(batch)).as_slice());
    let gone = Arc::new(AtomicBool::new(false));
    (Bytes::from_owner(Leased { bytes, gone: Arc::clone(&gone) }), gone)
}

#[test]
fn the_last_array_lets_the_bytes_go() {
    let sample = every_type(20);
    for column in 0..sample.num_columns() {
        let (bytes, gone) = leased(&sample);
        let reader = SegmentReader::open(bytes, Trust::Validated).unwrap();
        let array = Arc::clone(reader.batch_columns(0, &[column]).unwrap().column(0));
        drop(reader);
        let name = sample.schema().field(column).name().clone();
        // An array without any buffer has nothing to keep.
        assert_eq!(gone.load(Ordering::SeqCst), name == "null", "{name}");
        let part = array.slice(3, 2);
        drop(array);
        assert_eq!(part.len(), 2);
        drop(part);
        assert!(gone.load(Ordering::SeqCst), "{name}");
    }
}

#[test]
fn a_reader_that_fails_to_open_lets_the_bytes_go() {
    let (bytes, gone) = leased(&every_type(5));
    assert!(SegmentReader::open(bytes.slice(..bytes.len() - 1), Trust::Validated).is_err());
    drop(bytes);
    assert!(gone.load(Ordering::SeqCst));
}

#[test]
fn bytes_off_a_16_byte_boundary_are_refused() {
    let batch = every_type(5);
    let file = segment(&batch.schema(), std::slice::from_ref(&batch));
    for shift in [1, 4, 8, 15] {
        let shifted = Buffer::from([vec![0; shift], file.clone()].concat().as_slice()).slice(shift);
        let error = SegmentReader::open(shifted, Trust::Validated).unwrap_err();
        assert!(
            matches!(error, IpcError::Address { misalignment, need: 16 } if misalignment == shift),
            "{error}"
        );
    }
    let shifted = Buffer::from([vec![0; 16], file].concat().as_slice()).slice(16);
    assert_eq!(SegmentReader::open(shifted, Trust::Untrusted).unwrap().batch(0).unwrap(), batch);
}
