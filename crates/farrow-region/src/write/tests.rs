use std::fs::{self, File};
use std::thread;

use super::*;
use crate::ReadMapping;

fn range(offset: u64, len: u64) -> FileRange {
    FileRange { offset, len }
}

/// A file of `len` bytes 0xff.
fn file(len: usize) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), vec![0xff; len]).unwrap();
    file
}

#[test]
fn what_is_written_is_in_the_file() {
    let file = file(4 * 4096);
    let mapping = WriteMapping::map(file.as_file(), &[range(8192, 4096), range(0, 10)]).unwrap();
    assert_eq!(mapping.addr() % (2 << 20), 0);
    assert_eq!(mapping.len(), 4106);
    mapping.write_at(4090, b"twelve bytes").unwrap();
    mapping.zero(1, 3).unwrap();
    mapping.persist(0, 4106).unwrap();
    let mut expected = vec![0xff; 4 * 4096];
    expected[8193..8196].fill(0);
    expected[12282..12288].copy_from_slice(b"twelve");
    expected[..6].copy_from_slice(b" bytes");
    assert!(fs::read(file.path()).unwrap() == expected, "bytes differ");
}

#[test]
fn readers_of_the_ranges_see_it() {
    let file = file(4 * 4096);
    let ranges = [range(4096, 4096), range(0, 4096)];
    let writer = WriteMapping::map(file.as_file(), &ranges).unwrap().with_coherency(Coherency::Software);
    let reader = ReadMapping::map(File::open(file.path()).unwrap(), &ranges).unwrap();
    let data: Vec<u8> = (0..8192).map(|i| u8::try_from(i % 241).unwrap()).collect();
    writer.write_at(0, &data).unwrap();
    writer.persist(0, data.len()).unwrap();
    reader.refresh(0, data.len(), Coherency::Software).unwrap();
    assert!(reader.sealed(0, 8192, ()).unwrap().as_ref() == data, "bytes differ");
}

/// In a tmpfs, and in what `TMPDIR` is: pages are faulted in when they are mapped, and not once more when they are written.
#[test]
fn writing_faults_no_page_in() {
    const PAGES: usize = 4096;
    let faults = || -> u64 {
        // proc(5): minflt is the tenth field, the eighth after the program's name.
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(7).unwrap().parse().unwrap()
    };
    let places: [std::path::PathBuf; 2] = ["/dev/shm".into(), std::env::temp_dir()];
    for place in places.into_iter().filter(|place| place.is_dir()) {
        let file = tempfile::NamedTempFile::new_in(&place).unwrap();
        fs::write(file.path(), vec![0xff; PAGES * 4096]).unwrap();
        let mapping = WriteMapping::map(file.as_file(), &[range(0, (PAGES * 4096) as u64)]).unwrap();
        let data = vec![1; 4096];
        let before = faults();
        for page in 0..PAGES {
            mapping.write_at(page * 4096, &data).unwrap();
        }
        let found = faults() - before;
        assert!(found < PAGES as u64 / 16, "{found} faults for {PAGES} pages in {}", place.display());
    }
}

#[test]
fn past_the_end_nothing_is_copied() {
    let file = file(8192);
    let mapping = WriteMapping::map(file.as_file(), &[range(0, 5000)]).unwrap();
    for (offset, len) in [(0, 5001), (4999, 2), (5000, 1), (usize::MAX, 2)] {
        for result in
            [mapping.write_at(offset, &vec![0; len]), mapping.zero(offset, len), mapping.persist(offset, len)]
        {
            assert!(
                matches!(result, Err(RegionError::OutOfBounds { size: 5000, .. })),
                "{offset}, {len}: {result:?}"
            );
        }
    }
    assert!(fs::read(file.path()).unwrap() == [0xff; 8192], "bytes were written");
}

#[test]
fn a_writer_writes_in_order_and_to_the_end() {
    let file = file(4096);
    let mapping = WriteMapping::map(file.as_file(), &[range(0, 11)]).unwrap();
    let mut writer = mapping.writer();
    writer.write_all(b"arrow").unwrap();
    writer.write_all(b"").unwrap();
    assert_eq!(writer.position(), 5);

    let error = writer.write_all(b" farrow").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let full = error.get_ref().unwrap().downcast_ref::<RegionError>().unwrap();
    assert!(matches!(full, RegionError::OutOfBounds { offset: 5, len: 7, size: 11, .. }), "{full}");
    assert_eq!(writer.position(), 5);

    writer.write_all(b" again").unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.position(), 11);
    assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs::read(file.path()).unwrap()[..12], *b"arrow again\xff");
}

#[test]
fn threads_write_side_by_side() {
    let file = file(1 << 20);
    let mapping = WriteMapping::map(file.as_file(), &[range(0, 1 << 20)]).unwrap();
    // An odd length, so that neighbours share words.
    let part = 10_007;
    thread::scope(|scope| {
        for thread in 0..4 {
            let mapping = &mapping;
            scope.spawn(move || {
                for i in (thread..100).step_by(4) {
                    mapping.write_at(i * part, &vec![u8::try_from(i).unwrap(); part]).unwrap();
                }
            });
        }
    });
    let written = fs::read(file.path()).unwrap();
    for (i, part) in written.chunks(part).take(100).enumerate() {
        assert!(part.iter().all(|byte| usize::from(*byte) == i), "part {i}");
    }
    assert!(written[100 * part..].iter().all(|byte| *byte == 0xff), "past the last part");
}

#[test]
fn a_descriptor_for_reading_is_not_enough() {
    let file = file(4096);
    let error = WriteMapping::map(File::open(file.path()).unwrap(), &[range(0, 4096)]).unwrap_err();
    let RegionError::Io { action: "map", source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn a_file_too_short_for_its_ranges() {
    let file = file(4096);
    let error = WriteMapping::map(file.as_file(), &[range(0, 4097)]).unwrap_err();
    assert!(matches!(error, RegionError::RangePastEnd { file_len: 4096, .. }), "{error}");
}
