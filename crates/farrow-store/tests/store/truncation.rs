//! Media and catalogs cut short, at every byte that means something.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use famfs_format::{
    ALLOC_UNIT, ENTRY_LEN, EntryBody, FileEntry, FormatError, FormatVersion, LOG_HEADER_LEN, LOG_OFFSET,
    LogEntry, RelPath, SUPERBLOCK_LEN, entry_offset,
};
use farrow_region::{MemMedia, RegionError};
use farrow_store::{FormatOptions, FrameRef, Problem, Store, StoreError, check, export, read_log};

use crate::counted::counted;
use crate::head::Head;
use crate::region::{HOST, MIB, OWNER, SMALL_CATALOG, formatted, name, options, put};

const CATALOG: u64 = 10 * MIB;
/// The second half of the catalog: one compaction makes it the live one.
const LIVE_HALF: u64 = CATALOG + 4096 + 12 * 1024;

/// A region with frames, a reservation, and a catalog that has been compacted once.
static REGION: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let media = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "a", 100);
    put(&store, "a", 5000);
    put(&store, "b/c", 1);
    store.drop_frame(&name("a"), Some(1)).unwrap();
    store.compact().unwrap();
    store.reserve(OWNER, 9000).unwrap();
    drop(store);
    media.image()
});

/// Every length that ends within the superblock, or within the log header and the first `entries` entries, or next
/// to one of `ends`.
fn lengths(entries: u64, len: u64, ends: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let every: [Range<u64>; 2] = [0..SUPERBLOCK_LEN as u64 + 10, LOG_OFFSET - 10..entry_offset(entries) + 10];
    let near = ends.into_iter().flat_map(|end| end.saturating_sub(2)..end + 3);
    let mut all: Vec<u64> = every.into_iter().flatten().chain(near).filter(|&cut| cut < len).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Checks what every reader and writer says of a medium that has only the first `cut` of its `len` bytes.
fn assert_too_short(bytes: &[u8], cut: u64, len: u64, entries: u64) {
    let media = || Head { bytes, len: cut };
    let out_of_bounds = |error: &StoreError| matches!(error, StoreError::Media(RegionError::OutOfBounds { size, .. }) if *size == cut);
    if cut < SUPERBLOCK_LEN as u64 {
        let error = check(&media()).unwrap_err();
        assert!(out_of_bounds(&error), "{cut}: {error}");
        let error = read_log(&media()).unwrap_err();
        assert!(out_of_bounds(&error), "{cut}: {error}");
        return;
    }
    let expected = FormatError::MediaLen { device_len: len, media_len: cut };
    let report = check(&media()).unwrap();
    assert!(
        matches!(&report.problems[..], [Problem::Superblock(fault)] if *fault == expected),
        "{cut}: {:?}",
        report.problems
    );
    assert!(report.superblock.is_some() && report.catalog.is_none());

    let log = read_log(&media()).unwrap();
    assert_eq!(log.problems, [expected], "{cut}");
    let whole = cut.checked_sub(entry_offset(0)).map(|log| (log / ENTRY_LEN as u64).min(entries));
    assert_eq!(log.entries.len() as u64, whole.unwrap_or(0), "{cut}: what is whole is shown");
    assert_eq!(log.header.is_some(), whole.is_some(), "{cut}");
}

#[test]
fn a_region_cut_at_any_byte_is_too_short_for_everybody() {
    let image = &*REGION;
    let len = image.len() as u64;
    let committed = check(&MemMedia::from(image.clone())).unwrap().catalog.unwrap().usage.catalog_committed;
    let ends = [4096, CATALOG, CATALOG + 136, CATALOG + 4096, LIVE_HALF, LIVE_HALF + committed]
        .into_iter()
        .chain((12 * MIB..=len).step_by(usize::try_from(ALLOC_UNIT).unwrap()));
    for cut in lengths(5, len, ends) {
        assert_too_short(image, cut, len, 5);
        // Neither read as if it were whole, nor taken for free memory.
        let bytes = &image[..usize::try_from(cut).unwrap()];
        let media = Arc::new(MemMedia::from(bytes.to_vec()));
        let frame = FrameRef::parse("b/c").unwrap();
        let path = RelPath::parse("out").unwrap();
        for error in [
            Store::open(media.clone(), HOST).map(drop).unwrap_err(),
            export(&*media, HOST, &frame, &path).map(drop).unwrap_err(),
        ] {
            let expected = match error {
                StoreError::Media(RegionError::OutOfBounds { .. }) => cut < SUPERBLOCK_LEN as u64,
                StoreError::Famfs(FormatError::MediaLen { media_len, .. }) => media_len == cut,
                _ => false,
            };
            assert!(expected, "{cut}: {error}");
        }
        let error = Store::format(&*media, &options()).unwrap_err();
        let expected = if cut < SUPERBLOCK_LEN as u64 {
            matches!(error, StoreError::MediaTooSmall { .. })
        } else {
            matches!(error, StoreError::Occupied { .. })
        };
        assert!(expected, "{cut}: {error}");
        let forced = FormatOptions { force: true, ..options() };
        let error = Store::format(&*media, &forced).unwrap_err();
        assert!(matches!(error, StoreError::MediaTooSmall { len, .. } if len == cut), "{cut}: {error}");
        assert!(media.image() == bytes, "{cut}: a refusal wrote");
    }
}

/// The recorded length is under no checksum: a damaged one can fit the medium by chance.
#[test]
fn a_region_cut_at_any_byte_whose_recorded_length_fits() {
    let mut image = REGION.clone();
    let entries: Vec<LogEntry> = read_log(&MemMedia::from(image.clone())).unwrap().entries;
    let ends = (10 * MIB..image.len() as u64).step_by(usize::try_from(ALLOC_UNIT).unwrap());
    for cut in lengths(5, image.len() as u64, ends.chain([CATALOG + 136, LIVE_HALF])) {
        image[112..120].copy_from_slice(&cut.to_le_bytes());
        let media = Head { bytes: &image, len: cut };
        if cut < SUPERBLOCK_LEN as u64 {
            assert!(matches!(check(&media), Err(StoreError::Media(_))), "{cut}");
            continue;
        }
        let report = check(&media).unwrap();
        if cut < CATALOG {
            let expected = FormatError::DeviceLen { device_len: cut, data_offset: CATALOG };
            assert!(matches!(&report.problems[..], [Problem::Superblock(fault)] if *fault == expected));
            continue;
        }
        // The first file that lies beyond the end, whichever that is, is where the replay stops.
        let beyond = entries.iter().find(|entry| {
            let EntryBody::File(file) = &entry.body else { return false };
            file.map.extents().iter().any(|extent| extent.end().unwrap() > cut)
        });
        let index = beyond.unwrap().seqnum;
        let [Problem::LogEntry { fault, unread, entries: 5 }, ..] = &report.problems[..] else {
            panic!("{cut}: {:?}", report.problems)
        };
        assert_eq!(*unread, 5 - index, "{cut}");
        assert!(
            matches!(fault, FormatError::Entry { index: found, .. } if *found == index),
            "{cut}: {fault}"
        );
        assert!(report.catalog.is_none());
    }
}

#[test]
fn images_of_the_famfs_tools_cut_at_any_byte() {
    let mut cuts = 0;
    for image in ["empty", "onefile", "nested100", "interleaved"] {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../famfs-format/testdata");
        let packed = std::fs::File::open(data.join(format!("{image}.head16m.zst"))).unwrap();
        let mut bytes = Vec::new();
        ruzstd::decoding::StreamingDecoder::new(packed).unwrap().read_to_end(&mut bytes).unwrap();
        let len = u64::from_le_bytes(bytes[112..120].try_into().unwrap());

        let whole = Head { bytes: &bytes, len };
        let report = check(&whole).unwrap();
        assert!(report.is_clean() && report.catalog.is_none(), "{image}: {:?}", report.problems);
        let log = read_log(&whole).unwrap();
        let entries = log.entries.len() as u64;
        assert_eq!(entries, report.log_entries);
        let files: Vec<_> = log.namespace.unwrap().files().cloned().collect();
        let ends = files.iter().flat_map(|file| file.map.extents()).map(|extent| extent.end().unwrap());
        let ends = ends.chain((0..=entries).map(entry_offset)).chain([len]);
        // Every byte of each entry is cut at in famfs-format's tests; here, where each cut reads the log, of the first.
        for cut in lengths(entries.min(2), len, ends) {
            assert_too_short(&bytes, cut, len, entries);
            cuts += 1;
        }
    }
    counted(&format!("{cuts} images cut off"));
}

#[test]
fn a_catalog_file_of_any_other_length() {
    let mut image = REGION.clone();
    let at = usize::try_from(entry_offset(2)).unwrap();
    let entry = LogEntry::decode(&image[at..], 2, FormatVersion::V48).unwrap();
    let EntryBody::File(file) = entry.body else { panic!("entry 2 is the catalog's") };
    assert_eq!((file.path.as_str(), file.size), ("farrow/catalog", SMALL_CATALOG));
    for size in (1..SMALL_CATALOG + 100).filter(|&size| size != SMALL_CATALOG) {
        let cut = LogEntry { seqnum: 2, body: EntryBody::File(FileEntry { size, ..file.clone() }) };
        image[at..at + ENTRY_LEN].copy_from_slice(&cut.encode().unwrap());
        let report = check(&Head { bytes: &image, len: image.len() as u64 }).unwrap();
        assert!(matches!(report.problems[..], [Problem::Catalog(_)]), "{size}: {:?}", report.problems);
        let told = report.problems[0].to_string();
        assert!(told.contains(&size.to_string()) || told.contains("32768"), "{size}: {told}");
    }
}

#[test]
fn a_catalog_that_ends_in_zeros_at_any_byte() {
    let image = &*REGION;
    let committed = check(&MemMedia::from(image.clone())).unwrap().catalog.unwrap().usage.catalog_committed;
    let live = usize::try_from(LIVE_HALF).unwrap();
    let live_end = live + usize::try_from(committed).unwrap();
    let catalog = usize::try_from(CATALOG).unwrap();
    let mut zeroed = image.clone();
    // Backwards, so that each step takes one byte more.
    for cut in (catalog..live_end + 64).rev() {
        let file_end = catalog + usize::try_from(SMALL_CATALOG).unwrap();
        zeroed[cut..file_end.min(cut + 64)].fill(0);
        if cut > live_end {
            zeroed[cut..file_end].fill(0);
        }
        let report = check(&Head { bytes: &zeroed, len: zeroed.len() as u64 }).unwrap();
        let same = zeroed[catalog..live_end] == image[catalog..live_end];
        match &report.problems[..] {
            [] => assert!(same, "byte {cut:#x} is lost, and nobody says so"),
            [Problem::Catalog(_)] => assert!(!same),
            other => panic!("{cut:#x}: {other:?}"),
        }
    }
    assert!(zeroed[catalog..catalog + LOG_HEADER_LEN].iter().all(|&byte| byte == 0));
}
