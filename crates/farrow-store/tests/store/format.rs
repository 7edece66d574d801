//! Making a region, and the famfs file system that it is.

use std::sync::Arc;

use famfs_format::{
    ALLOC_UNIT, FormatVersion, LOG_OFFSET, LogHeader, MIN_LOG_LEN, SUPERBLOCK_LEN, Superblock, entry_offset,
};
use farrow_region::{CrashMedia, Media, MemMedia};
use farrow_store::{FormatOptions, MAX_CATALOG_LEN, Problem, Store, StoreError, check};
use uuid::Uuid;

use crate::counted::counted;
use crate::region::{HOST, MIB, formatted, open, options, put, view};

#[test]
fn a_region_is_a_famfs_file_system() {
    let media = formatted(4 * MIB);
    let report = check(&media).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.log_entries, report.log_capacity), (5, 15420));
    assert_eq!((report.files, report.dirs), (3, 2));
    let catalog = report.catalog.unwrap();
    assert_eq!((catalog.epoch, catalog.seq, catalog.compactions), (0, 0, 0));
    assert_eq!((catalog.usage.pool_bytes, catalog.usage.free), (4 * MIB, 4 * MIB));

    let superblock = report.superblock.unwrap();
    assert_eq!((superblock.version, superblock.system_uuid), (FormatVersion::V48, HOST));
    assert_eq!((superblock.log_len, superblock.device_len), (MIN_LOG_LEN, media.len()));

    let store = open(media);
    assert_eq!(store.view().region_uuid(), superblock.uuid);
    let pool = &store.view().pools()[0];
    assert_eq!((pool.index, pool.path.as_str(), pool.len), (0, "farrow/pool/0000", 4 * MIB));
    assert_eq!(pool.extents, [(14 * MIB, 4 * MIB)]);
    assert_eq!(store.view().epoch(), 1);
}

#[test]
fn the_catalog_has_its_share_or_what_is_asked_for() {
    let media = MemMedia::new(usize::try_from(64 * MIB).unwrap());
    let made = |catalog_len| {
        let options = FormatOptions { catalog_len, force: true, ..FormatOptions::new(HOST) };
        let report = Store::format(&media, &options).unwrap();
        assert!(check(&media).unwrap().is_clean());
        (report.catalog_len, report.pool_len)
    };
    assert_eq!(made(None), (6 * MIB, (64 - 10 - 6 - 2) * MIB));
    // famfs gives it whole units; it says itself what it has.
    assert_eq!(made(Some(3 * MIB)), (3 * MIB, (64 - 10 - 4 - 2) * MIB));
    let catalog = check(&media).unwrap().catalog.unwrap();
    assert_eq!(catalog.usage.catalog_bytes, 3 * MIB / 2 - 4096);
}

#[test]
fn what_is_there_is_not_overwritten() {
    let media = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "a", 100);
    let before = (store.view().region_uuid(), media.image());
    drop(store);

    let error = Store::format(&*media, &options()).unwrap_err();
    assert!(matches!(error, StoreError::Occupied { region, .. } if region == before.0), "{error}");
    // A superblock that somebody may still want to repair.
    media.write_at(20, &[0xff]).unwrap();
    let error = Store::format(&*media, &options()).unwrap_err();
    assert!(matches!(error, StoreError::OccupiedUnreadable { .. }), "{error}");
    media.write_at(20, &before.1[20..21]).unwrap();
    assert!(media.image() == before.1, "a refusal writes nothing");

    let forced = FormatOptions { force: true, version: FormatVersion::V47, ..options() };
    let report = Store::format(&*media, &forced).unwrap();
    assert_eq!(report.replaced, Some(before.0));
    assert_ne!(report.superblock.uuid, before.0);
    assert_eq!(report.superblock.version, FormatVersion::V47);
    assert!(view(&Store::open(media, HOST).unwrap()).versions.is_empty());
}

#[test]
fn options_that_make_no_region() {
    let small = MemMedia::new(usize::try_from(14 * MIB).unwrap());
    match Store::format(&small, &options()) {
        Err(StoreError::MediaTooSmall { len, need, .. }) => assert_eq!((len, need), (14 * MIB, 16 * MIB)),
        other => panic!("{other:?}"),
    }
    for len in [0, 100, MIB] {
        let media = MemMedia::new(usize::try_from(len).unwrap());
        let error = Store::format(&media, &options()).unwrap_err();
        assert!(matches!(error, StoreError::MediaTooSmall { .. }), "{error}");
    }
    let media = MemMedia::new(usize::try_from(16 * MIB).unwrap());
    for catalog_len in [0, 4096, 40_000, MAX_CATALOG_LEN + 4096, u64::MAX - 4095] {
        let bad = FormatOptions { catalog_len: Some(catalog_len), ..options() };
        let error = Store::format(&media, &bad).unwrap_err();
        let expected = "need a multiple of 4096 from 32768 to 68719472640";
        assert_eq!(error.to_string(), format!("catalog of {catalog_len} bytes asked for, {expected}"));
    }
    let large = FormatOptions { catalog_len: Some(MAX_CATALOG_LEN), reserve: MIB, ..options() };
    let error = Store::format(&media, &large).unwrap_err().to_string();
    let expected = "need at least 64.0 GiB: for a famfs log of 8.0 MiB, a catalog of 63.9 GiB, the hosts' file, one unit \
                    of pool, and 2.0 MiB outside it";
    assert!(error.ends_with(expected), "{error}");
    for log_len in [0, 3 * MIB, 12 * MIB] {
        let bad = FormatOptions { log_len, ..options() };
        assert!(matches!(Store::format(&media, &bad), Err(StoreError::Famfs(_))), "{log_len}");
    }
    for hosts_len in [0, 100] {
        let bad = FormatOptions { hosts_len, ..options() };
        assert!(matches!(Store::format(&media, &bad), Err(StoreError::HostsLen { .. })), "{hosts_len}");
    }
    assert!(media.image().iter().all(|&byte| byte == 0), "a refusal writes nothing");
}

#[test]
fn only_the_master_opens() {
    let media = Arc::new(formatted(2 * MIB));
    let other = Uuid::from_u128(5);
    let error = Store::open(media, other).unwrap_err();
    assert!(matches!(error, StoreError::NotMaster { host, master } if (host, master) == (other, HOST)));
}

#[test]
fn famfs_without_farrow() {
    let media = plain_famfs();
    let report = check(&media).unwrap();
    assert!(report.is_clean() && report.catalog.is_none());
    let error = Store::open(Arc::new(media), HOST).unwrap_err();
    assert!(error.to_string().contains("no `farrow/catalog`"), "{error}");

    let nothing = MemMedia::new(usize::try_from(16 * MIB).unwrap());
    let report = check(&nothing).unwrap();
    assert!(matches!(report.problems[..], [Problem::Superblock(_)]), "{:?}", report.problems);
    let error = Store::open(Arc::new(nothing), HOST).unwrap_err();
    assert!(matches!(error, StoreError::Famfs(_)), "{error}");
}

#[test]
fn a_medium_cut_short() {
    let mut image = formatted(2 * MIB).image();
    image.truncate(image.len() - 4096);
    let media = MemMedia::from(image);
    let report = check(&media).unwrap();
    assert!(matches!(report.problems[..], [Problem::Superblock(_)]), "{:?}", report.problems);
    assert!(report.superblock.is_some());
    assert!(matches!(Store::open(Arc::new(media), HOST), Err(StoreError::Famfs(_))));
}

#[test]
fn a_bad_entry_behind_farrows_files() {
    let media = formatted(2 * MIB);
    // Somebody's sixth entry, never written, though the header counts it.
    let mut bytes = vec![0; SUPERBLOCK_LEN];
    media.read_at(0, &mut bytes).unwrap();
    let superblock = Superblock::decode(&bytes).unwrap();
    let mut bytes = vec![0; 48];
    media.read_at(LOG_OFFSET, &mut bytes).unwrap();
    let header = LogHeader::decode(&bytes, &superblock).unwrap().advanced().unwrap();
    media.write_at(LOG_OFFSET, &header.encode()).unwrap();

    let report = check(&media).unwrap();
    match &report.problems[..] {
        [problem @ Problem::LogEntry { unread: 1, entries: 6, .. }] => {
            let place = format!("{:#x}", entry_offset(5));
            assert!(problem.to_string().contains(&place), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    assert!(report.catalog.is_some());
    let store = open(media);
    assert!(store.view().log_fault().is_some());
    put(&store, "a", 1);
}

#[test]
fn every_crash_of_format_leaves_the_old_region_none_or_the_new_one() {
    let old = formatted(2 * MIB);
    let forced = FormatOptions { force: true, ..options() };
    let mut points = 0_usize;
    for image in [vec![0; old.image().len()], old.image()] {
        let media = CrashMedia::from(image.clone());
        let report = Store::format(&media, &forced).unwrap();
        assert_eq!(media.unpersisted_lines(), 0, "nothing is left to chance");
        let (new, last) = (report.superblock.uuid, media.persists());
        for k in 0..=last {
            let torn = (0..3).map(|seed| (media.torn_image_after(k, seed), false));
            for (image, whole) in std::iter::once((media.image_after(k), true)).chain(torn) {
                points += 1;
                let image = MemMedia::from(image);
                let found = check(&image).unwrap();
                let region = found.superblock.as_ref().map(|superblock| superblock.uuid);
                match region {
                    None => assert!(Store::open(Arc::new(image), HOST).is_err()),
                    Some(region) => {
                        assert!(found.is_clean(), "after persist {k}: {:?}", found.problems);
                        assert!(region == new || Some(region) == report.replaced, "after persist {k}");
                        put(&open(image), "works", 10);
                    }
                }
                assert!(!whole || (region == Some(new)) == (k == last), "after persist {k} of {last}");
                assert!(!whole || k != 0 || region == report.replaced, "before the first persist");
            }
        }
    }
    counted(&format!("mkfs: {points} crash points"));
}

/// Makes what `mkfs.famfs` makes: a superblock and an empty log.
fn plain_famfs() -> MemMedia {
    let media = MemMedia::new(usize::try_from(16 * MIB).unwrap());
    let superblock = Superblock {
        version: FormatVersion::V48,
        log_len: MIN_LOG_LEN,
        alloc_unit: ALLOC_UNIT,
        uuid: Uuid::from_u128(1),
        dev_uuid: Uuid::from_u128(2),
        system_uuid: HOST,
        device_len: media.len(),
        device_path: b"/dev/dax0.0".to_vec(),
    };
    media.write_at(0, &superblock.encode().unwrap()).unwrap();
    media.write_at(LOG_OFFSET, &LogHeader::new(MIN_LOG_LEN).unwrap().encode()).unwrap();
    media
}
