//! Tests of every medium, whatever it is made of.

use std::path::Path;

use super::*;
use crate::{AssembledMedia, CrashMedia, FileMedia, FilePart, FileRange, IncoherentMemory, MemMedia};

const LEN: usize = 8192 + 5;

/// Runs `test` on a medium of each kind, `LEN` zero bytes long.
fn each(test: impl Fn(&dyn Media)) {
    let directory = tempfile::tempdir().unwrap();
    let file = FileMedia::create(directory.path().join("coherent"), LEN as u64, false).unwrap();
    test(&file);
    let file = FileMedia::create(directory.path().join("software"), LEN as u64, false).unwrap();
    test(&file.with_coherency(Coherency::Software));
    test(&assembled(directory.path()));
    test(&MemMedia::new(LEN));
    test(&CrashMedia::new(LEN));
    test(&IncoherentMemory::new(LEN, 1).host());
}

/// Made of two files, cut where accesses of the tests cross.
fn assembled(directory: &Path) -> AssembledMedia {
    let file = |name, len| FileMedia::create(directory.join(name), len, false).unwrap();
    let part = |at, offset, len| FilePart { at, range: FileRange { offset, len } };
    let rest = LEN as u64 - 4096;
    let media = AssembledMedia::new("two files".into(), LEN as u64);
    let media = media.with(file("first", 3 * 4096), [part(0, 8192, 4096)]).unwrap();
    let second = [part(4096, 4096, 8), part(4104, 4104, rest - 8)];
    media.with(file("second", 4096 + rest), second).unwrap()
}

fn all(media: &dyn Media) -> Vec<u8> {
    let mut bytes = vec![0xee; LEN];
    media.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn begins_with_zeros() {
    each(|media| {
        assert_eq!(media.len(), LEN as u64);
        assert!(!media.is_empty());
        assert!(all(media) == [0; LEN], "{}", media.describe());
    });
}

#[test]
fn gives_back_what_was_written() {
    each(|media| {
        let mut expected = vec![0; LEN];
        for (i, (offset, len)) in [(0, 1), (3, 100), (4090, 12), (64, 64), (8192, 5), (LEN - 1, 1), (LEN, 0)]
            .into_iter()
            .enumerate()
        {
            let data = vec![u8::try_from(i + 1).unwrap(); len];
            media.write_at(offset as u64, &data).unwrap();
            media.persist(offset as u64, len as u64).unwrap();
            media.refresh(offset as u64, len as u64).unwrap();
            expected[offset..offset + len].copy_from_slice(&data);
            assert!(all(media) == expected, "{}: {len} bytes at {offset}", media.describe());
        }
    });
}

#[test]
fn words_are_little_endian_and_aligned() {
    each(|media| {
        media.store_u64(4096, 0x0102_0304_0506_0708).unwrap();
        assert_eq!(all(media)[4096..4104], [8, 7, 6, 5, 4, 3, 2, 1]);
        media.write_at(16, &[1, 0, 0, 0, 0, 0, 0, 0x80]).unwrap();
        assert_eq!(media.load_u64(16).unwrap(), 0x8000_0000_0000_0001);
        for offset in [1, 4, 4095, u64::MAX] {
            let load = media.load_u64(offset);
            assert!(matches!(load, Err(RegionError::Unaligned { align: 8, .. })), "{load:?}");
            let store = media.store_u64(offset, 1);
            assert!(matches!(store, Err(RegionError::Unaligned { align: 8, .. })), "{store:?}");
        }
    });
}

#[test]
fn ends_where_it_ends() {
    each(|media| {
        let size = LEN as u64;
        for (offset, len) in [
            (size, 1),
            (size - 1, 2),
            (size + 1, 0),
            (0, size + 1),
            (u64::MAX, 1),
            (u64::MAX, 0),
            (1, u64::MAX),
        ] {
            let mut results = vec![media.persist(offset, len), media.refresh(offset, len)];
            if len <= size + 1 {
                let mut bytes = vec![1; usize::try_from(len).unwrap()];
                results.push(media.write_at(offset, &bytes));
                results.push(media.read_at(offset, &mut bytes));
            }
            for result in results {
                match result {
                    Err(RegionError::OutOfBounds { offset: o, len: l, size: s, .. }) => {
                        assert_eq!((o, l, s), (offset, len, size));
                    }
                    other => panic!("{}: {len} bytes at {offset}: {other:?}", media.describe()),
                }
            }
        }
        // A word that begins within and ends past the end.
        assert!(matches!(media.load_u64(8192), Err(RegionError::OutOfBounds { .. })));
        assert!(matches!(media.store_u64(8192, 1), Err(RegionError::OutOfBounds { .. })));
        assert!(all(media) == [0; LEN], "nothing was written");
    });
}
