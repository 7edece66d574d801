//! Bytes for the other tests.

use famfs_format::{
    ENTRY_LEN, EntryBody, EntryError, Extent, FILE_FLAGS, FileEntry, FileMap, FormatError, FormatVersion,
    LogEntry, MkdirEntry, Namespace, RelPath, Superblock,
};

pub(crate) const MIB: u64 = 1 << 20;
/// One allocation unit.
pub(crate) const UNIT: u64 = 2 * MIB;
/// The place where data begins with the default log.
pub(crate) const DATA: u64 = 10 * MIB;

/// Offsets in an entry: the path of a FILE and of a MKDIR, and what follows the path of a FILE.
pub(crate) const FILE_PATH: usize = 40;
pub(crate) const MKDIR_PATH: usize = 28;
pub(crate) const EXTENT_TYPE: usize = 120;
pub(crate) const COUNT: usize = 128;
pub(crate) const MAP: usize = 136;

/// A device of 64 units of data behind the default log, with the UUIDs of the golden vectors.
pub(crate) fn superblock() -> Superblock {
    Superblock {
        version: FormatVersion::V48,
        log_len: 8 * MIB,
        alloc_unit: UNIT,
        uuid: "11111111-2222-3333-4444-555555555555".parse().expect("a UUID"),
        dev_uuid: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee".parse().expect("a UUID"),
        system_uuid: "00112233-4455-6677-8899-aabbccddeeff".parse().expect("a UUID"),
        device_len: DATA + 64 * UNIT,
        device_path: b"/dev/dax0.0".to_vec(),
    }
}

pub(crate) fn path(path: &str) -> RelPath {
    RelPath::parse(path).expect("a valid path")
}

/// `units` units, `first` units into the data area.
pub(crate) fn extent(first: u64, units: u64) -> Extent {
    Extent { dev_index: 0, offset: DATA + first * UNIT, len: units * UNIT }
}

pub(crate) fn file(seqnum: u64, name: &str, size: u64, map: FileMap) -> LogEntry {
    let file = FileEntry { path: path(name), size, flags: FILE_FLAGS, uid: 0, gid: 0, mode: 0o644, map };
    LogEntry { seqnum, body: EntryBody::File(file) }
}

pub(crate) fn simple(seqnum: u64, name: &str, size: u64, extents: &[Extent]) -> LogEntry {
    file(seqnum, name, size, FileMap::Simple(extents.to_vec()))
}

pub(crate) fn mkdir(seqnum: u64, name: &str) -> LogEntry {
    let dir = MkdirEntry { path: path(name), uid: 0, gid: 0, mode: 0o755 };
    LogEntry { seqnum, body: EntryBody::Mkdir(dir) }
}

/// One unit, the first of the data area.
pub(crate) fn plain() -> LogEntry {
    simple(0, "f", 5000, &[extent(0, 1)])
}

pub(crate) fn interleaved() -> LogEntry {
    let strips = vec![extent(0, 1), extent(8, 1), extent(16, 1)];
    file(0, "il", 3 * UNIT, FileMap::Interleaved { chunk_size: UNIT, strips })
}

/// Returns what the first entry of a log is refused for, having made sure that it leaves no trace but its space.
pub(crate) fn refused(bytes: &[u8]) -> EntryError {
    let mut namespace = Namespace::new(&superblock());
    let problem = match namespace.apply_bytes(bytes) {
        Err(FormatError::Entry { index: 0, problem }) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!((namespace.files().len(), namespace.dirs().len()), (0, 0));
    assert_eq!(namespace.stopped_at(), Some(0));
    problem
}

/// Returns what the last of `entries` is refused for; the ones before it are fine.
pub(crate) fn refused_last(entries: &[LogEntry]) -> EntryError {
    let mut namespace = Namespace::new(&superblock());
    let (last, before) = entries.split_last().expect("entries");
    for entry in before {
        namespace.apply_bytes(&encode(entry)).expect("a valid entry");
    }
    match namespace.apply_bytes(&encode(last)) {
        Err(FormatError::Entry { index, problem }) => {
            assert_eq!(index, before.len() as u64);
            problem
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn encode(entry: &LogEntry) -> [u8; ENTRY_LEN] {
    entry.encode().expect("a valid entry")
}

/// The bytes of `entry` after `change`, under a checksum that matches them again.
pub(crate) fn changed(entry: &LogEntry, change: impl FnOnce(&mut [u8])) -> [u8; ENTRY_LEN] {
    let mut bytes = encode(entry);
    change(&mut bytes);
    seal(&mut bytes, 536);
    bytes
}

/// Puts the checksum of `bytes[..at]` to `at`.
pub(crate) fn seal(bytes: &mut [u8], at: usize) {
    let crc = u64::from(crc32fast::hash(&bytes[..at]));
    put_u64(bytes, at, crc);
}

pub(crate) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Puts `name` into a path field, the rest of it NUL.
pub(crate) fn put_path(bytes: &mut [u8], at: usize, name: &[u8]) {
    bytes[at..at + 80].fill(0);
    bytes[at..at + name.len()].copy_from_slice(name);
}
