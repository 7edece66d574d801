//! Damaged files: an error, or valid data, never a panic; and after the structure is verified, arrow's own
//! decoder does not panic either. What is accepted is read by Arrow's own reader, and goes through the C data interface.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::ffi::to_ffi;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{FileDecoder, FileReader, read_footer_length};
use arrow_ipc::{Block, root_as_footer};
use arrow_schema::Schema;
use arrow_schema::ffi::FFI_ArrowSchema;
use farrow_ipc::{IpcError, Layout, Plan, SegmentReader, Trust, logical_bytes, slices};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::samples::{every_type, segment};
use crate::stream_encoder::streamed;

fn sample() -> Vec<u8> {
    let batch = every_type(11);
    segment(&batch.schema(), &[batch.slice(0, 7), batch.slice(7, 4)])
}

/// A column of each kind of layout, small enough to try every byte.
fn narrow_sample() -> Vec<u8> {
    let batch = every_type(5);
    let schema = batch.schema();
    let names = ["utf8", "utf8 view", "list view", "map", "dictionary", "runs", "dense union", "fixed list"];
    let columns: Vec<_> = names.iter().map(|name| schema.index_of(name).unwrap()).collect();
    let batch = batch.project(&columns).unwrap();
    segment(&batch.schema(), &[batch])
}

/// Opens, validates and uses whatever is left of a file. True if it was read.
fn survives(bytes: &[u8]) -> bool {
    let bytes_read = bytes;
    let streamed = streamed(bytes);
    let bytes = Buffer::from(bytes);
    let Ok(layout) = Layout::verify(&bytes) else { return false };
    decode_with_arrow(&bytes, &layout);
    let validated = layout.validate_values(bytes.clone());
    if let Err(error @ IpcError::DecoderPanicked { .. }) = &validated {
        panic!("{error}");
    }
    let read = SegmentReader::open(bytes, Trust::Untrusted)
        .and_then(|reader| reader.batches().collect::<Result<Vec<_>, _>>());
    assert_eq!(read.is_ok(), validated.is_ok(), "{:?}", read.err());
    if let Ok(read) = &read {
        let rows = read.iter().filter(|batch| batch.num_rows() > 0);
        assert!(rows.eq(streamed.as_ref().unwrap()), "streamed, it reads otherwise");
    }
    read.is_ok_and(|batches| {
        let with_arrow = FileReader::try_new(Cursor::new(bytes_read), None).and_then(Iterator::collect);
        assert!(
            with_arrow.as_ref().ok() == Some(&batches),
            "arrow reads it otherwise: {:?}",
            with_arrow.err()
        );
        export(layout.schema(), &batches);
        batches.iter().for_each(use_all);
        true
    })
}

/// Makes what the C data interface is given.
fn export(schema: &Schema, batches: &[RecordBatch]) {
    let exported = FFI_ArrowSchema::try_from(schema).unwrap();
    assert_eq!(Schema::try_from(&exported).unwrap().fields().len(), schema.fields().len());
    for column in batches.iter().flat_map(RecordBatch::columns) {
        column.to_data().validate_full().unwrap();
        to_ffi(&column.to_data()).unwrap();
    }
}

fn use_all(batch: &RecordBatch) {
    assert_eq!(batch, &batch.slice(0, batch.num_rows()));
    assert!(logical_bytes(batch) < 1 << 40);
    assert_eq!(slices(batch, 64).map(|slice| slice.num_rows()).sum::<usize>(), batch.num_rows());
    Plan::new(&batch.schema(), std::slice::from_ref(batch)).unwrap();
}

/// The promise of the structure check, put to the decoder that others use.
fn decode_with_arrow(bytes: &Buffer, layout: &Layout) {
    let decode = || {
        let tail = bytes.len() - 10;
        let len = read_footer_length(bytes[tail..].try_into().unwrap()).unwrap();
        let Ok(footer) = root_as_footer(&bytes[tail - len..tail]) else { return };
        let data = |block: &Block| {
            let number = |n: i64| usize::try_from(n).unwrap();
            let len = number(block.metaDataLength().into()) + number(block.bodyLength());
            bytes.slice_with_length(number(block.offset()), len)
        };
        let mut decoder = FileDecoder::new(Arc::clone(layout.schema()), footer.version());
        for block in footer.dictionaries().iter().flatten() {
            drop(decoder.read_dictionary(block, &data(block)));
        }
        for block in footer.recordBatches().iter().flatten() {
            drop(decoder.read_record_batch(block, &data(block)));
        }
    };
    assert!(
        catch_unwind(AssertUnwindSafe(decode)).is_ok(),
        "arrow's decoder panicked on a verified structure"
    );
}

#[test]
fn every_byte_changed_is_survived() {
    let good = narrow_sample();
    assert!(survives(&good));
    let mut bytes = good.clone();
    let mut read = 0;
    for position in 0..good.len() {
        for mask in [0x01, 0x80, 0xff] {
            bytes[position] = good[position] ^ mask;
            read += usize::from(survives(&bytes));
        }
        bytes[position] = good[position];
    }
    assert!(read > 0, "a changed number or padding byte is not an error");
}

#[test]
fn every_length_is_survived() {
    let good = sample();
    for len in 0..good.len() {
        assert!(!survives(&good[..len]));
    }
}

/// Everything that is not a value: footer, headers, and the bytes between.
fn metadata_positions(bytes: &[u8]) -> Vec<usize> {
    let layout = Layout::verify(bytes).unwrap();
    let mut is_value = vec![false; bytes.len()];
    for block in layout.dictionaries().iter().chain(layout.batches()) {
        let body = usize::try_from(block.position + block.metadata_len).unwrap();
        is_value[body..body + usize::try_from(block.body_len).unwrap()].fill(true);
    }
    (0..bytes.len()).filter(|position| !is_value[*position]).collect()
}

#[derive(Clone, Debug)]
enum Damage {
    Byte(u8),
    Word(u32),
    Long(i64),
    CopyFrom(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let long = prop_oneof![Just(0), Just(-1), Just(i64::MAX), Just(i64::MIN), -70_i64..70, any::<i64>()];
    prop_oneof![
        any::<u8>().prop_map(Damage::Byte),
        prop_oneof![0_u32..300, any::<u32>()].prop_map(Damage::Word),
        long.prop_map(Damage::Long),
        any::<prop::sample::Index>().prop_map(Damage::CopyFrom),
    ]
}

fn apply(bytes: &mut [u8], position: usize, damage: &Damage) {
    let patch = match damage {
        Damage::Byte(byte) => vec![*byte],
        Damage::Word(word) => word.to_le_bytes().to_vec(),
        Damage::Long(long) => long.to_le_bytes().to_vec(),
        Damage::CopyFrom(from) => {
            let from = from.index(bytes.len() - 8) / 4 * 4;
            bytes[from..from + 8].to_vec()
        }
    };
    let position = position / patch.len() * patch.len();
    let end = bytes.len().min(position + patch.len());
    bytes[position..end].copy_from_slice(&patch[..end - position]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0),
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_metadata_is_survived(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..5)
    ) {
        let mut bytes = SAMPLE.with(Clone::clone);
        METADATA.with(|positions| {
            for (at, damage) in &damages {
                apply(&mut bytes, *at.get(positions), damage);
            }
        });
        survives(&bytes);
    }

    #[test]
    fn damaged_values_are_survived(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..5)
    ) {
        let mut bytes = SAMPLE.with(Clone::clone);
        for (at, damage) in &damages {
            let position = at.index(bytes.len());
            apply(&mut bytes, position, damage);
        }
        survives(&bytes);
    }
}

thread_local! {
    static SAMPLE: Vec<u8> = sample();
    static METADATA: Vec<usize> = SAMPLE.with(|bytes| metadata_positions(bytes));
}
