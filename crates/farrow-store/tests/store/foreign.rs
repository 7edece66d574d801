//! Arrow files that others put into the famfs log.

use std::sync::Arc;

use famfs_format::{
    ALLOC_UNIT, ENTRY_LEN, EntryBody, EntryError, Extent, FILE_FLAGS, FileEntry, FileMap, FormatError,
    LOG_OFFSET, LogEntry, MkdirEntry, RelPath, entry_offset,
};
use farrow_region::{IncoherentMemory, Media, MemMedia};
use farrow_store::{Follower, FormatOptions, Listed, NameFault, Store, StoreError, View, check, read_log};

use crate::region::{HOST, MIB, OWNER, fill, name, new_version, options, put};

/// A region with 2 MiB of pool and 16 MiB outside of it.
fn region() -> Arc<MemMedia> {
    let media = Arc::new(MemMedia::new(usize::try_from(2 * MIB + 8 * MIB + 4 * MIB + 18 * MIB).unwrap()));
    let report = Store::format(&*media, &FormatOptions { reserve: 16 * MIB, ..options() }).unwrap();
    assert_eq!(report.unpooled, 16 * MIB);
    media
}

/// Does what another program does: first the entry, then the header that counts it. Returns where the entry stands.
fn append(media: &dyn Media, body: EntryBody) -> u64 {
    let header = read_log(media).unwrap().header.unwrap();
    let entry = LogEntry { seqnum: header.next_index(), body };
    let at = entry_offset(entry.seqnum);
    media.write_at(at, &entry.encode().unwrap()).unwrap();
    media.persist(at, ENTRY_LEN as u64).unwrap();
    media.write_at(LOG_OFFSET, &header.advanced().unwrap().encode()).unwrap();
    media.persist(LOG_OFFSET, 48).unwrap();
    at
}

fn dir(path: &str) -> EntryBody {
    EntryBody::Mkdir(MkdirEntry { path: RelPath::parse(path).unwrap(), uid: 0, gid: 0, mode: 0o755 })
}

fn file(path: &str, size: u64, map: FileMap) -> EntryBody {
    let path = RelPath::parse(path).unwrap();
    EntryBody::File(FileEntry { path, size, flags: FILE_FLAGS, uid: 0, gid: 0, mode: 0o644, map })
}

/// A file in one extent, where there is room.
fn add(media: &dyn Media, path: &str, size: u64) -> Extent {
    let extent = read_log(media).unwrap().namespace.unwrap().allocate(size).unwrap();
    append(media, file(path, size, FileMap::Simple(vec![extent])));
    extent
}

fn names(listed: &[Listed]) -> Vec<&str> {
    listed.iter().map(|listed| listed.name().as_str()).collect()
}

fn all(store: &Store) -> Vec<Listed> {
    store.view().list_all("", None, usize::MAX).unwrap()
}

#[test]
fn arrow_files_are_frames_by_their_path() {
    let media = region();
    append(&*media, dir("in"));
    let extent = add(&*media, "in/a.arrow", 5000);
    add(&*media, "in/a.csv", 1);
    add(&*media, "farrow/x.arrow", 1);
    add(&*media, "at@home.arrow", 1);
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "in/a", 100);
    put(&store, "z", 100);

    assert_eq!(names(&all(&store)), ["in/a", "in/a.arrow", "z"]);
    assert_eq!(names(&store.view().list_all("in/a.", None, 9).unwrap()), ["in/a.arrow"]);
    let found = store.view().foreign(&name("in/a.arrow"), None).unwrap().unwrap();
    assert_eq!((found.len, found.index), (5000, 6));
    assert_eq!(found.extents, [(extent.offset, 5000)]);
    for missing in ["in/a", "in/a.csv", "farrow/x.arrow", "nope.arrow"] {
        assert!(store.view().foreign(&name(missing), None).unwrap().is_none(), "{missing}");
    }
    let unnamed = store.view().unnamed().unwrap();
    assert_eq!((unnamed[0].path.as_str(), unnamed[0].fault), ("at@home.arrow", NameFault::At));

    let report = check(&*media).unwrap();
    assert!(report.is_clean() && report.hidden.is_empty());
    assert_eq!((report.foreign, report.unnamed), (1, unnamed));
}

#[test]
fn a_follower_lists_them_too_and_counts_the_same() {
    let media = region();
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "z", 100);
    let mut follower = Follower::open(media.clone()).unwrap();
    add(&*media, "a.arrow", 5000);
    put(&store, "b", 100);
    assert!(follower.poll().unwrap());
    let listed = follower.view().list_all("", None, usize::MAX).unwrap();
    assert_eq!(names(&listed), ["a.arrow", "b", "z"]);
    let found = |view: &View| view.foreign(&name("a.arrow"), None).unwrap();
    assert!(found(follower.view()).is_some());
    assert_eq!(found(follower.view()), found(store.view()));
    store.add_pool(None).unwrap();
    put(&store, "c", 3 * MIB);
    assert!(follower.poll().unwrap());
    assert_eq!(follower.view().usage(), store.view().usage());
    assert_eq!(*follower.view().pools(), *store.view().pools());
}

#[test]
fn what_is_added_while_the_store_is_open_appears() {
    let media = region();
    let store = Store::open(media.clone(), HOST).unwrap();
    assert!(all(&store).is_empty());
    let mut expected = Vec::new();
    for index in 0..4 {
        let path = format!("{index}.arrow");
        add(&*media, &path, 100);
        // Found by its name first, or by a listing.
        if index % 2 == 0 {
            assert!(store.view().foreign(&name(&path), None).unwrap().is_some());
        }
        expected.push(path);
        assert_eq!(names(&all(&store)), expected);
    }
    assert_eq!(store.view().usage().log_entries, 5 + 4);
    // Pages of any size are the same listing.
    for limit in 1..=5 {
        let mut paged: Vec<Listed> = Vec::new();
        loop {
            let page = store.view().list_all("", paged.last().map(Listed::name), limit).unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(names(&paged), expected, "pages of {limit}");
    }
}

#[test]
fn another_hosts_entries_are_seen_through_caches() {
    let image = region().image();
    let memory = IncoherentMemory::with_image(image, 7);
    let ours = Arc::new(memory.host());
    let store = Store::open(ours, HOST).unwrap();
    assert!(all(&store).is_empty());
    let theirs = memory.host();
    let extent = add(&theirs, "a.arrow", 3);
    theirs.write_at(extent.offset, b"one").unwrap();
    theirs.persist(extent.offset, 3).unwrap();
    let found = store.view().foreign(&name("a.arrow"), None).unwrap().unwrap();
    let mut bytes = [0; 3];
    for text in [b"one", b"two"] {
        theirs.write_at(extent.offset, text).unwrap();
        theirs.persist(extent.offset, 3).unwrap();
        found.read_at(&**store.view().media(), 0, &mut bytes).unwrap();
        assert_eq!(&bytes, text);
    }
}

#[test]
fn an_interleaved_file_is_read_in_its_own_order() {
    let media = region();
    let start = read_log(&*media).unwrap().namespace.unwrap().allocate(8 * MIB).unwrap().offset;
    let strips =
        [2, 0].map(|unit| Extent { dev_index: 0, offset: start + unit * ALLOC_UNIT, len: 2 * ALLOC_UNIT });
    let map = FileMap::Interleaved { chunk_size: ALLOC_UNIT, strips: strips.to_vec() };
    append(&*media, file("woven.arrow", 6 * MIB + 5, map));
    for unit in 0..4_u8 {
        media.write_at(start + u64::from(unit) * ALLOC_UNIT, &vec![b'0' + unit; 2 << 20]).unwrap();
    }
    let store = Store::open(media, HOST).unwrap();
    let found = store.view().foreign(&name("woven.arrow"), None).unwrap().unwrap();
    let at = |unit: u64| start + unit * ALLOC_UNIT;
    assert_eq!(found.extents, [(at(2), 2 * MIB), (at(0), 2 * MIB), (at(3), 2 * MIB), (at(1), 5)]);
    let mut bytes = vec![0; usize::try_from(found.len).unwrap()];
    found.read_at(&**store.view().media(), 0, &mut bytes).unwrap();
    let runs: Vec<u8> = bytes.chunk_by(|a, b| a == b).map(|run| run[0]).collect();
    assert_eq!(runs, b"2031");
    let mut two = [0; 2];
    found.read_at(&**store.view().media(), 2 * MIB - 1, &mut two).unwrap();
    assert_eq!(&two, b"20");
    for (offset, len) in [(found.len, 1), (found.len - 1, 2), (u64::MAX, 1)] {
        let error = found.read_at(&**store.view().media(), offset, &mut vec![0; len]).unwrap_err();
        assert!(matches!(error, StoreError::PastEnd { .. }), "{error}");
    }
}

#[test]
fn it_has_one_version_and_cannot_be_changed() {
    let media = region();
    add(&*media, "a.arrow", 100);
    let store = Store::open(media, HOST).unwrap();
    let frame = name("a.arrow");
    assert!(store.view().foreign(&frame, Some(1)).unwrap().is_some());
    for version in [2, u64::MAX] {
        let error = store.view().foreign(&frame, Some(version)).unwrap_err();
        let expected = format!("version `a.arrow@{version}` is not committed yet; the only one is @1");
        assert_eq!(error.to_string(), expected);
    }
    let seq = store.view().seq();
    for error in [
        store.drop_frame(&frame, None).unwrap_err(),
        store.drop_frame(&frame, Some(1)).unwrap_err(),
        store.commit(new_version(7, "a.arrow", 100)).unwrap_err(),
        store.append(new_version(7, "a.arrow", 100)).unwrap_err(),
    ] {
        assert!(matches!(&error, StoreError::Foreign { name } if *name == frame), "{error}");
    }
    assert_eq!(store.view().seq(), seq, "nothing was written");
    assert!(matches!(store.drop_frame(&name("b.arrow"), None), Err(StoreError::FrameNotFound { .. })));
}

#[test]
fn the_catalogs_frame_of_a_name_comes_first() {
    let media = region();
    let store = Store::open(media.clone(), HOST).unwrap();
    let frame = name("a.arrow");
    put(&store, "a.arrow", 100);
    add(&*media, "a.arrow", 5000);
    assert!(store.view().foreign(&frame, None).unwrap().is_none());
    assert!(matches!(&all(&store)[..], [Listed::Version(version)] if version.bytes == 100));
    assert_eq!(check(&*media).unwrap().hidden, std::slice::from_ref(&frame));

    // It goes on as it was: the frame was there first.
    let reservation = store.reserve(OWNER, 10).unwrap();
    fill(&store, &reservation);
    assert_eq!(store.commit(new_version(reservation.id, "a.arrow", 10)).unwrap().number, 2);
    assert_eq!(store.drop_frame(&frame, None).unwrap().versions, 2);
    assert_eq!(store.view().foreign(&frame, None).unwrap().unwrap().len, 5000);
    assert!(matches!(&all(&store)[..], [Listed::Foreign(_)]));
    assert!(check(&*media).unwrap().hidden.is_empty());
}

#[test]
fn a_file_has_no_number_that_a_dropped_frame_had() {
    let media = region();
    let store = Store::open(media.clone(), HOST).unwrap();
    let frame = name("a.arrow");
    put(&store, "a.arrow", 100);
    put(&store, "a.arrow", 100);
    add(&*media, "a.arrow", 5000);
    add(&*media, "b.arrow", 50);
    store.drop_frame(&frame, None).unwrap();
    // The same after a start, and once the catalog is written anew.
    let check_all = |store: &Store| {
        let listed = all(store);
        let numbers = listed.iter().map(|listed| match listed {
            Listed::Foreign(file) => (file.name.as_str(), file.version()),
            Listed::Version(version) => panic!("{version:?}"),
        });
        assert_eq!(numbers.collect::<Vec<_>>(), [("a.arrow", 3), ("b.arrow", 1)]);
        assert_eq!(store.view().foreign(&frame, Some(3)).unwrap().unwrap().len, 5000);
        for number in [1, 2] {
            let error = store.view().foreign(&frame, Some(number)).unwrap_err();
            assert!(matches!(error, StoreError::VersionGone { given: 3, .. }), "{error}");
            assert!(error.to_string().contains("is gone: it was dropped"), "{error}");
        }
    };
    check_all(&store);
    drop(store);
    let store = Store::open(media, HOST).unwrap();
    check_all(&store);
    store.compact().unwrap();
    check_all(&store);
}

/// The catalog remembers only so many dropped names; the numbers of all others begin behind those of the forgotten ones.
#[test]
fn a_file_keeps_its_number_when_dropped_names_are_forgotten() {
    let media = region();
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "old.arrow", 100);
    for path in ["old.arrow", "new.arrow"] {
        add(&*media, path, 50);
    }
    store.drop_frame(&name("old.arrow"), None).unwrap();
    let numbers = |store: &Store| {
        ["old.arrow", "new.arrow"]
            .map(|path| store.view().foreign(&name(path), None).unwrap().unwrap().version())
    };
    assert_eq!(numbers(&store), [2, 1]);
    for other in (0..30).map(|index| format!("other/{index}")) {
        put(&store, &other, 1);
        put(&store, &other, 1);
        store.drop_frame(&name(&other), None).unwrap();
    }
    let first = put(&store, "fresh", 1).number;
    assert!(first > 2, "names that gave two numbers are forgotten");
    assert_eq!(numbers(&store), [2, 1]);
    drop(store);
    let store = Store::open(media, HOST).unwrap();
    assert_eq!(numbers(&store), [first, first], "nobody knows any more which names gave which numbers");
}

#[test]
fn a_bad_entry_ends_what_is_served_until_it_is_good() {
    let media = region();
    let store = Store::open(media.clone(), HOST).unwrap();
    add(&*media, "a.arrow", 1);
    assert_eq!(names(&all(&store)), ["a.arrow"]);
    let at = {
        add(&*media, "b.arrow", 1);
        entry_offset(6)
    };
    let good = media.load_u64(at + 32).unwrap();
    media.store_u64(at + 32, !good).unwrap();
    add_behind(&media);
    for _ in 0..2 {
        assert_eq!(names(&all(&store)), ["a.arrow"]);
        let fault = store.view().log_fault().unwrap();
        assert!(
            matches!(&fault, FormatError::Entry { index: 6, problem: EntryError::Crc { .. } }),
            "{fault}"
        );
    }
    assert_eq!(names(&all(&Store::open(media.clone(), HOST).unwrap())), ["a.arrow"]);
    media.store_u64(at + 32, good).unwrap();
    assert_eq!(names(&all(&store)), ["a.arrow", "b.arrow", "c.arrow"]);
    assert_eq!(store.view().log_fault(), None);
}

/// `famfs clone` makes a second file of the same memory.
#[test]
fn a_clone_is_passed_over_and_what_follows_it_is_served() {
    let media = region();
    let extent = add(&*media, "a.arrow", 100);
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "b", 100);
    append(&*media, file("clone.arrow", 100, FileMap::Simple(vec![extent])));
    add(&*media, "c.arrow", 100);
    let [pool] = &store.view().pools()[..] else { panic!("one pool") };
    let of_pool = Extent { dev_index: 0, offset: pool.extents[0].0, len: ALLOC_UNIT };
    append(&*media, file("stolen", 100, FileMap::Simple(vec![of_pool])));
    add(&*media, "d.arrow", 100);

    assert_eq!(names(&all(&store)), ["a.arrow", "b", "c.arrow", "d.arrow"]);
    assert_eq!(store.view().log_fault(), None);
    let passed = store.view().passed_over().unwrap();
    let told: Vec<String> = passed.iter().map(|(path, why)| format!("{path}: {why}")).collect();
    assert!(told[0].starts_with("\"clone.arrow\": ") && told[0].ends_with("of \"a.arrow\""), "{told:?}");
    assert!(told[1].starts_with("\"stolen\": ") && told[1].ends_with("of \"farrow/pool/0000\""), "{told:?}");
    // The next start sees the same, and so does whoever looks without an agent.
    drop(store);
    let store = Store::open(media.clone(), HOST).unwrap();
    assert_eq!(names(&all(&store)), ["a.arrow", "b", "c.arrow", "d.arrow"]);
    let report = check(&*media).unwrap();
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!((problems.len(), report.foreign), (2, 3), "{problems:?}");
    assert!(problems[0].contains("\"clone.arrow\" is not served, what follows it is"), "{problems:?}");
    assert_eq!(read_log(&*media).unwrap().problems.len(), 2);
}

/// A good entry behind a bad one.
fn add_behind(media: &MemMedia) {
    let header = read_log(media).unwrap().header.unwrap();
    let extent = Extent { dev_index: 0, offset: media.len() - ALLOC_UNIT, len: ALLOC_UNIT };
    let body = file("c.arrow", 1, FileMap::Simple(vec![extent]));
    let entry = LogEntry { seqnum: header.next_index(), body };
    media.write_at(entry_offset(entry.seqnum), &entry.encode().unwrap()).unwrap();
    media.write_at(LOG_OFFSET, &header.advanced().unwrap().encode()).unwrap();
}

#[test]
fn a_header_of_any_bytes_takes_nothing_away() {
    let media = region();
    add(&*media, "a.arrow", 1);
    let store = Store::open(media.clone(), HOST).unwrap();
    let mut header = vec![0; 48];
    media.read_at(LOG_OFFSET, &mut header).unwrap();
    let mut faults = 0;
    for at in (0..48).step_by(8) {
        for value in [0, 1, 5, 7, 1 << 63, u64::MAX] {
            media.store_u64(LOG_OFFSET + at, value).unwrap();
            assert_eq!(names(&all(&store)), ["a.arrow"], "{value:#x} at {at}");
            faults += usize::from(store.view().log_fault().is_some());
            media.write_at(LOG_OFFSET, &header).unwrap();
            assert_eq!(names(&all(&store)), ["a.arrow"]);
            assert_eq!(store.view().log_fault(), None);
        }
    }
    assert_eq!(faults, 6 * 6, "each is told");
}
