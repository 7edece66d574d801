use famfs_format::{ALLOC_UNIT, EntryBody, FILE_FLAGS, FileMap, FormatVersion, MIN_LOG_LEN, MkdirEntry};
use uuid::Uuid;

use super::*;

const UNIT: u64 = ALLOC_UNIT;
const DATA: u64 = LOG_OFFSET + MIN_LOG_LEN;

/// A volume of 64 units with farrow's directories.
fn volume() -> Volume {
    let superblock = Superblock {
        version: FormatVersion::V48,
        log_len: MIN_LOG_LEN,
        alloc_unit: UNIT,
        uuid: Uuid::from_u128(1),
        dev_uuid: Uuid::from_u128(2),
        system_uuid: Uuid::from_u128(3),
        device_len: DATA + 64 * UNIT,
        device_path: Vec::new(),
    };
    let namespace = Namespace::new(&superblock);
    let log = LogHeader::new(MIN_LOG_LEN).unwrap();
    let mut volume = Volume { superblock, log, namespace, log_fault: None };
    for path in [FARROW_DIR, POOL_DIR] {
        let path = RelPath::parse(path).unwrap();
        add(&mut volume, EntryBody::Mkdir(MkdirEntry { path, uid: 0, gid: 0, mode: 0o755 }));
    }
    volume
}

fn add(volume: &mut Volume, body: EntryBody) {
    let seqnum = volume.namespace.next_index();
    volume.namespace.apply(&LogEntry { seqnum, body }).unwrap();
}

fn add_file(volume: &mut Volume, path: &str, size: u64, map: FileMap) {
    let path = RelPath::parse(path).unwrap();
    add(
        volume,
        EntryBody::File(FileEntry { path, size, flags: FILE_FLAGS, uid: 0, gid: 0, mode: 0o600, map }),
    );
}

/// Units of the data area, counted from 0.
fn units(places: &[(u64, u64)]) -> Vec<famfs_format::Extent> {
    let extent =
        |&(unit, count)| famfs_format::Extent { dev_index: 0, offset: DATA + unit * UNIT, len: count * UNIT };
    places.iter().map(extent).collect()
}

fn simple(places: &[(u64, u64)]) -> FileMap {
    FileMap::Simple(units(places))
}

fn missing(volume: &Volume) -> String {
    match volume.farrow_files() {
        Err(StoreError::NotFarrow { path, .. }) => path,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("found"),
    }
}

#[test]
fn pools_of_many_shapes() {
    let mut volume = volume();
    assert_eq!(missing(&volume), "farrow/catalog");
    add_file(&mut volume, CATALOG_FILE, UNIT + 4096, simple(&[(0, 1), (1, 1)]));
    assert_eq!(missing(&volume), "farrow/pool/0000");
    // Not in order on the medium, and the last unit not used up.
    add_file(&mut volume, "farrow/pool/0000", 5 * UNIT + 5000, simple(&[(10, 2), (12, 1), (4, 3)]));
    let strips = units(&[(20, 2), (30, 2)]);
    let map = FileMap::Interleaved { chunk_size: UNIT, strips };
    add_file(&mut volume, "farrow/pool/0001", 4 * UNIT, map);
    // Behind a gap nothing is found.
    add_file(&mut volume, "farrow/pool/0003", UNIT, simple(&[(40, 1)]));

    let files = volume.farrow_files().unwrap();
    // Two extents side by side are one piece.
    assert_eq!(files.catalog, (DATA, UNIT + 4096));
    assert_eq!(files.pools.iter().map(|pool| pool.index).collect::<Vec<_>>(), [0, 1]);
    let at = |unit| DATA + unit * UNIT;
    assert_eq!(files.pools[0].extents, [(at(10), 3 * UNIT), (at(4), 2 * UNIT + 5000)]);
    assert_eq!(files.pools[0].page_bytes(), 5 * UNIT + 4096);
    assert_eq!(files.pools[1].extents, [(at(20), UNIT), (at(30), UNIT), (at(21), UNIT), (at(31), UNIT)]);

    let ranges = |pool, offset, len| media_ranges(&files.pools, &[Extent { pool, offset, len }]);
    assert_eq!(ranges(0, 2 * UNIT, 2 * UNIT).unwrap(), [(at(12), UNIT), (at(4), UNIT)]);
    let across = [(at(20) + UNIT - 4096, 4096), (at(30), 4096)];
    assert_eq!(ranges(1, UNIT - 4096, 8192).unwrap(), across);
    assert!(ranges(0, 5 * UNIT, 4096).is_ok());
    assert!(ranges(0, 5 * UNIT, 8192).is_err(), "past the end of the file, though not of its extents");
    assert!(ranges(2, 0, 4096).is_err());
}

#[test]
fn a_catalog_in_two_pieces() {
    let mut volume = volume();
    add_file(&mut volume, CATALOG_FILE, 2 * UNIT, simple(&[(0, 1), (2, 1)]));
    let error = volume.farrow_files().err().unwrap();
    let expected = CatalogFault::File { len: 2 * UNIT, extents: 2 };
    assert!(matches!(error, StoreError::Catalog(fault) if fault == expected));
}
