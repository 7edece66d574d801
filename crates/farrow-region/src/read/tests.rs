use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const MIB2: usize = 2 << 20;

/// A file of `pages` pages of 4096 bytes; each byte of page n is n + 1.
fn pages(pages: u8) -> File {
    let mut file = tempfile::tempfile().unwrap();
    for page in 1..=pages {
        file.write_all(&[page; 4096]).unwrap();
    }
    file
}

fn range(offset: u64, len: u64) -> FileRange {
    FileRange { offset, len }
}

fn all(mapping: &Arc<ReadMapping>) -> SealedBytes {
    mapping.sealed(0, mapping.len(), ()).unwrap()
}

/// The lines of /proc/self/smaps about the mapping that begins at `addr`.
fn smaps(addr: usize) -> String {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let start =
        smaps.find(&format!("{addr:x}-")).unwrap_or_else(|| panic!("no mapping at {addr:x} in {smaps}"));
    let end = smaps[start..].find("VmFlags:").unwrap() + start;
    smaps[start..end].to_owned() + smaps[end..].lines().next().unwrap()
}

#[test]
fn ranges_lie_side_by_side_in_the_order_given() {
    let file = pages(6);
    let mapping =
        ReadMapping::map(&file, &[range(4 * 4096, 8192), range(0, 4096), range(8192, 100)]).unwrap();
    assert_eq!(mapping.addr() % MIB2, 0);
    assert_eq!(mapping.len(), 3 * 4096 + 100);
    let sealed = all(&mapping);
    let expected = [vec![5; 4096], vec![6; 4096], vec![1; 4096], vec![3; 100]].concat();
    assert!(sealed.as_ref() == expected, "bytes differ");
    assert_eq!(sealed.as_ref().as_ptr().addr(), mapping.addr(), "in place, not copied");
}

#[test]
fn many_ranges() {
    let file = pages(200);
    let ranges: Vec<_> = (0..200).rev().map(|page| range(page * 4096, 4096)).collect();
    let mapping = ReadMapping::map(&file, &ranges).unwrap();
    let sealed = all(&mapping);
    for (i, page) in sealed.as_ref().chunks(4096).enumerate() {
        assert_eq!(page, [u8::try_from(200 - i).unwrap(); 4096]);
    }
}

#[test]
fn the_same_range_twice() {
    let file = pages(2);
    let mapping = ReadMapping::map(&file, &[range(4096, 4096), range(4096, 4096)]).unwrap();
    assert!(all(&mapping).as_ref() == [2; 8192]);
}

#[test]
fn every_mapping_is_aligned() {
    let file = pages(3);
    let mappings: Vec<_> =
        (1..=20).map(|len| ReadMapping::map(&file, &[range(0, len * 600)]).unwrap()).collect();
    assert!(mappings.iter().all(|mapping| mapping.addr().is_multiple_of(MIB2)), "{mappings:?}");
}

#[test]
fn memory_is_shared_with_the_file() {
    let mut file = pages(2);
    let mapping = ReadMapping::map(&file, &[range(4096, 4096)]).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(b"fresh").unwrap();
    mapping.refresh(0, 5, Coherency::Coherent).unwrap();
    mapping.refresh(0, 4096, Coherency::Software).unwrap();
    assert_eq!(all(&mapping).as_ref()[..6], *b"fresh\x02");
}

#[test]
fn copies_of_bytes_that_are_not_sealed() {
    let mapping = ReadMapping::map(pages(3), &[range(8192, 4096), range(0, 10)]).unwrap();
    let mut bytes = [0; 6];
    mapping.read_at(4093, &mut bytes).unwrap();
    assert_eq!(bytes, [3, 3, 3, 1, 1, 1]);
    for offset in [4101, 4106, usize::MAX] {
        let error = mapping.read_at(offset, &mut bytes).unwrap_err();
        assert!(matches!(error, RegionError::OutOfBounds { size: 4106, .. }), "{error}");
    }
    assert_eq!(bytes, [3, 3, 3, 1, 1, 1]);
}

#[test]
fn kept_from_children_core_dumps_and_writing() {
    let named = tempfile::NamedTempFile::new().unwrap();
    fs::write(named.path(), [7; 4096]).unwrap();
    let mapping = ReadMapping::map(File::open(named.path()).unwrap(), &[range(0, 4096)]).unwrap();
    let smaps = smaps(mapping.addr());
    assert!(smaps.lines().next().unwrap().contains(" r--s "), "{smaps}");
    let flags: Vec<_> = smaps.split("VmFlags:").nth(1).unwrap().split_whitespace().collect();
    assert!(flags.contains(&"dc"), "copied on fork: {smaps}");
    assert!(flags.contains(&"dd"), "dumped: {smaps}");
    assert!(!flags.contains(&"mw"), "could be made writable: {smaps}");
}

#[test]
fn sealed_bytes_outlive_everything_else() {
    let file = pages(3);
    let mapping = ReadMapping::map(&file, &[range(0, 3 * 4096)]).unwrap();
    let sealed = mapping.sealed(4095, 4098, ()).unwrap();
    drop(mapping);
    drop(file);
    let expected = [vec![1], vec![2; 4096], vec![3]].concat();
    assert!(std::thread::spawn(move || sealed.as_ref() == expected).join().unwrap());
}

struct Lease {
    mapping: Weak<ReadMapping>,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        assert_eq!(self.mapping.strong_count(), 0, "the lease ends after the mapping");
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_holder_goes_with_the_last_bytes() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let mapping = ReadMapping::map(pages(1), &[range(0, 4096)]).unwrap();
    let lease = Lease { mapping: Arc::downgrade(&mapping), dropped: Arc::clone(&dropped) };
    let sealed = Arc::new(mapping.sealed(0, 10, lease).unwrap());
    drop(mapping);
    let clone = Arc::clone(&sealed);
    drop(sealed);
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    assert_eq!(clone.as_ref().as_ref(), [1; 10]);
    drop(clone);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn sealing_past_the_end() {
    let mapping = ReadMapping::map(pages(2), &[range(0, 5000)]).unwrap();
    let holder = Arc::new(());
    for (offset, len) in [(0, 5001), (5000, 1), (5001, 0), (usize::MAX, 1), (1, usize::MAX)] {
        let sealed = mapping.sealed(offset, len, Arc::clone(&holder));
        assert!(
            matches!(sealed, Err(RegionError::OutOfBounds { size: 5000, .. })),
            "{offset}, {len}: {sealed:?}"
        );
        assert_eq!(Arc::strong_count(&holder), 1);
        mapping.refresh(offset, len, Coherency::Software).unwrap_err();
    }
    assert_eq!(mapping.sealed(5000, 0, holder).unwrap().as_ref(), []);
}

#[test]
fn a_file_too_short_for_its_ranges() {
    let file = pages(2);
    let whole = range(0, 8192);
    ReadMapping::map(&file, &[whole]).unwrap();
    file.set_len(8191).unwrap();
    let error = ReadMapping::map(&file, &[whole]).unwrap_err();
    assert!(
        matches!(error, RegionError::RangePastEnd { index: 0, len: 8192, file_len: 8191, .. }),
        "{error}"
    );
    file.set_len(0).unwrap();
    let error = ReadMapping::map(&file, &[range(0, 1)]).unwrap_err();
    assert!(matches!(error, RegionError::RangePastEnd { file_len: 0, .. }), "{error}");
}

#[test]
fn what_is_no_file() {
    let (pipe, _other) = rustix::pipe::pipe().unwrap();
    for (fd, expected) in [
        (File::open("/").unwrap().into(), "a directory"),
        (File::open("/dev/null").unwrap().into(), "a character device other than device-dax"),
        (pipe, "a pipe"),
    ] {
        let error = ReadMapping::map(&fd, &[range(0, 4096)]).unwrap_err();
        assert!(matches!(&error, RegionError::NotAFile { kind, .. } if *kind == expected), "{error}");
    }
}

#[test]
fn a_failed_mapping_names_the_range() {
    let error = ReadMapping::map(pages(4), &[range(0, 4096), range(100, 4096)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "range 1 (4096 bytes at offset 0x64) does not lie on pages of 4096 bytes (only the last range may end within one)"
    );
}
