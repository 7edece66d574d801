//! What a commit records of a segment finds every later change of its blocks.

use std::ops::ControlFlow;

use farrow_ipc::{IpcError, Layout, Place, Recorded};

use crate::samples::{every_type, segment};

fn sample() -> (Vec<u8>, u64, Vec<u64>) {
    let batch = every_type(11);
    let bytes = segment(&batch.schema(), &[batch.slice(0, 7), batch.slice(7, 4)]);
    let layout = Layout::verify(&bytes).unwrap();
    let checksums = layout.checksums(bytes.as_slice()).unwrap();
    (bytes, layout.metadata_digest(), checksums)
}

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn every_changed_byte_of_a_block_is_found_and_its_block_named() {
    let (mut bytes, metadata_digest, checksums) = sample();
    let recorded = Recorded { metadata_digest, checksums: &checksums };
    let mut done = 0;
    let count = |bytes| {
        done += bytes;
        ControlFlow::Continue(())
    };
    let layout = recorded.verify(bytes.as_slice(), count).unwrap();
    let blocks = || layout.batches().iter().chain(layout.dictionaries());
    assert_eq!(done, blocks().map(|block| block.metadata_len + block.body_len).sum::<u64>());
    assert_eq!((checksums.len(), layout.batches().len()), (2 + layout.dictionaries().len(), 2));
    assert!(!layout.dictionaries().is_empty());

    let places = (0..2).map(Place::Batch).chain((0..layout.dictionaries().len()).map(Place::Dictionary));
    for (expected, block) in places.zip(blocks()) {
        let body = block.position + block.metadata_len;
        for at in body..body + block.body_len {
            let at = usize::try_from(at).unwrap();
            bytes[at] ^= 0x10;
            match recorded.verify(bytes.as_slice(), go_on) {
                Err(IpcError::Checksum { place, .. }) => assert_eq!(place, expected, "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
            bytes[at] ^= 0x10;
        }
        // The metadata: damaged beyond reading, or other than its digest.
        for at in block.position..body {
            let at = usize::try_from(at).unwrap();
            bytes[at] ^= 0x10;
            let found = recorded.verify(bytes.as_slice(), go_on);
            assert!(found.is_err(), "byte {at}");
            bytes[at] ^= 0x10;
        }
    }
    assert!(recorded.verify(bytes.as_slice(), go_on).is_ok());
}

#[test]
fn what_was_not_recorded_is_not_compared_and_what_does_not_fit_is_refused() {
    let (mut bytes, metadata_digest, checksums) = sample();
    let layout = Layout::verify(&bytes).unwrap();
    let none = Recorded { metadata_digest, checksums: &[] };
    let body = layout.batches()[1].position + layout.batches()[1].metadata_len;
    bytes[usize::try_from(body).unwrap()] ^= 1;
    let mut told = 0;
    let count = |_| {
        told += 1;
        ControlFlow::Continue(())
    };
    assert!(none.verify(bytes.as_slice(), count).is_ok(), "only its structure is known");
    assert_eq!(told, 0);

    let other = Recorded { metadata_digest: metadata_digest ^ 1, checksums: &[] };
    assert!(matches!(other.verify(bytes.as_slice(), go_on), Err(IpcError::Digest { .. })));
    let recorded = Recorded { metadata_digest, checksums: &checksums };
    assert!(matches!(recorded.verify(bytes.as_slice(), |_| ControlFlow::Break(())), Err(IpcError::Ended)));
    let fewer = Recorded { metadata_digest, checksums: &checksums[1..] };
    assert!(matches!(fewer.verify(bytes.as_slice(), go_on), Err(IpcError::ChecksumCount { .. })));
    assert!(matches!(layout.checksums(&bytes[1..]), Err(IpcError::OtherBytes { .. })));
}
