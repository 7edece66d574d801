//! Files that somebody writes while they are read.

use std::cell::Cell;
use std::error::Error;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use farrow_ipc::{CopyingReader, IpcError, Layout, SegmentReader, Source, Trust};
use proptest::prelude::*;

use crate::samples::{every_type, segment};

/// Bytes that stay as they are.
pub(crate) struct Still<'a>(pub(crate) &'a [u8]);

impl Source for Still<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let start = usize::try_from(position)?;
        out.copy_from_slice(self.0.get(start..start + out.len()).ok_or("past the end")?);
        Ok(())
    }
}

/// Bytes of which some differ from one copy to the next.
struct Restless {
    bytes: Vec<u8>,
    seed: Cell<u64>,
    /// One byte in so many is changed.
    rarity: u64,
}

impl Restless {
    fn random(&self) -> u64 {
        // An xorshift: the same seed gives the same changes.
        let mut x = self.seed.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.seed.set(x);
        x
    }
}

impl Source for Restless {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Still(&self.bytes).read_at(position, out)?;
        for byte in out.iter_mut() {
            if self.random().is_multiple_of(self.rarity) {
                *byte ^= 1 << (self.random() % 8);
            }
        }
        Ok(())
    }
}

fn sample() -> Vec<u8> {
    let batch = every_type(50);
    segment(&batch.schema(), &[batch.slice(0, 20), batch.slice(20, 30)])
}

#[test]
fn what_is_copied_is_what_is_mapped() {
    let bytes = sample();
    let reader = CopyingReader::open(Still(&bytes)).unwrap();
    let in_place = SegmentReader::open(Buffer::from(bytes.as_slice()), Trust::Untrusted).unwrap();
    assert_eq!((reader.schema(), reader.num_batches()), (in_place.schema(), 2));
    for index in 0..2 {
        assert_eq!(reader.batch(index).unwrap(), in_place.batch(index).unwrap());
    }
    assert!(matches!(reader.batch(2), Err(IpcError::NoBatch { index: 2, batches: 2 })));
    let copied = Layout::verify_copy(&Still(&bytes)).unwrap();
    assert_eq!(copied.metadata_digest(), in_place.layout().metadata_digest());
    assert_eq!(copied.batches(), in_place.layout().batches());
}

#[test]
fn a_copy_is_the_arrays_own() {
    let bytes = sample();
    let batch = {
        let mut fleeting = bytes.clone();
        let batch = CopyingReader::open(Still(&fleeting)).unwrap().batch(0).unwrap();
        fleeting.fill(0xff);
        batch
    };
    assert_eq!(batch, every_type(50).slice(0, 20));
}

#[test]
fn a_source_that_fails_is_an_error() {
    struct Failing;
    impl Source for Failing {
        fn len(&self) -> u64 {
            1000
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
            Err("the device is gone".into())
        }
    }
    let error = CopyingReader::open(Failing).err().unwrap();
    assert!(matches!(error, IpcError::Read { position: 0, len: 6, .. }), "{error}");
    assert!(error.to_string().contains("the device is gone"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never a panic, and no array that was not validated as it is.
    #[test]
    fn bytes_that_change_between_two_looks_are_survived(seed in 1_u64.., rarity in 20_u64..20_000) {
        let source = Restless { bytes: sample(), seed: Cell::new(seed), rarity };
        if let Ok(reader) = CopyingReader::open(source) {
            for index in 0..reader.num_batches() {
                match reader.batch(index) {
                    Ok(batch) => assert_valid(&batch),
                    Err(error) => assert!(!matches!(error, IpcError::DecoderPanicked { .. }), "{error}"),
                }
            }
        }
    }
}

fn assert_valid(batch: &RecordBatch) {
    for column in batch.columns() {
        column.to_data().validate_full().unwrap();
    }
}
