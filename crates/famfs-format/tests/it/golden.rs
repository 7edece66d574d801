//! Numbers computed by the famfs library itself for given values.

use famfs_format::{
    DaxdevEntry, EntryBody, Extent, FormatVersion, LogEntry, LogHeader, Superblock, entry_offset,
};

use crate::region::{encode, mkdir, simple, superblock};

fn stored_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[test]
fn a_file_entry_has_the_checksum_famfs_gives_it() {
    let extent = Extent { dev_index: 0, offset: 0xa0_0000, len: 0x20_0000 };
    let bytes = encode(&simple(0, "hello.bin", 12345, &[extent]));
    assert_eq!(stored_u64(&bytes, 536), 948_896_615);
}

#[test]
fn a_mkdir_entry_has_the_checksum_famfs_gives_it() {
    assert_eq!(stored_u64(&encode(&mkdir(1, "d")), 536), 3_860_422_513);
}

#[test]
fn an_add_daxdev_entry_has_the_checksum_famfs_gives_it() {
    let device = DaxdevEntry {
        size: 8 << 30,
        uuid: "99999999-0000-1111-2222-333333333333".parse().unwrap(),
        index: 1,
    };
    let bytes = encode(&LogEntry { seqnum: 1, body: EntryBody::AddDaxdev(device) });
    assert_eq!(stored_u64(&bytes, 536), 3_397_337_677);
}

#[test]
fn superblocks_of_both_versions_have_the_checksums_famfs_gives_them() {
    let v48 = superblock();
    assert_eq!(stored_u64(&v48.encode().unwrap(), 96), 0x2a1a_6aff);
    let v47 = Superblock { version: FormatVersion::V47, ..v48 };
    assert_eq!(stored_u64(&v47.encode().unwrap(), 96), 0x43de_48ba);
}

#[test]
fn log_headers_have_the_capacity_and_checksum_famfs_gives_them() {
    for (log_len, last_index, crc) in [
        (8 << 20, 15_419, 0xa587_5078),
        (16 << 20, 30_839, 0x3514_e0d7),
        (64 << 20, 123_360, 0xbc72_0e66),
        (256 << 20, 493_446, 0xe077_f1d4),
        (1 << 30, 1_973_789, 0xc59e_0ebe),
    ] {
        let header = LogHeader::new(log_len).unwrap();
        assert_eq!(header.last_index(), last_index, "log of {log_len} bytes");
        assert_eq!(header.capacity(), last_index + 1, "log of {log_len} bytes");
        assert_eq!(stored_u64(&header.encode(), 16), last_index, "log of {log_len} bytes");
        assert_eq!(stored_u64(&header.encode(), 24), crc, "log of {log_len} bytes");
        // The last entry ends inside the log, and one more would not.
        assert!(entry_offset(last_index + 1) <= 0x20_0000 + log_len);
        assert!(entry_offset(last_index + 2) > 0x20_0000 + log_len);
    }
}

#[test]
fn entries_lie_behind_the_header_without_gaps() {
    assert_eq!(entry_offset(0), 0x20_0030);
    assert_eq!(entry_offset(17), 0x20_0030 + 17 * 544);
    assert_eq!(entry_offset(u64::MAX), u64::MAX);
}

#[test]
fn the_fields_of_an_entry_lie_where_format_md_says() {
    let extents = [
        Extent { dev_index: 0, offset: 0x1122_0000_0000, len: 0x3344_0000_0000 },
        Extent { dev_index: 0, offset: 0x5566_0000_0000, len: 0x20_0000 },
    ];
    let bytes = encode(&simple(0x0102_0304, "p/q", 0x1_2345_6789, &extents));
    assert_eq!(stored_u64(&bytes, 0), 0x0102_0304);
    assert_eq!(stored_u64(&bytes, 8), 0, "type FILE and padding");
    assert_eq!(stored_u64(&bytes, 16), 0x1_2345_6789);
    assert_eq!(bytes[24..40], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0o244, 1, 0, 0]);
    assert_eq!(bytes[40..44], *b"p/q\0");
    assert_eq!(stored_u64(&bytes, 120), 0, "simple");
    assert_eq!(stored_u64(&bytes, 128), 2, "extents");
    assert_eq!([136, 144, 152].map(|at| stored_u64(&bytes, at)), [0, 0x1122_0000_0000, 0x3344_0000_0000]);
    assert_eq!([160, 168, 176].map(|at| stored_u64(&bytes, at)), [0, 0x5566_0000_0000, 0x20_0000]);
    assert!(bytes[184..536].iter().all(|&byte| byte == 0));
}
