//! famfs-format: each decoder by itself, and a whole log.
//!
//! Random bytes have no valid checksum and would get no further than that, so each target takes its input
//! twice: as it is, and with checksums that match.

use famfs_format::{
    ALLOC_UNIT, DaxdevEntry, ENTRY_LEN, EntryBody, Extent, FILE_FLAGS, FileEntry, FileMap, FormatError,
    FormatVersion, LOG_HEADER_LEN, LogEntry, LogHeader, MAX_EXTENTS, MkdirEntry, Namespace, RelPath,
    SUPERBLOCK_LEN, Superblock,
};
use uuid::Uuid;

use crate::bytes::{put, seal_famfs, u64_at};

const SUPERBLOCK_CRC: usize = 96;
const LOG_HEADER_CRC: usize = 24;
const ENTRY_CRC: usize = 536;

/// Pieces of a file that are looked at: an interleaved file may have 2^40 of them.
const MOST_RUNS: usize = 64;

/// [`Superblock::decode`].
pub fn superblock(bytes: &[u8]) {
    decode_superblock(bytes);
    decode_superblock(&sealed_superblock(bytes));
}

/// The superblock of `bytes` under a checksum that matches.
pub(crate) fn sealed_superblock(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    seal_famfs(&mut sealed, SUPERBLOCK_CRC);
    sealed
}

fn decode_superblock(bytes: &[u8]) -> Option<Superblock> {
    let superblock = explained(Superblock::decode(bytes))?;
    assert!(superblock.data_offset() <= superblock.device_len);
    assert!(superblock.check_media_len(superblock.device_len).is_ok());
    let encoded = superblock.encode().expect("what was decoded can be encoded");
    assert_eq!(Superblock::decode(&encoded).as_ref(), Ok(&superblock));
    // The minor number is not judged, and so may differ.
    assert_eq!(encoded[..44], bytes[..44]);
    assert_eq!(encoded[48..SUPERBLOCK_CRC], bytes[48..SUPERBLOCK_CRC]);
    Some(superblock)
}

pub(crate) fn superblock_seeds() -> Vec<Vec<u8>> {
    let odd_path = Superblock { device_path: vec![b'x'; 64], ..device() };
    let old = Superblock { version: FormatVersion::V47, alloc_unit: 4096, ..device() };
    let large = Superblock { log_len: 1 << 40, device_len: u64::MAX, ..device() };
    [device(), odd_path, old, large]
        .map(|superblock| superblock.encode().expect("a valid superblock").to_vec())
        .to_vec()
}

/// [`LogHeader::decode`], for logs of every length.
pub fn log_header(bytes: &[u8]) {
    decode_log_header(bytes);
    let mut sealed = bytes.to_vec();
    seal_famfs(&mut sealed, LOG_HEADER_CRC);
    decode_log_header(&sealed);
}

fn decode_log_header(bytes: &[u8]) {
    let asked = u64_at(bytes, 8).filter(|len| len.is_power_of_two() && *len >= device().log_len);
    for log_len in [Some(device().log_len), asked].into_iter().flatten() {
        let superblock = Superblock { log_len, device_len: u64::MAX, ..device() };
        let Some(header) = explained(LogHeader::decode(bytes, &superblock)) else { continue };
        assert_eq!(header.len(), log_len);
        assert!(header.next_index() <= header.capacity());
        assert_eq!(header.last_index() + 1, header.capacity());
        assert_eq!(header.encode(), bytes[..LOG_HEADER_LEN]);
        match header.advanced() {
            Ok(next) => assert_eq!(next.next_index(), header.next_index() + 1),
            Err(error) => assert_eq!(error, FormatError::LogFull { capacity: header.next_index() }),
        }
    }
}

pub(crate) fn log_header_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = [8 << 20, 16 << 20, 1 << 63].map(|len| header(len, 0)).to_vec();
    seeds.push(header(8 << 20, 15_420));
    seeds
}

/// [`LogEntry::decode`], in both versions, for the sequence number that is wanted and another.
pub fn entry(bytes: &[u8]) {
    decode_entry(bytes);
    let mut sealed = bytes.to_vec();
    seal_famfs(&mut sealed, ENTRY_CRC);
    decode_entry(&sealed);
}

fn decode_entry(bytes: &[u8]) {
    for expect_seqnum in [Some(0), u64_at(bytes, 0)].into_iter().flatten() {
        for version in [FormatVersion::V47, FormatVersion::V48] {
            let decoded = explained(LogEntry::decode(bytes, expect_seqnum, version));
            let Some(entry) = decoded else { continue };
            assert_eq!(entry.seqnum, expect_seqnum);
            let encoded = entry.encode().expect("what was decoded can be encoded");
            assert_eq!(encoded, bytes[..ENTRY_LEN], "only what encode writes is accepted");
            if let EntryBody::File(file) = &entry.body {
                check_file(file);
            }
        }
    }
}

fn check_file(file: &FileEntry) {
    assert!(file.size > 0);
    let extents = file.map.extents();
    assert!((1..=MAX_EXTENTS).contains(&extents.len()));
    assert_eq!(file.resolve(file.size), None);
    assert_eq!(file.resolve(u64::MAX), None);
    assert!(file.resolve(file.size - 1).is_some_and(|(_, len)| len == 1));
    let mut len = 0;
    let mut complete = true;
    for (index, (offset, run)) in file.runs().enumerate() {
        if index == MOST_RUNS {
            complete = false;
            break;
        }
        assert!(run > 0);
        let end = offset.checked_add(run).expect("a run does not wrap around");
        let inside = |e: &Extent| e.offset <= offset && e.end().is_some_and(|extent_end| end <= extent_end);
        assert!(extents.iter().any(inside), "{offset:#x}+{run:#x} is in no extent of {file:?}");
        len += run;
    }
    assert!(len == file.size || !complete && len < file.size);
}

pub(crate) fn entry_seeds() -> Vec<Vec<u8>> {
    entries().iter().map(|entry| entry.encode().expect("a valid entry").to_vec()).collect()
}

/// A whole log into a [`Namespace`]: superblock, log header and entries, one behind the other without the gap
/// that is between the first two on a device.
pub fn replay(bytes: &[u8]) {
    replay_log(bytes);
    replay_log(&sealed_log(bytes));
}

/// A log in which checksums match and entries are numbered.
pub(crate) fn sealed_log(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = sealed_superblock(bytes);
    let Some(log) = sealed.get_mut(SUPERBLOCK_LEN..) else { return sealed };
    seal_famfs(log, LOG_HEADER_CRC);
    let Some(entries) = log.get_mut(LOG_HEADER_LEN..) else { return sealed };
    for (index, entry) in (0_u64..).zip(entries.chunks_mut(ENTRY_LEN)) {
        put(entry, 0, &index.to_le_bytes());
        seal_famfs(entry, ENTRY_CRC);
    }
    sealed
}

fn replay_log(bytes: &[u8]) {
    let superblock = decode_superblock(bytes).unwrap_or_else(device);
    let Some(log) = bytes.get(SUPERBLOCK_LEN..) else { return };
    // The header does not end the replay here, so that entries are read whatever it counts.
    explained(LogHeader::decode(log, &superblock));
    let mut namespace = Namespace::new(&superblock);
    let whole = namespace.free_bytes();
    for (index, bytes) in (0_u64..).zip(log.get(LOG_HEADER_LEN..).unwrap_or_default().chunks(ENTRY_LEN)) {
        let before = (namespace.files().len(), namespace.dirs().len(), namespace.free_bytes());
        assert_eq!(namespace.next_index(), index);
        let stopped = namespace.stopped_at();
        match namespace.apply_bytes(bytes) {
            Ok(entry) => {
                assert_eq!(stopped, None, "nothing is accepted after a bad entry");
                assert_eq!(entry.seqnum, index);
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!((namespace.files().len(), namespace.dirs().len()), (before.0, before.1));
                assert_eq!(namespace.stopped_at(), stopped.or(Some(index)));
            }
        }
        assert!(namespace.free_bytes() <= before.2);
    }
    check_namespace(&namespace, &superblock, whole);
}

fn check_namespace(namespace: &Namespace, superblock: &Superblock, whole: u64) {
    let parents = namespace
        .files()
        .map(|file| &file.path)
        .chain(namespace.dirs().map(|dir| &dir.path))
        .filter_map(RelPath::parent);
    for parent in parents {
        assert!(namespace.dir(&parent).is_some(), "{parent} has no entry");
    }
    let mut extents = Vec::new();
    for file in namespace.files() {
        assert!(namespace.dir(&file.path).is_none());
        assert!(namespace.passed_over().all(|(path, _)| *path != file.path));
        check_file(file);
        extents.extend(file.map.extents().iter().map(|extent| (extent.offset, extent.len)));
    }
    extents.sort_unstable();
    let mut end = superblock.data_offset();
    let mut taken = 0;
    for (offset, len) in extents {
        assert!(offset >= end, "extents overlap, or are in the log");
        assert!(offset.is_multiple_of(ALLOC_UNIT) && len.is_multiple_of(ALLOC_UNIT));
        end = offset.checked_add(len).expect("no extent wraps around");
        taken += len;
    }
    assert!(end <= superblock.device_len);
    assert!(namespace.free_bytes() <= whole - taken);
    assert!(namespace.largest_free() <= namespace.free_bytes());
    match namespace.allocate(1) {
        Ok(extent) => {
            assert_eq!(namespace.stopped_at(), None);
            assert!(namespace.free_bytes() == whole - taken || namespace.passed_over().len() > 0);
            assert!(extent.end().is_some_and(|end| end <= superblock.device_len));
        }
        Err(FormatError::Stopped { index }) => assert_eq!(namespace.stopped_at(), Some(index)),
        Err(error) => assert_eq!(namespace.free_bytes(), 0, "{error}"),
    }
}

pub(crate) fn replay_seeds() -> Vec<Vec<u8>> {
    let superblock = device().encode().expect("a valid superblock");
    let entries = entries();
    let count = entries.len() as u64;
    let log: Vec<u8> = entry_seeds().concat();
    vec![
        [superblock.to_vec(), header(device().log_len, 0)].concat(),
        [superblock.to_vec(), header(device().log_len, count), log].concat(),
    ]
}

/// Does with an error what a real decoder's caller does: prints it.
fn explained<T>(result: Result<T, FormatError>) -> Option<T> {
    result.inspect_err(|error| assert!(!error.to_string().is_empty())).ok()
}

/// 64 units of data behind the default log.
fn device() -> Superblock {
    Superblock {
        version: FormatVersion::V48,
        log_len: 8 << 20,
        alloc_unit: ALLOC_UNIT,
        uuid: Uuid::from_u128(1),
        dev_uuid: Uuid::from_u128(2),
        system_uuid: Uuid::from_u128(3),
        device_len: (10 << 20) + 64 * ALLOC_UNIT,
        device_path: b"/dev/dax0.0".to_vec(),
    }
}

fn header(log_len: u64, entries: u64) -> Vec<u8> {
    let mut bytes = LogHeader::new(log_len).expect("a valid length").encode();
    put(&mut bytes, 32, &entries.to_le_bytes());
    put(&mut bytes, 40, &entries.to_le_bytes());
    bytes.to_vec()
}

/// Entries of every kind that make a log together.
fn entries() -> Vec<LogEntry> {
    let path = |path| RelPath::parse(path).expect("a valid path");
    let extent = |first, units| Extent {
        dev_index: 0,
        offset: (10 << 20) + first * ALLOC_UNIT,
        len: units * ALLOC_UNIT,
    };
    let dir = |name| EntryBody::Mkdir(MkdirEntry { path: path(name), uid: 1000, gid: 100, mode: 0o755 });
    let file = |name, size, map| {
        let path = path(name);
        EntryBody::File(FileEntry { path, size, flags: FILE_FLAGS, uid: 0, gid: 0, mode: 0o644, map })
    };
    let strips = vec![extent(8, 2), extent(16, 2), extent(24, 2)];
    let bodies = [
        dir("d"),
        dir("d/e"),
        file("d/e/one", 5000, FileMap::Simple(vec![extent(0, 1)])),
        file("two", 3 * ALLOC_UNIT + 1, FileMap::Simple(vec![extent(4, 1), extent(2, 1), extent(5, 2)])),
        file("striped", 5 * ALLOC_UNIT + 7, FileMap::Interleaved { chunk_size: ALLOC_UNIT, strips }),
        EntryBody::AddDaxdev(DaxdevEntry { size: 8 << 30, uuid: Uuid::from_u128(4), index: 1 }),
    ];
    (0..).zip(bodies).map(|(seqnum, body)| LogEntry { seqnum, body }).collect()
}
