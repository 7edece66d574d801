use std::fs;
use std::path::Path;

use super::*;
use crate::Access;

const PAGE: u64 = 4096;

fn file(directory: &Path, name: &str, pages: u64) -> FileMedia {
    FileMedia::create(directory.join(name), pages * PAGE, false).unwrap()
}

/// `len` bytes from the file's `offset` on, found at `at`.
fn part(at: u64, offset: u64, len: u64) -> FilePart {
    FilePart { at, range: FileRange { offset, len } }
}

#[test]
fn every_byte_is_that_of_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (file(directory.path(), "a", 3), file(directory.path(), "b", 1));
    // In another order than in the files, side by side from 0x1000 to 0x4000, and more behind a gap.
    let a_parts = vec![part(2 * PAGE, 0, PAGE), part(PAGE, 2 * PAGE, PAGE), part(9 * PAGE, PAGE, 12)];
    let media = AssembledMedia::new("both".into(), 10 * PAGE).with(a, a_parts).unwrap();
    let media = media.with(b, [part(3 * PAGE, 0, PAGE)]).unwrap();
    let data: Vec<u8> = (0..3 * PAGE).map(|at| u8::try_from(at % 251).unwrap()).collect();
    media.write_at(PAGE, &data).unwrap();
    media.persist(PAGE, 3 * PAGE).unwrap();
    media.write_at(9 * PAGE, b"twelve bytes").unwrap();
    let mut found = vec![0; data.len()];
    media.refresh(PAGE, 3 * PAGE).unwrap();
    media.read_at(PAGE, &mut found).unwrap();
    assert!(found == data);

    let page = usize::try_from(PAGE).unwrap();
    let (a, b) = (fs::read(directory.path().join("a")), fs::read(directory.path().join("b")));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a[..page] == data[page..2 * page] && a[2 * page..] == data[..page] && b == data[2 * page..]);
    assert_eq!(&a[page..page + 12], b"twelve bytes");
}

#[test]
fn where_no_part_is_nothing_happens() {
    let directory = tempfile::tempdir().unwrap();
    let a = file(directory.path(), "a", 2);
    let parts = vec![part(PAGE, 0, PAGE), part(3 * PAGE, PAGE, 20)];
    let media = AssembledMedia::new("with gaps".into(), 5 * PAGE).with(a, parts).unwrap();
    for (offset, len, at) in [
        (0, 1, 0),
        (PAGE - 1, 2, PAGE - 1),
        (PAGE, PAGE + 1, 2 * PAGE),
        (2 * PAGE, PAGE + 1, 2 * PAGE),
        (3 * PAGE + 19, 2, 3 * PAGE + 20),
        (PAGE, 4 * PAGE, 2 * PAGE),
        (4 * PAGE, 1, 4 * PAGE),
    ] {
        let mut bytes = vec![0xee; usize::try_from(len).unwrap()];
        let errors = [
            media.read_at(offset, &mut bytes).unwrap_err(),
            media.write_at(offset, &bytes).unwrap_err(),
            media.persist(offset, len).unwrap_err(),
            media.refresh(offset, len).unwrap_err(),
        ];
        for error in errors {
            assert!(
                matches!(&error, RegionError::NoPart { at: found, .. } if *found == at),
                "{offset} {len}: {error}"
            );
        }
        assert!(bytes.iter().all(|&byte| byte == 0xee), "{offset} {len}");
    }
    assert!(fs::read(directory.path().join("a")).unwrap().iter().all(|&byte| byte == 0));
    // The last word ends with the part in its middle.
    media.store_u64(3 * PAGE + 8, 7).unwrap();
    assert!(matches!(media.store_u64(3 * PAGE + 16, 7), Err(RegionError::NoPart { .. })));
    assert!(matches!(media.load_u64(0), Err(RegionError::NoPart { .. })));
    assert!(matches!(media.load_u64(u64::MAX - 7), Err(RegionError::OutOfBounds { .. })));
    media.read_at(0, &mut []).unwrap();
}

#[test]
fn parts_that_cannot_be_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut made = 0;
    let mut assemble = |parts: Vec<FilePart>| {
        made += 1;
        let a = file(directory.path(), &made.to_string(), 2);
        AssembledMedia::new("odd".into(), 8 * PAGE).with(a, parts).unwrap_err()
    };
    for parts in [
        vec![part(0, PAGE, PAGE + 1)],
        vec![part(0, u64::MAX - 7, 8)],
        vec![part(7 * PAGE, 0, PAGE + 1)],
        vec![part(u64::MAX - 7, 0, 8)],
    ] {
        let error = assemble(parts);
        assert!(matches!(error, RegionError::OutOfBounds { .. }), "{error}");
    }
    for parts in [vec![part(4, 0, 8)], vec![part(0, 4, 8)]] {
        let error = assemble(parts);
        assert!(matches!(error, RegionError::Unaligned { .. }), "{error}");
    }
    let error = assemble(vec![part(PAGE, 0, PAGE), part(0, 0, PAGE + 1)]);
    assert!(matches!(error, RegionError::PartsOverlap { offset: PAGE, .. }), "{error}");
}

#[test]
fn a_part_that_may_only_be_read_is_not_written_not_even_its_neighbour() {
    let directory = tempfile::tempdir().unwrap();
    drop(file(directory.path(), "read", 1));
    let read = FileMedia::open(directory.path().join("read"), Access::ReadOnly).unwrap();
    let written = file(directory.path(), "written", 1);
    let media = AssembledMedia::new("both".into(), 2 * PAGE).with(written, [part(0, 0, PAGE)]).unwrap();
    let media = media.with(read, [part(PAGE, 0, PAGE)]).unwrap();
    assert!(matches!(media.write_at(PAGE - 1, &[1, 1]), Err(RegionError::ReadOnly { .. })));
    let mut bytes = [9; 2];
    media.read_at(PAGE - 1, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 0]);
}

#[test]
fn a_file_that_shrinks_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (file(directory.path(), "a", 2), file(directory.path(), "b", 2));
    let media = AssembledMedia::new("both".into(), 2 * PAGE).with(a, [part(0, 0, PAGE)]).unwrap();
    let media = media.with(b, [part(PAGE, 0, PAGE)]).unwrap();
    media.check_len().unwrap();
    let path = directory.path().join("b");
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(PAGE).unwrap();
    let told = media.check_len().unwrap_err().to_string();
    assert!(told.contains(path.to_str().unwrap()), "{told}");
}

#[test]
fn a_lock_lives_as_long_as_the_medium() {
    let directory = tempfile::tempdir().unwrap();
    let open = || File::open(directory.path()).unwrap();
    let lock = open();
    lock.try_lock().unwrap();
    let media = AssembledMedia::new("locked".into(), PAGE).with_lock(lock);
    assert!(matches!(open().try_lock(), Err(fs::TryLockError::WouldBlock)));
    drop(media);
    open().try_lock().unwrap();
}

#[test]
fn a_loss_is_where_its_part_is() {
    let directory = tempfile::tempdir().unwrap();
    let a = file(directory.path(), "a", 2);
    a.lose(PAGE + 7).unwrap();
    let media = AssembledMedia::new("lossy".into(), 6 * PAGE)
        .with(a, [part(PAGE, 0, PAGE), part(4 * PAGE, PAGE, PAGE)])
        .unwrap();
    media.check_intact(0, 4 * PAGE).unwrap();
    media.check_intact(5 * PAGE, PAGE).unwrap();
    for (offset, len) in [(0, 6 * PAGE), (4 * PAGE, 1), (5 * PAGE - 1, 1)] {
        let error = media.check_intact(offset, len).unwrap_err();
        assert!(matches!(error, RegionError::Lost { offset: PAGE, len: PAGE, .. }), "{error}");
    }
    assert!(matches!(media.check_intact(0, 6 * PAGE + 1), Err(RegionError::OutOfBounds { .. })));
}
