use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use famfs_format::{FILE_FLAGS, FileEntry, FileMap, RelPath};
use farrow_region::MemMedia;

use super::*;
use crate::catalog::{PrefixDropped, RetentionSet, VersionRecord};
use crate::frame::{Extent, Owner, Segment, Validation, Version};
use crate::name::FrameName;
use crate::prefix::Prefix;
use crate::retention::{Retention, RetentionTarget};

const GOLDEN: &[u8] = include_bytes!("../../testdata/catalog.bin");
const MIB: u64 = 1024 * 1024;
const REGION: Uuid = Uuid::from_u128(0x1111_1111_2222_3333_4444_5555_5555_5555);
const HOST: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
const OWNER: Owner = Owner { host: HOST, uid: 1000, pid: 4242, start_time: 123_456_789 };
const PLACE: (u64, u64) = (0, 32 * 1024);

fn pools() -> Vec<PoolFile> {
    let extent = famfs_format::Extent { dev_index: 0, offset: 16 * MIB, len: 8 * MIB };
    let path = RelPath::parse("farrow/pool/0000").unwrap();
    let map = FileMap::Simple(vec![extent]);
    let file = FileEntry { path, size: 8 * MIB, flags: FILE_FLAGS, uid: 0, gid: 0, mode: 0o600, map };
    vec![PoolFile::new(0, &file)]
}

fn extents(places: &[(u64, u64)]) -> Vec<Extent> {
    places.iter().map(|&(offset, len)| Extent { pool: 0, offset, len }).collect()
}

fn taken(len: u64, places: &[(u64, u64)]) -> Body {
    Body::ReservationTaken { owner: OWNER, len, extents: extents(places) }
}

fn committed(name: &str, number: u64, extends: bool, time: i64, fingerprint: u64, added: &[Segment]) -> Body {
    Body::VersionCommitted(VersionRecord {
        name: FrameName::parse(name).unwrap(),
        number,
        extends,
        schema_fingerprint: fingerprint,
        committed_at_micros: time,
        owner: OWNER,
        added: added.iter().cloned().map(Arc::new).collect(),
        keep: None,
    })
}

/// The same commit, with what the frame keeps from then on.
fn keeping(body: Body, keep: u64) -> Body {
    match body {
        Body::VersionCommitted(version) => {
            Body::VersionCommitted(VersionRecord { keep: Some(keep), ..version })
        }
        body => body,
    }
}

fn dropped(name: &str, number: Option<u64>) -> Body {
    Body::VersionDropped { name: FrameName::parse(name).unwrap(), number }
}

fn of_prefix(prefix: &str) -> RetentionTarget {
    RetentionTarget::Prefix(Prefix::parse(prefix).unwrap())
}

fn of_frame(name: &str) -> RetentionTarget {
    RetentionTarget::Frame(FrameName::parse(name).unwrap())
}

fn retention(last: u64, age: u64) -> Option<Retention> {
    Some(Retention { last: NonZeroU64::new(last), max_age_seconds: NonZeroU64::new(age) })
}

fn retain(target: RetentionTarget, retention: Option<Retention>, uid: u32) -> Body {
    Body::RetentionSet(RetentionSet { target, retention, uid })
}

fn small() -> Segment {
    Segment {
        id: 2,
        len: 5000,
        generation: 2,
        extents: extents(&[(0, 8192)]),
        rows: 30,
        batches: 3,
        validation: Validation::Values,
        metadata_digest: 0xa1,
        checksums: vec![1, 2, u64::MAX],
    }
}

fn large() -> Segment {
    Segment {
        id: 4,
        len: 2 * MIB + 1,
        generation: 4,
        extents: extents(&[(2 * MIB, 2 * MIB), (6 * MIB, 4096)]),
        rows: 70,
        batches: 1,
        validation: Validation::Structure,
        metadata_digest: 0xa2,
        checksums: vec![],
    }
}

/// One byte without rows, in a page of its own.
fn tiny(id: u64, offset: u64) -> Segment {
    Segment {
        id,
        len: 1,
        generation: id,
        extents: extents(&[(offset, 4096)]),
        rows: 0,
        batches: 0,
        validation: Validation::None,
        metadata_digest: 0,
        checksums: vec![],
    }
}

/// A reservation of a page, the record `seq`, and the version that it becomes.
fn put(seq: u64, name: &str, number: u64, extends: bool, offset: u64, fingerprint: u64) -> [Body; 2] {
    let added = [tiny(seq, offset)];
    [taken(1, &[(offset, 4096)]), committed(name, number, extends, 0, fingerprint, &added)]
}

/// The catalog that `make_catalog.py` writes, written by the store's own code.
fn golden_by_hand() -> (MemMedia, Ledger) {
    let media = MemMedia::new(32 * 1024);
    CatalogFile::create(&media, 0, PLACE.1, REGION).unwrap();
    let mut ledger = Ledger::replay(&media, PLACE, REGION, &pools()).unwrap();
    ledger.start_master(&media, HOST).unwrap();
    let time = 1_700_000_000_000_000;
    let [x, y] = ["x", "y"].map(|letter| letter.repeat(200));
    let one = |body| vec![body];
    let bodies = [
        one(taken(5000, &[(0, 8192)])),
        one(committed("a/b", 1, false, -1, 0xf1, &[small()])),
        one(taken(3 * MIB, &[(2 * MIB, 2 * MIB), (6 * MIB, MIB)])),
        one(committed("a/b", 2, true, time, 0xf1, &[large()])),
        one(taken(4096, &[(8192, 4096)])),
        one(Body::ReservationEnded { id: 6 }),
        one(dropped("a/b", Some(1))),
        put(9, "größe", 1, false, 8192, 0).to_vec(),
        one(dropped("größe", None)),
        one(taken(4097, &[(16384, 8192)])),
        put(13, "tmp/x", 1, false, 24576, 0).to_vec(),
        one(Body::PrefixDropped(PrefixDropped {
            prefix: Prefix::starting("tmp/"),
            until_micros: 0,
            latest: true,
        })),
        one(Body::OldRetentionSet(RetentionSet {
            target: of_frame("a/b"),
            retention: retention(3, 0),
            uid: 0,
        })),
        put(17, "a/b", 3, true, 28672, 0xf1).to_vec(),
        one(dropped("a/b", Some(3))),
        put(20, &x, 1, false, 32768, 0).to_vec(),
        put(22, &x, 2, false, 36864, 0).to_vec(),
        one(dropped(&x, None)),
        put(25, &y, 1, false, 40960, 0).to_vec(),
        one(dropped(&y, None)),
        one(retain(of_prefix("tmp/"), retention(2, 3600), 1000)),
        one(retain(of_prefix("a"), retention(5, 0), 1001)),
        one(retain(of_frame("größe"), retention(0, 86400), 1001)),
        one(retain(of_prefix(""), retention(9, 0), 1000)),
        one(retain(of_prefix(""), None, 1000)),
    ];
    for (seq, body) in (2..).zip(bodies.into_iter().flatten()) {
        assert_eq!(ledger.record(&media, body).unwrap(), seq);
    }
    ledger.compact(&media).unwrap();
    ledger.record(&media, Body::ExtentsFreed { segments: vec![9, 13, 17, 20, 22, 25] }).unwrap();
    ledger.start_master(&media, HOST).unwrap();
    let bodies = [
        one(taken(1, &[(8192, 4096)])),
        one(taken(1, &[(24576, 4096)])),
        one(committed("two", 2, false, 0, 0, &[tiny(35, 8192), tiny(36, 24576)])),
        put(38, &x, 3, false, 28672, 0).to_vec(),
        put(40, "a/b", 4, true, 32768, 0xf1).map(|body| keeping(body, 2)).to_vec(),
    ];
    for body in bodies.into_iter().flatten() {
        ledger.record(&media, body).unwrap();
    }
    (media, ledger)
}

#[test]
fn writes_the_golden_bytes() {
    let (media, _) = golden_by_hand();
    let image = media.image();
    let differs = image.iter().zip(GOLDEN).position(|(ours, golden)| ours != golden);
    assert_eq!(differs.map(|at| format!("byte {at:#x}")), None);
    assert_eq!(image.len(), GOLDEN.len());
}

#[test]
fn reads_the_golden_bytes() {
    let golden = MemMedia::from(GOLDEN.to_vec());
    let ledger = Ledger::replay(&golden, PLACE, REGION, &pools()).unwrap();
    let state = ledger.state();
    assert_eq!((state.epoch(), state.seq()), (2, 41));

    let name = FrameName::parse("a/b").unwrap();
    let frame = state.frame(&name).unwrap();
    assert_eq!((frame.last_number, frame.versions.len(), state.frames()), (4, 2, 3));
    let kept = |name: &str| state.retention(&FrameName::parse(name).unwrap());
    let expected =
        [retention(2, 0), retention(0, 86400), retention(2, 3600), retention(5, 0), retention(0, 0)];
    assert_eq!(["a/b", "größe", "tmp/y", "a/c", "tmp"].map(|name| Some(kept(name))), expected);
    let ids = |version: &Version| version.segments.iter().map(|segment| segment.id).collect::<Vec<_>>();
    let version = &frame.versions[&2];
    assert_eq!((version.number, version.seq, version.rows), (2, 5, 100));
    assert_eq!(version.bytes, 5000 + 2 * MIB + 1);
    assert_eq!(version.segments.iter().map(|s| (**s).clone()).collect::<Vec<_>>(), [small(), large()]);
    let latest = frame.latest().unwrap();
    assert_eq!((latest.number, ids(latest)), (4, vec![2, 4, 40]));

    let reservation = &state.reservations()[&12];
    assert_eq!((reservation.id, reservation.generation, reservation.len), (12, 12, 4097));
    assert_eq!(reservation.extents, extents(&[(16384, 8192)]));
    assert!(state.orphans().is_empty());
    let latest = |name: &str| state.frame(&FrameName::parse(name).unwrap()).unwrap().latest().unwrap();
    assert_eq!((latest("two").number, ids(latest("two"))), (2, vec![35, 36]));
    assert_eq!(latest(&"x".repeat(200)).number, 3);
    let next = |name: &str| state.highest_number(&FrameName::parse(name).unwrap()) + 1;
    assert_eq!([next("größe"), next("new"), next("a/b"), next("two")], [2, 2, 5, 3]);
    let free =
        [(12288, 4096), (36864, 2 * MIB - 36864), (4 * MIB, 2 * MIB), (6 * MIB + 4096, 2 * MIB - 4096)];
    assert_eq!(state.free().extents().collect::<Vec<_>>(), extents(&free));

    // Replay and what the live store had made of the same records agree in everything.
    assert_eq!(*state, *golden_by_hand().1.state());
}

#[test]
fn every_wrong_byte_is_an_error_or_changes_nothing() {
    let expected = golden_by_hand().1;
    let committed = usize::try_from(expected.catalog().committed()).unwrap();
    let half = 4096 + 12 * 1024;
    let live = (0..136).chain(half..half + committed);
    let mut refused = 0;
    for at in (0..GOLDEN.len()).filter(|at| at % 509 == 0).chain(live) {
        for wrong in [0x01, 0x80, 0xff] {
            let mut image = GOLDEN.to_vec();
            image[at] ^= wrong;
            match Ledger::replay(&MemMedia::from(image), PLACE, REGION, &pools()) {
                Ok(found) => assert_eq!(*found.state(), *expected.state(), "byte {at:#x}"),
                Err(StoreError::Catalog(_)) => refused += 1,
                Err(error) => panic!("byte {at:#x}: {error}"),
            }
        }
    }
    // Nothing that counts is without a checksum or a second witness.
    assert!(refused >= 3 * (136 + committed), "{refused}");
}

#[test]
fn a_wrong_commit_length_is_an_error_or_a_state_that_was() {
    const LENGTH: u64 = 0xffff_ffff;
    let (media, mut ledger) = golden_by_hand();
    ledger.compact(&media).unwrap();
    let mut states = HashMap::from([(media.load_u64(128).unwrap() & LENGTH, ledger.state().clone())]);
    for body in [taken(1, &[(12288, 4096)]), Body::ReservationEnded { id: 42 }, dropped("a/b", None)] {
        ledger.record(&media, body).unwrap();
        states.insert(media.load_u64(128).unwrap() & LENGTH, ledger.state().clone());
    }
    let word = media.load_u64(128).unwrap();
    let mut found = 0;
    for length in (0..(word & LENGTH) + 4).chain([12 * 1024 / 8, 12 * 1024 / 8 + 1, LENGTH]) {
        media.store_u64(128, (word & !LENGTH) | length).unwrap();
        match Ledger::replay(&media, PLACE, REGION, &pools()) {
            Ok(ledger) => assert_eq!(Some(&*ledger.state()), states.get(&length)),
            Err(StoreError::Catalog(_)) => continue,
            Err(error) => panic!("{error}"),
        }
        found += 1;
    }
    assert_eq!(found, states.len());
}

#[test]
fn truncated_or_foreign_catalogs_are_refused() {
    let replay = |image: &[u8], len: u64, region: Uuid| {
        let media = MemMedia::from(image.to_vec());
        match Ledger::replay(&media, (0, len), region, &pools()) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("accepted"),
        }
    };
    let other = Uuid::from_u128(7);
    assert!(replay(GOLDEN, 32 * 1024, other).contains("belongs to region"));
    assert!(replay(&[0; 40960], 40960, REGION).contains("magic 0x0000000000000000"));
    assert!(replay(GOLDEN, 16 * 1024, REGION).contains("16384 bytes in 1 extents"));
    let longer = [GOLDEN, &[0; 32768]].concat();
    assert!(replay(&longer, 65536, REGION).contains("do not match a file of"));
}

#[test]
fn a_store_that_was_overtaken_stops() {
    let (media, mut first) = golden_by_hand();
    let mut second = Ledger::replay(&media, PLACE, REGION, &pools()).unwrap();
    second.start_master(&media, HOST).unwrap();
    let end = || Body::ReservationEnded { id: 12 };
    let image = media.image();
    assert!(matches!(first.record(&media, end()), Err(StoreError::Fenced { .. })));
    assert!(matches!(first.record(&media, end()), Err(StoreError::Stopped)));
    assert!(matches!(first.compact(&media), Err(StoreError::Stopped)));
    assert_eq!(media.image(), image, "a fenced master writes nothing");
    second.record(&media, end()).unwrap();
}

#[test]
fn a_full_catalog_can_be_emptied() {
    let media = MemMedia::new(32 * 1024);
    CatalogFile::create(&media, 0, PLACE.1, REGION).unwrap();
    let mut ledger = Ledger::replay(&media, PLACE, REGION, &pools()).unwrap();
    ledger.start_master(&media, HOST).unwrap();
    let long = "n".repeat(250);
    let mut names = Vec::new();
    let full = loop {
        let page = names.len() as u64 * 4096;
        let id = match ledger.record(&media, taken(1, &[(page, 4096)])) {
            Ok(id) => id,
            Err(full) => break full,
        };
        let name = format!("{}{long}", names.len());
        match ledger.record(&media, committed(&name, 1, false, 0, 0, &[tiny(id, page)])) {
            Ok(_) => names.push((name, id)),
            Err(full) => break full,
        }
    };
    assert!(matches!(full, StoreError::CatalogFull { .. }), "{full}");
    let holders = format!("by {} versions, ", names.len());
    assert!(full.to_string().contains(&holders), "{full}");
    assert!(names.len() > 10, "{}", names.len());
    for (name, id) in names {
        ledger.record(&media, dropped(&name, None)).unwrap();
        ledger.record(&media, Body::ExtentsFreed { segments: vec![id] }).unwrap();
        let replayed = Ledger::replay(&media, PLACE, REGION, &pools()).unwrap();
        assert_eq!(*replayed.state(), *ledger.state());
    }
    assert_eq!((ledger.state().frames(), ledger.state().segments()), (0, 0));
}
