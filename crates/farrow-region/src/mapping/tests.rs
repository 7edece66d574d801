use std::os::fd::AsFd;

use super::*;
use crate::medium::MediumKind;

const KIB4: usize = 4096;
const MIB2: usize = 2 << 20;

fn range(offset: u64, len: u64) -> FileRange {
    FileRange { offset, len }
}

fn check_in(ranges: &[FileRange], unit: usize, file_len: u64) -> Result<usize, RegionError> {
    check(ranges, unit, || "a file".to_owned(), file_len).map(|checked| checked.len)
}

#[test]
fn ranges_of_whole_pages_and_a_last_one_of_any_length() {
    assert_eq!(check_in(&[range(0, 4096), range(8192, 8192), range(4096, 1)], KIB4, 16384).unwrap(), 12289);
    assert_eq!(check_in(&[range(0, 1)], KIB4, 1).unwrap(), 1);
}

#[test]
fn ranges_within_pages() {
    for (ranges, wrong) in [
        (&[range(1, 4096)][..], 0),
        (&[range(4097, 1)], 0),
        (&[range(0, 100), range(4096, 4096)], 0),
        (&[range(0, 4096), range(2048, 4096)], 1),
    ] {
        match check_in(ranges, KIB4, 1 << 20) {
            Err(RegionError::RangeUnaligned { index, unit: 4096, .. }) => assert_eq!(index, wrong),
            other => panic!("{ranges:?}: {other:?}"),
        }
    }
}

/// hugetlbfs: the kernel would round a range of 4 KiB up to 2 MiB, over whatever lies behind.
#[test]
fn ranges_of_a_file_with_larger_pages() {
    let file_len = 8 * MIB2 as u64;
    let small = check_in(&[range(0, 4096), range(4096, 4096)], MIB2, file_len);
    assert!(matches!(small, Err(RegionError::RangeUnaligned { index: 0, unit: 0x20_0000, .. })), "{small:?}");
    assert_eq!(check_in(&[range(MIB2 as u64, 4096)], MIB2, file_len).unwrap(), 4096);
}

#[test]
fn the_first_range_may_begin_within_a_larger_page() {
    let check = |ranges: &[FileRange]| check(ranges, MIB2, || "a device".to_owned(), 8 * MIB2 as u64);
    let mib2 = MIB2 as u64;
    assert_eq!(check(&[range(mib2 + 8192, 4096)]).unwrap(), Checked { before: 8192, len: 4096 });
    let rest_of_page = range(4096, mib2 - 4096);
    assert_eq!(
        check(&[rest_of_page, range(4 * mib2, 5)]).unwrap(),
        Checked { before: 4096, len: MIB2 - 4096 + 5 }
    );
    for (ranges, wrong) in [
        (&[range(100, 100)][..], 0),
        (&[range(4096, mib2), range(0, mib2)], 0),
        (&[rest_of_page, range(4096, mib2)], 1),
    ] {
        match check(ranges) {
            Err(RegionError::RangeUnaligned { index, unit: 0x20_0000, .. }) => assert_eq!(index, wrong),
            other => panic!("{ranges:?}: {other:?}"),
        }
    }
}

/// A file that stands in for a device of 8 MiB with pages of 2 MiB: what is mapped is what a device would
/// map, no more and on its pages.
#[test]
fn ranges_of_a_device() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("device");
    let bytes: Vec<u8> =
        (0..4 * MIB2 / KIB4).flat_map(|page| [u8::try_from(page % 251).unwrap(); KIB4]).collect();
    std::fs::write(&path, &bytes).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let mib2 = MIB2 as u64;
    let device = Medium { kind: MediumKind::DeviceDax, len: 4 * mib2, unit: MIB2 };
    let map = |ranges: &[FileRange], access| {
        StitchedMapping::of_medium(file.as_fd(), String::new(), device, ranges, access)
    };

    let mapping = map(&[range(3 * mib2 + 8192, mib2 - 8192), range(mib2, 100)], Access::ReadOnly).unwrap();
    assert_eq!(mapping.start().addr().get() % MIB2, 8192);
    let mut found = vec![0; mapping.len()];
    mapping.bytes().read(0, &mut found);
    assert!(found == [&bytes[3 * MIB2 + 8192..], &bytes[MIB2..MIB2 + 100]].concat(), "bytes differ");
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut offsets: Vec<_> = maps
        .lines()
        .filter(|line| line.ends_with(path.to_str().unwrap()))
        .map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (start, end) = fields[0].split_once('-').unwrap();
            let [start, end, offset] = [start, end, fields[2]].map(|n| usize::from_str_radix(n, 16).unwrap());
            assert_eq!(start % MIB2, 0, "{line}");
            (offset, end - start)
        })
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [(MIB2, MIB2), (3 * MIB2, MIB2)], "whole pages of the device");

    let writer = map(&[range(mib2 + 4096, 4096)], Access::ReadWrite).unwrap();
    writer.bytes().write(0, &[0xff; KIB4]);
    let mut expected = bytes;
    expected[MIB2 + 4096..MIB2 + 8192].fill(0xff);
    assert!(std::fs::read(&path).unwrap() == expected, "what lies around is untouched");

    for ranges in [&[range(3 * mib2, mib2 + 1)][..], &[range(4 * mib2, 1)], &[range(0, u64::MAX)]] {
        let error = map(ranges, Access::ReadOnly).unwrap_err();
        assert!(
            matches!(error, RegionError::RangePastEnd { file_len, .. } if file_len == 4 * mib2),
            "{error}"
        );
    }
}

#[test]
fn ranges_past_the_end() {
    for ranges in [
        &[range(0, 8193)][..],
        &[range(8192, 1)],
        &[range(0, 4096), range(4096, 4097)],
        &[range(4096, u64::MAX)],
        &[range(u64::MAX - 4095, 4096)],
    ] {
        let result = check_in(ranges, KIB4, 8192);
        assert!(
            matches!(result, Err(RegionError::RangePastEnd { file_len: 8192, .. })),
            "{ranges:?}: {result:?}"
        );
    }
}

#[test]
fn nothing_to_map() {
    let none = check_in(&[], KIB4, 8192);
    assert!(matches!(none, Err(RegionError::NothingToMap { ranges: 0 })), "{none:?}");
    let empty = check_in(&[range(0, 4096), range(4096, 0)], KIB4, 8192);
    assert!(matches!(empty, Err(RegionError::NothingToMap { ranges: 2 })), "{empty:?}");
}

#[test]
fn more_than_there_are_addresses() {
    let most = u64::MAX - 4095;
    let one = check_in(&[range(0, most)], KIB4, u64::MAX);
    assert!(matches!(one, Err(RegionError::TooLarge { len }) if len == most), "{one:?}");
    let large_pages = check_in(&[range(0, 4096)], 1 << 62, u64::MAX);
    assert!(matches!(large_pages, Err(RegionError::TooLarge { len: 4096 })), "{large_pages:?}");
    let two = check_in(&[range(0, most), range(0, most)], KIB4, u64::MAX);
    assert!(matches!(two, Err(RegionError::TooLarge { len: u64::MAX })), "{two:?}");
}

#[test]
fn a_reservation_is_aligned_and_as_long_as_asked() {
    for align in [KIB4, MIB2, 1 << 30] {
        for len in [KIB4, MIB2, MIB2 + KIB4] {
            let reservation = Reservation::new(len, align).unwrap();
            assert!(reservation.start.addr().get().is_multiple_of(align), "{reservation:?}");
            assert_eq!(reservation.len, len);
        }
    }
    let too_large = Reservation::new(usize::MAX - 4095, MIB2);
    assert_eq!(too_large.unwrap_err(), Errno::NOMEM);
}

/// Dropping gives back all of it, cut ends included: half a terabyte more often than there is room for.
#[test]
fn a_dropped_reservation_is_given_back() {
    for _ in 0..1000 {
        drop(Reservation::new(1 << 39, 1 << 30).unwrap());
    }
}
