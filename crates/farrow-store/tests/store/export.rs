//! Versions as famfs files of their own.

use std::sync::Arc;

use famfs_format::{FormatError, LOG_OFFSET, RelPath};
use farrow_region::{CrashMedia, Media, MemMedia};
use farrow_store::{FormatOptions, FrameRef, Store, StoreError, check, export, read_log};

use crate::counted::counted;
use crate::region::{HOST, MIB, OWNER, fill, name, new_version, open, options, pattern, put, view};

const LEN: u64 = 2 * MIB + 5;

/// A region with a frame `a`, a frame `parts` of two segments, and 6 MiB outside the pool.
fn image() -> Vec<u8> {
    let media = MemMedia::new(usize::try_from(2 * MIB + 8 * MIB + 4 * MIB + 22 * MIB).unwrap());
    let options = FormatOptions { reserve: 5 * MIB + 1, ..options() };
    let report = Store::format(&media, &options).unwrap();
    assert_eq!((report.unpooled, report.pool_len), (6 * MIB, 16 * MIB), "rounded up to units");
    let store = open(media);
    put(&store, "a", LEN);
    put(&store, "parts", 100);
    let more = store.reserve(OWNER, 100).unwrap();
    fill(&store, &more);
    store.append(new_version(more.id, "parts", 100)).unwrap();
    store.lift_quarantine().unwrap();
    let mut image = vec![0; usize::try_from(store.view().media().len()).unwrap()];
    store.view().media().read_at(0, &mut image).unwrap();
    image
}

fn frame(text: &str) -> FrameRef {
    FrameRef::parse(text).unwrap()
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

/// Returns what the famfs file has, to the end of its allocation unit.
fn content(media: &dyn Media, file: &str) -> Option<Vec<u8>> {
    let log = read_log(media).unwrap();
    assert!(log.problems.is_empty(), "{:?}", log.problems);
    let file = log.namespace.unwrap().file(&path(file))?.clone();
    assert_eq!(file.size, LEN);
    let [extent] = file.map.extents() else { panic!("one extent") };
    let mut bytes = vec![0; usize::try_from(extent.len).unwrap()];
    media.read_at(extent.offset, &mut bytes).unwrap();
    Some(bytes)
}

/// True if the file is all there after the next start; it must be, or not at all.
fn exported(image: Vec<u8>, segment: u64) -> bool {
    let media = Arc::new(MemMedia::from(image));
    drop(Store::open(media.clone(), HOST).unwrap());
    let media = &*media;
    let report = check(media).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    let Some(bytes) = content(media, "out/deep/a.arrow") else { return false };
    let (data, rest) = bytes.split_at(usize::try_from(LEN).unwrap());
    assert!(data == vec![pattern(segment); data.len()], "half a file was published");
    assert!(rest == vec![0; rest.len()], "what lay there before can be read");
    true
}

#[test]
fn a_version_becomes_a_file_and_a_crash_leaves_all_of_it_or_nothing() {
    let before = image();
    let (segment, seen) = {
        let store = open(MemMedia::from(before.clone()));
        (store.view().get(&name("a"), None).unwrap().segments[0].id, view(&store))
    };
    let media = CrashMedia::from(before);
    let start = media.persists();
    let made = export(&media, HOST, &frame("a@1"), &path("out/deep/a.arrow")).unwrap();
    assert_eq!((made.file.size, made.version.number, made.log_left), (LEN, 1, 15420 - 5 - 3));

    let mut there = Vec::new();
    for k in start..=media.persists() {
        there.push(exported(media.image_after(k), segment));
        for seed in 0..3 {
            exported(media.torn_image_after(k, seed), segment);
        }
    }
    counted(&format!("export: {} crash points", there.len()));
    assert!(there.len() > 6 && !there[0] && there[there.len() - 1]);
    assert!(there.is_sorted(), "once there, it stays");

    // The region goes on as it was.
    let store = open(MemMedia::from(media.live_image()));
    assert_eq!(view(&store), seen);
    put(&store, "b", 100);
}

#[test]
fn an_append_cut_off_between_the_counters_is_reported_and_mended() {
    for (counter, ahead) in [(32, 1), (40, 1), (32, 3)] {
        let media = Arc::new(MemMedia::from(image()));
        let at = LOG_OFFSET + counter;
        let next = media.load_u64(at).unwrap();
        media.store_u64(at, next + ahead).unwrap();
        let log = read_log(&*media).unwrap();
        assert!(matches!(log.problems[..], [FormatError::Counters { .. }]), "{:?}", log.problems);
        assert_eq!(log.entries.len() as u64, next, "what came before stays usable");
        assert!(!check(&*media).unwrap().is_clean());

        let store = Store::open(media.clone(), HOST).unwrap();
        assert!(store.view().get(&name("a"), None).is_ok());
        // Only what one append can leave is mended: more is not an accident that farrow knows.
        assert_eq!(check(&*media).unwrap().is_clean(), ahead == 1);
        assert_eq!(store.view().log_fault().is_none(), ahead == 1);
    }
}

#[test]
fn what_cannot_be_exported() {
    let media = MemMedia::from(image());
    let try_to = |text: &str, to: &str| export(&media, HOST, &frame(text), &path(to)).unwrap_err();
    let before = media.image();
    assert!(matches!(try_to("nope", "x"), StoreError::FrameNotFound { .. }));
    assert!(matches!(try_to("a@9", "x"), StoreError::VersionGone { latest: 1, .. }));
    assert!(matches!(try_to("parts", "x"), StoreError::ManySegments { segments: 2, .. }));
    assert!(matches!(try_to("a", "farrow/x"), StoreError::ExportPath { .. }));
    assert!(matches!(try_to("a", "farrow"), StoreError::ExportPath { .. }));
    let other = uuid::Uuid::from_u128(1);
    let error = export(&media, other, &frame("a"), &path("x")).unwrap_err();
    assert!(matches!(error, StoreError::NotMaster { .. }), "{error}");
    assert!(media.image() == before, "a refused export wrote");

    export(&media, HOST, &frame("a"), &path("x")).unwrap();
    assert!(
        matches!(try_to("parts@1", "x"), StoreError::Famfs(FormatError::Entry { .. })),
        "the path exists"
    );
    assert!(
        matches!(try_to("a", "y"), StoreError::NoSpaceToExport { largest_free, .. } if largest_free == 2 * MIB)
    );
    let error = export(&media, HOST, &frame("parts@1"), &path("x/below")).unwrap_err();
    assert!(matches!(error, StoreError::Famfs(_)), "a file is no directory: {error}");
}
