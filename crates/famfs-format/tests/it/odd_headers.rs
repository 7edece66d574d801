//! Superblocks and log headers that are refused, and what in them must not be judged.

use famfs_format::{FormatError, FormatVersion, LogHeader, SUPERBLOCK_LEN, Structure, Superblock};

use crate::region::{DATA, MIB, UNIT, put_u32, put_u64, seal, superblock};

/// The bytes of a valid superblock after `change`, under a checksum that matches them.
fn changed(change: impl FnOnce(&mut [u8])) -> [u8; SUPERBLOCK_LEN] {
    let mut bytes = superblock().encode().expect("a valid superblock");
    change(&mut bytes);
    seal(&mut bytes, 96);
    bytes
}

fn refused(change: impl FnOnce(&mut [u8])) -> FormatError {
    Superblock::decode(&changed(change)).expect_err("a bad superblock")
}

fn header(change: impl FnOnce(&mut [u8])) -> Result<LogHeader, FormatError> {
    let mut bytes = LogHeader::new(8 * MIB).expect("a valid length").encode();
    change(&mut bytes);
    seal(&mut bytes, 24);
    LogHeader::decode(&bytes, &superblock())
}

#[test]
fn another_magic() {
    let found = 0x1234;
    let expected = FormatError::Magic { structure: Structure::Superblock, expected: 0x87b2_82ff, found };
    assert_eq!(refused(|bytes| put_u64(bytes, 0, found)), expected);
    let expected = FormatError::Magic { structure: Structure::LogHeader, expected: 0xbadcafef00d, found };
    assert_eq!(header(|bytes| put_u64(bytes, 0, found)), Err(expected));
}

#[test]
fn a_magic_of_the_other_byte_order() {
    let expected = 0x87b2_82ff_u64;
    let found = expected.swap_bytes();
    let error = refused(|bytes| bytes[..8].copy_from_slice(&expected.to_be_bytes()));
    assert_eq!(error, FormatError::ByteOrder { structure: Structure::Superblock, expected, found });
    let told = error.to_string();
    assert!(told.contains("magic 0xff82b28700000000") && told.contains("another architecture"), "{told}");
    let expected = 0xbadcafef00d_u64;
    let error = header(|bytes| bytes[..8].copy_from_slice(&expected.to_be_bytes())).unwrap_err();
    let found = expected.swap_bytes();
    assert_eq!(error, FormatError::ByteOrder { structure: Structure::LogHeader, expected, found });
}

#[test]
fn versions_that_are_not_known() {
    for (version, omf_major, omf_minor) in
        [(47, 1, 0), (46, 2, 1), (49, 2, 2), (48, 1, 2), (48, 3, 0), (48, 0, 0)]
    {
        let error = refused(|bytes| {
            put_u64(bytes, 8, version);
            put_u32(bytes, 40, omf_major);
            put_u32(bytes, 44, omf_minor);
        });
        assert_eq!(error, FormatError::Version { version, omf_major, omf_minor });
    }
    // Before the checksum: another version may have put it elsewhere.
    let mut bytes = superblock().encode().unwrap();
    put_u64(&mut bytes, 8, 49);
    let error = Superblock::decode(&bytes).unwrap_err();
    assert_eq!(error, FormatError::Version { version: 49, omf_major: 2, omf_minor: 2 });
}

#[test]
fn the_minor_number_is_not_judged() {
    let superblock = Superblock::decode(&changed(|bytes| put_u32(bytes, 44, 7))).unwrap();
    assert_eq!(superblock.version, FormatVersion::V48);
}

#[test]
fn a_checksum_with_a_nonzero_upper_half() {
    let mut bytes = superblock().encode().unwrap();
    bytes[100] = 1;
    let error = Superblock::decode(&bytes).unwrap_err();
    assert!(matches!(error, FormatError::Crc { structure: Structure::Superblock, .. }));

    let mut bytes = LogHeader::new(8 * MIB).unwrap().encode();
    bytes[28] = 1;
    let error = LogHeader::decode(&bytes, &superblock()).unwrap_err();
    assert!(matches!(error, FormatError::Crc { structure: Structure::LogHeader, .. }));
}

#[test]
fn every_flipped_bit_under_a_checksum() {
    let bytes = superblock().encode().unwrap();
    for bit in 0..104 * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        Superblock::decode(&flipped).expect_err("a flipped bit");
    }
    // The counters of the header are under none, but one of them alone cannot change.
    let bytes = LogHeader::new(8 * MIB).unwrap().encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        LogHeader::decode(&flipped, &superblock()).expect_err("a flipped bit");
    }
}

#[test]
fn what_mkfs_does_not_write_is_not_judged() {
    let bytes = changed(|bytes| {
        bytes[104..112].fill(0xa5);
        bytes[120..136].fill(0xa5);
    });
    assert_eq!(Superblock::decode(&bytes).unwrap(), superblock());
}

#[test]
fn geometry_that_no_famfs_writes() {
    assert_eq!(refused(|bytes| put_u64(bytes, 16, 0x40_0000)), FormatError::LogOffset { found: 0x40_0000 });
    for found in [0, 4 * MIB, 9 * MIB, 24 * MIB, u64::MAX] {
        assert_eq!(refused(|bytes| put_u64(bytes, 24, found)), FormatError::LogLen { found });
        assert_eq!(LogHeader::new(found), Err(FormatError::LogLen { found }));
        assert_eq!(
            Superblock { log_len: found, ..superblock() }.encode(),
            Err(FormatError::LogLen { found })
        );
    }
    for found in [0, 1, 8192, 4 * MIB] {
        assert_eq!(refused(|bytes| put_u64(bytes, 32, found)), FormatError::AllocUnit { found });
    }
    // famfs accepts this one, so it is accepted; files lie in units of 2 MiB all the same.
    Superblock::decode(&changed(|bytes| put_u64(bytes, 32, 4096))).unwrap();
}

#[test]
fn a_device_that_ends_before_its_log() {
    for device_len in [0, DATA - 1] {
        let expected = FormatError::DeviceLen { device_len, data_offset: DATA };
        assert_eq!(refused(|bytes| put_u64(bytes, 112, device_len)), expected);
    }
    let data_offset = (1 << 63) + UNIT;
    let expected = FormatError::DeviceLen { device_len: DATA + 64 * UNIT, data_offset };
    assert_eq!(refused(|bytes| put_u64(bytes, 24, 1 << 63)), expected);
}

#[test]
fn a_device_larger_than_its_medium() {
    let superblock = superblock();
    let device_len = superblock.device_len;
    superblock.check_media_len(device_len).unwrap();
    superblock.check_media_len(u64::MAX).unwrap();
    let expected = FormatError::MediaLen { device_len, media_len: device_len - 1 };
    assert_eq!(superblock.check_media_len(device_len - 1), Err(expected));
}

#[test]
fn the_device_path_is_cut_as_mkfs_cuts_it() {
    for (given, kept) in [(vec![b'x'; 64], 64), (vec![b'x'; 300], 64), (b"ab\0cd".to_vec(), 2), (vec![], 0)] {
        let encoded = Superblock { device_path: given.clone(), ..superblock() }.encode().unwrap();
        assert_eq!(Superblock::decode(&encoded).unwrap().device_path, given[..kept]);
    }
}

#[test]
fn fewer_bytes_than_a_struct() {
    for found in [0, 199] {
        let error = Superblock::decode(&superblock().encode().unwrap()[..found]).unwrap_err();
        assert_eq!(error, FormatError::Truncated { structure: Structure::Superblock, need: 200, found });
    }
    for found in [0, 47] {
        let bytes = LogHeader::new(8 * MIB).unwrap().encode();
        let error = LogHeader::decode(&bytes[..found], &superblock()).unwrap_err();
        assert_eq!(error, FormatError::Truncated { structure: Structure::LogHeader, need: 48, found });
    }
}

#[test]
fn a_header_that_does_not_fit_its_superblock() {
    let expected = FormatError::HeaderLen { expected: 8 * MIB, found: 16 * MIB };
    assert_eq!(header(|bytes| put_u64(bytes, 8, 16 * MIB)), Err(expected));
    for found in [15_418, 15_420, u64::MAX] {
        let expected = FormatError::LastIndex { expected: 15_419, found };
        assert_eq!(header(|bytes| put_u64(bytes, 16, found)), Err(expected));
    }
}

#[test]
fn counters_that_differ() {
    for (next_seqnum, next_index) in [(1, 0), (0, 1), (7, 8), (u64::MAX, 0)] {
        let decoded = header(|bytes| {
            put_u64(bytes, 32, next_seqnum);
            put_u64(bytes, 40, next_index);
        });
        assert_eq!(decoded, Err(FormatError::Counters { next_seqnum, next_index }));
    }
}

#[test]
fn counters_beyond_the_end_of_the_log() {
    let both = |next: u64| {
        move |bytes: &mut [u8]| {
            put_u64(bytes, 32, next);
            put_u64(bytes, 40, next);
        }
    };
    for next_index in [15_421, u64::MAX] {
        let expected = FormatError::NextIndex { next_index, capacity: 15_420 };
        assert_eq!(header(both(next_index)), Err(expected));
    }
    // One past the last entry is a full log, and takes no more.
    let full = header(both(15_420)).unwrap();
    assert_eq!(full.advanced(), Err(FormatError::LogFull { capacity: 15_420 }));
    let last = header(both(15_419)).unwrap().advanced().unwrap();
    assert_eq!(last, full);
}
