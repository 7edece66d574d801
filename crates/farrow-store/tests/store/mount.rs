//! A mounted famfs, as a directory that looks like one.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use famfs_format::{
    ALLOC_UNIT, EntryBody, Extent, FILE_FLAGS, FileEntry, FileMap, FormatError, FormatVersion, LOG_OFFSET,
    LogEntry, LogHeader, MIN_LOG_LEN, MkdirEntry, RelPath, Superblock,
};
use farrow_region::{Access, FileMedia, Media, RegionError};
use farrow_store::{
    CatalogFault, FamfsTools, FormatReport, Mount, MountFault, MountOptions, Store, StoreError, check,
    read_log,
};
use uuid::Uuid;

use crate::region::{HOST, MIB, pattern, put, view};

const DATA: u64 = LOG_OFFSET + MIN_LOG_LEN;
const REGION: Uuid = Uuid::from_u128(1);

/// Units of 2 MiB of the data area, counted from 0: (first, count).
fn units(places: &[(u64, u64)]) -> Vec<Extent> {
    let extent =
        |&(unit, count)| Extent { dev_index: 0, offset: DATA + unit * ALLOC_UNIT, len: count * ALLOC_UNIT };
    places.iter().map(extent).collect()
}

fn dir(path: &str) -> EntryBody {
    EntryBody::Mkdir(MkdirEntry { path: RelPath::parse(path).unwrap(), uid: 0, gid: 0, mode: 0o755 })
}

fn file(path: &str, size: u64, map: FileMap) -> EntryBody {
    let path = RelPath::parse(path).unwrap();
    EntryBody::File(FileEntry { path, size, flags: FILE_FLAGS, uid: 0, gid: 0, mode: 0o600, map })
}

/// Farrow's files as somebody may have laid them out: a hosts file in two extents, a pool over two strips.
fn odd_files() -> Vec<EntryBody> {
    vec![
        dir("farrow"),
        dir("farrow/pool"),
        file("other.bin", 5000, FileMap::Simple(units(&[(0, 1)]))),
        file("farrow/catalog", ALLOC_UNIT, FileMap::Simple(units(&[(1, 1)]))),
        file("farrow/hosts", ALLOC_UNIT + 4096, FileMap::Simple(units(&[(9, 1), (2, 1)]))),
        file(
            "farrow/pool/0000",
            3 * ALLOC_UNIT,
            FileMap::Interleaved { chunk_size: ALLOC_UNIT, strips: units(&[(5, 2), (3, 2)]) },
        ),
    ]
}

/// Makes a directory look as a mount of a device of 16 units does; what lies in memory is no zeros.
fn mounted(root: &Path, entries: Vec<EntryBody>) -> Mount {
    mounted_device(root, 16, entries)
}

fn mounted_device(root: &Path, units: u64, entries: Vec<EntryBody>) -> Mount {
    let superblock = Superblock {
        version: FormatVersion::V48,
        log_len: MIN_LOG_LEN,
        alloc_unit: ALLOC_UNIT,
        uuid: REGION,
        dev_uuid: Uuid::from_u128(2),
        system_uuid: HOST,
        device_len: DATA + units * ALLOC_UNIT,
        device_path: b"/dev/dax0.0".to_vec(),
    };
    let mut header = LogHeader::new(MIN_LOG_LEN).unwrap();
    let mut log = vec![0; usize::try_from(MIN_LOG_LEN).unwrap()];
    for (seqnum, body) in (0..).zip(entries) {
        match &body {
            EntryBody::Mkdir(dir) => fs::create_dir(root.join(dir.path.as_str())).unwrap(),
            EntryBody::File(file) => {
                fs::write(root.join(file.path.as_str()), vec![0xa5; usize::try_from(file.size).unwrap()])
                    .unwrap();
            }
            EntryBody::AddDaxdev(_) => {}
        }
        let at = usize::try_from(48 + 544 * seqnum).unwrap();
        log[at..at + 544].copy_from_slice(&LogEntry { seqnum, body }.encode().unwrap());
        header = header.advanced().unwrap();
    }
    log[..48].copy_from_slice(&header.encode());
    let mut first = superblock.encode().unwrap().to_vec();
    first.resize(usize::try_from(LOG_OFFSET).unwrap(), 0);
    fs::create_dir(root.join(".meta")).unwrap();
    fs::write(root.join(".meta/.superblock"), first).unwrap();
    fs::write(root.join(".meta/.log"), log).unwrap();
    Mount::find(root).unwrap().unwrap()
}

fn no_tools() -> FamfsTools {
    FamfsTools::new("/nowhere/famfs")
}

fn format(mount: &Mount) -> Result<FormatReport, StoreError> {
    mount.format(&no_tools(), &MountOptions::new(HOST))
}

fn open(mount: &Mount) -> Store {
    Store::open(Arc::new(mount.media(Access::ReadWrite).unwrap()), HOST).unwrap()
}

#[track_caller]
fn fault<T>(result: Result<T, StoreError>) -> MountFault {
    match result.err().expect("it should have been refused") {
        StoreError::Mount(fault) => fault,
        error => panic!("{error}"),
    }
}

#[test]
fn a_region_lives_in_the_files_of_a_mount() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let mount = mounted(root, odd_files());
    // All files are there: no tool is needed.
    let report = format(&mount).unwrap();
    assert_eq!((report.pool_len, report.catalog_len), (3 * ALLOC_UNIT, ALLOC_UNIT));
    assert_eq!((report.log_entries, report.replaced), (6, None));
    assert!(fs::read(root.join("farrow/hosts")).unwrap().iter().all(|&byte| byte == 0));

    let store = open(&mount);
    assert_eq!(store.view().region_uuid(), REGION);
    let version = put(&store, "a", 5 * MIB);
    // Where the segment lies in the pool, there its bytes are in the file: across chunks and strips.
    let [extent] = version.segments[0].extents[..] else { panic!("one extent") };
    let pool = fs::read(root.join("farrow/pool/0000")).unwrap();
    let at = usize::try_from(extent.offset).unwrap();
    let end = at + usize::try_from(5 * MIB).unwrap();
    let byte = pattern(version.segments[0].id);
    assert!(pool[at..end].iter().all(|&found| found == byte));
    assert_eq!(store.view().media_ranges(&[extent]).unwrap().len(), 3, "three chunks");
    view(&store).check(&store);
    let before = view(&store);
    drop(store);

    let store = open(&mount);
    assert_eq!(view(&store), before);
    store.drop_frame(&version.name, None).unwrap();
    store.lift_quarantine().unwrap();
    put(&store, "b", 4 * MIB);
    drop(store);
    let media = mount.media(Access::ReadOnly).unwrap();
    let report = check(&media).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.catalog.unwrap().usage.frames, 1);
    assert_eq!(read_log(&mount.log().unwrap()).unwrap().entries.len(), 6);
    // Nobody else's file is touched, and none is in the medium.
    assert!(fs::read(root.join("other.bin")).unwrap().iter().all(|&byte| byte == 0xa5));
    assert!(matches!(media.read_at(DATA, &mut [0]), Err(RegionError::NoPart { .. })));
}

#[test]
fn one_writer_and_the_famfs_tools_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let mount = mounted(directory.path(), odd_files());
    format(&mount).unwrap();
    let store = open(&mount);
    match mount.media(Access::ReadWrite) {
        Err(StoreError::Media(RegionError::InUse { path })) => {
            assert_eq!(path, directory.path().join("farrow"));
        }
        other => panic!("{other:?}"),
    }
    assert!(check(&mount.media(Access::ReadOnly).unwrap()).unwrap().is_clean());
    // What `famfs cp` locks is free, and its lock keeps nobody from starting.
    let log = FileMedia::open(directory.path().join(".meta/.log"), Access::ReadWrite).unwrap();
    drop(store);
    put(&open(&mount), "a", 10);
    drop(log);
}

#[test]
fn the_log_is_never_written() {
    let directory = tempfile::tempdir().unwrap();
    let mount = mounted(directory.path(), odd_files());
    format(&mount).unwrap();
    // An append that was cut off between the counters.
    let path = directory.path().join(".meta/.log");
    let mut log = fs::read(&path).unwrap();
    log[32..40].copy_from_slice(&7_u64.to_le_bytes());
    fs::write(&path, &log).unwrap();
    let store = open(&mount);
    assert!(
        matches!(store.view().log_fault(), Some(FormatError::Counters { .. })),
        "{:?}",
        store.view().log_fault()
    );
    put(&store, "a", 10);
    assert!(fs::read(&path).unwrap() == log);
}

#[test]
fn what_is_no_whole_mount_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    assert!(matches!(fault(Mount::find(root)), MountFault::NoMount { missing: ".meta/.superblock", .. }));
    assert_eq!(Mount::find(&root.join("nothing")).unwrap(), None);
    let mount = mounted(root, odd_files());
    format(&mount).unwrap();
    let file = |name: &str| root.join(name);
    let cut = |name: &str, len: u64| {
        fs::OpenOptions::new().write(true).open(file(name)).unwrap().set_len(len).unwrap();
    };

    for (name, len) in [
        ("farrow/pool/0000", 3 * ALLOC_UNIT),
        ("farrow/catalog", ALLOC_UNIT),
        ("farrow/hosts", ALLOC_UNIT + 4096),
        (".meta/.log", MIN_LOG_LEN),
        (".meta/.superblock", ALLOC_UNIT),
    ] {
        let whole = fs::read(file(name)).unwrap();
        for found in [4096, len - 1, len + 4096] {
            cut(name, found);
            match fault(mount.media(Access::ReadOnly)) {
                MountFault::Len { file: named, found: told, expected, .. } => {
                    assert_eq!((named, told, expected), (file(name), found, len));
                }
                other => panic!("{name} of {found} bytes: {other}"),
            }
        }
        cut(name, 0);
        let told = mount.media(Access::ReadWrite).unwrap_err().to_string();
        assert!(told.contains(file(name).to_str().unwrap()), "{told}");
        fs::remove_file(file(name)).unwrap();
        let told = mount.media(Access::ReadOnly).unwrap_err().to_string();
        assert!(told.contains(file(name).to_str().unwrap()), "{told}");
        fs::write(file(name), whole).unwrap();
    }
    fs::remove_file(file("farrow/pool/0000")).unwrap();
    assert!(matches!(fault(mount.media(Access::ReadOnly)), MountFault::NotThere { .. }));
    fs::remove_file(file(".meta/.log")).unwrap();
    assert!(matches!(fault(Mount::find(root)), MountFault::NoMount { missing: ".meta/.log", .. }));
}

#[test]
fn a_log_that_cannot_be_read_is_told_as_of_any_medium() {
    let directory = tempfile::tempdir().unwrap();
    let mount = mounted(directory.path(), odd_files());
    for (name, at, problem) in
        [(".meta/.log", 0, "log"), (".meta/.superblock", 0, "superblock"), (".meta/.log", 48 + 30, "entry")]
    {
        let path = directory.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 0xff;
        fs::write(&path, &bytes).unwrap();
        let media = mount.media(Access::ReadOnly).unwrap();
        let problems = check(&media).unwrap().problems;
        assert!(problems.len() == 1 && problems[0].to_string().contains(problem), "{name}: {problems:?}");
        assert!(matches!(format(&mount), Err(StoreError::Famfs(_))), "{name}");
        bytes[at] ^= 0xff;
        fs::write(&path, &bytes).unwrap();
    }
    assert!(matches!(
        mount.format(&no_tools(), &MountOptions::new(Uuid::from_u128(77))),
        Err(StoreError::NotMaster { .. })
    ));
}

#[test]
fn a_region_is_emptied_only_by_force() {
    let directory = tempfile::tempdir().unwrap();
    let mount = mounted(directory.path(), odd_files());
    format(&mount).unwrap();
    put(&open(&mount), "a", 10);
    assert!(matches!(fault(format(&mount)), MountFault::Occupied { region: REGION, .. }));
    let path = directory.path().join("farrow/catalog");
    let catalog = fs::read(&path).unwrap();
    let changed = |at: usize, bytes: &[u8]| {
        let mut catalog = catalog.clone();
        catalog[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&path, catalog).unwrap();
    };
    changed(40, &[0xff]);
    assert!(matches!(
        fault(format(&mount)),
        MountFault::OccupiedUnreadable { fault: CatalogFault::HeadCrc { .. }, .. }
    ));
    changed(0, b"        ");
    assert_eq!(format(&mount).unwrap().replaced, None, "any memory");
    // Cut off before the last store of mkfs.
    changed(128, &[0; 8]);
    assert_eq!(format(&mount).unwrap().replaced, None, "half done");
    put(&open(&mount), "a", 10);

    let force = MountOptions { force: true, ..MountOptions::new(HOST) };
    let store = open(&mount);
    let busy = mount.format(&no_tools(), &force);
    assert!(matches!(busy, Err(StoreError::Media(RegionError::InUse { .. }))), "{busy:?}");
    drop(store);
    assert_eq!(mount.format(&no_tools(), &force).unwrap().replaced, Some(REGION));
    assert_eq!(open(&mount).view().usage().frames, 0);
}

#[test]
fn nothing_is_made_that_does_not_fit() {
    let directory = tempfile::tempdir().unwrap();
    let mount = mounted(directory.path(), vec![dir("farrow"), dir("farrow/pool")]);
    let options = MountOptions::new(HOST);
    // 16 units, of which catalog and hosts take three.
    for (pool_len, reserve) in
        [(Some(14 * ALLOC_UNIT), 0), (Some(13 * ALLOC_UNIT), 1), (None, 13 * ALLOC_UNIT), (None, u64::MAX)]
    {
        let refused = mount.format(&no_tools(), &MountOptions { pool_len, reserve, ..options.clone() });
        match fault(refused) {
            MountFault::NoRoom { path, free, .. } => {
                assert_eq!((path.as_str(), free), ("farrow/pool/0000", 13 * ALLOC_UNIT));
            }
            other => panic!("{other}"),
        }
    }
    let huge = mount.format(&no_tools(), &MountOptions { catalog_len: Some(1 << 30), ..options.clone() });
    assert!(matches!(fault(huge), MountFault::NoRoom { need: 0x4000_0000, .. }));
    let odd = mount.format(&no_tools(), &MountOptions { catalog_len: Some(40_000), ..options.clone() });
    assert!(matches!(odd, Err(StoreError::CatalogLen { .. })));

    // Only now is a tool asked for.
    assert!(matches!(fault(format(&mount)), MountFault::NoTools { .. }));
    match fault(mount.format(&FamfsTools::new("true"), &options)) {
        MountFault::NotMade { command, path, len } => {
            assert_eq!((path.as_str(), len), ("farrow/catalog", 2 * ALLOC_UNIT));
            assert!(command.starts_with("true creat ") && command.contains(" -s 4194304 "), "{command}");
        }
        other => panic!("{other}"),
    }
    assert!(matches!(
        fault(mount.format(&FamfsTools::new("false"), &options)),
        MountFault::ToolFailed { .. }
    ));

    // The catalog is for the frames that farrow has room for, not for the whole device.
    let large = tempfile::tempdir().unwrap();
    let mount = mounted_device(large.path(), 1 << 20, vec![dir("farrow"), dir("farrow/pool")]);
    for (pool_len, expected) in [(Some(1 << 30), 128 * MIB), (None, 1 << 30)] {
        let refused = mount.format(&FamfsTools::new("true"), &MountOptions { pool_len, ..options.clone() });
        match fault(refused) {
            MountFault::NotMade { len, .. } => assert_eq!(len, expected),
            other => panic!("{other}"),
        }
    }

    let odd = tempfile::tempdir().unwrap();
    let mount = mounted(odd.path(), odd_files());
    let resized = mount.format(&no_tools(), &MountOptions { pool_len: Some(5 * MIB), ..options.clone() });
    assert!(resized.is_ok(), "rounded up to what is there");
    let pool = MountOptions { pool_len: Some(7 * MIB), force: true, ..options.clone() };
    let catalog = MountOptions { catalog_len: Some(4 * MIB), force: true, ..options };
    for (options, advice) in [(pool, "Try: without --size"), (catalog, "Try: without --catalog")] {
        let fault = fault(mount.format(&no_tools(), &options));
        assert!(matches!(fault, MountFault::Resize { .. }) && fault.to_string().ends_with(advice), "{fault}");
    }
}
