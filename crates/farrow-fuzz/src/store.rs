//! farrow-store: what `check` makes of a region's bytes.

use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};

use famfs_format::{ENTRY_LEN, LOG_HEADER_LEN, LOG_OFFSET, MIN_LOG_LEN, SUPERBLOCK_LEN, Superblock};
use farrow_region::{Media, MemMedia};
use farrow_store::{
    FormatOptions, FrameName, NewSegment, NewVersion, Owner, Prefix, Retention, RetentionTarget, Store,
    Validation, check,
};
use uuid::Uuid;

use crate::bytes::{put, seal_farrow, u16_at, u32_at, u64_at};
use crate::famfs::sealed_log;

const HOST: Uuid = Uuid::from_u128(5);
/// A pool of 4 MiB behind catalog and hosts.
const REGION_LEN: usize = 18 << 20;
/// So small that a few dozen records make it compact.
const CATALOG_LEN: usize = 32 * 1024;
/// The catalog is the first file in the region.
const CATALOG_OFFSET: u64 = LOG_OFFSET + MIN_LOG_LEN;

/// Head and commit word, without the zeros behind them.
const HEAD_LEN: usize = 136;
const HALF_OFFSETS: [usize; 2] = [4096, 4096 + 12 * 1024];
const HALF_LEN: usize = 12 * 1024;
const HALF_HEADER_LEN: usize = 64;
/// In a record, behind everything but its body.
const RECORD_CRC: usize = 28;
const RECORD_HEADER_LEN: usize = 32;

/// Entries of the famfs log that a case may have.
const MOST_ENTRIES: usize = 32;

/// [`check`] of superblock and famfs log: these two and the log's entries, one behind the other.
pub fn region(bytes: &[u8]) {
    check_region(bytes);
    check_region(&sealed_log(bytes));
}

fn check_region(bytes: &[u8]) {
    let (superblock, log) = bytes.split_at(bytes.len().min(SUPERBLOCK_LEN));
    let mut image = vec![0; LOG_HEADER_LEN + MOST_ENTRIES * ENTRY_LEN];
    let len = log.len().min(image.len());
    image[..len].copy_from_slice(&log[..len]);
    let mut first = [0; SUPERBLOCK_LEN];
    first[..superblock.len()].copy_from_slice(superblock);
    check_with(&[(0, &first), (LOG_OFFSET, &image)]);
}

pub(crate) fn region_seeds() -> Vec<Vec<u8>> {
    let seeds = Seeds::get();
    let log = usize::try_from(LOG_OFFSET).expect("fits");
    vec![[&seeds.image[..SUPERBLOCK_LEN], &seeds.image[log..][..LOG_HEADER_LEN + 6 * ENTRY_LEN]].concat()]
}

/// [`check`] of a catalog: its head and commit word, and the half that the word names.
pub fn catalog(bytes: &[u8]) {
    check_catalog(bytes);
    check_catalog(&sealed_catalog(bytes));
}

fn check_catalog(bytes: &[u8]) {
    let mut file = vec![0; CATALOG_LEN];
    let (head, half) = bytes.split_at(bytes.len().min(HEAD_LEN));
    file[..head.len()].copy_from_slice(head);
    let half = &half[..half.len().min(HALF_LEN)];
    let live = HALF_OFFSETS[usize::from(u16_at(bytes, 132).unwrap_or(0) & 1)];
    file[live..live + half.len()].copy_from_slice(half);
    check_with(&[(CATALOG_OFFSET, &file)]);
}

/// A catalog in which the checksums of head, half and all records match, as far as one follows the other.
fn sealed_catalog(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    seal_farrow(&mut sealed, 124);
    let Some(mut rest) = sealed.get_mut(HEAD_LEN..) else { return sealed };
    seal_farrow(rest, 60);
    let mut at = HALF_HEADER_LEN;
    while let Some(len) = u32_at(rest, at).and_then(|len| usize::try_from(len).ok()) {
        rest = &mut rest[at..];
        if !(RECORD_HEADER_LEN..=rest.len()).contains(&len) {
            break;
        }
        let crc = crc32c::crc32c(&rest[..RECORD_CRC]);
        let crc = crc32c::crc32c_append(crc, &rest[RECORD_HEADER_LEN..len]);
        put(rest, RECORD_CRC, &crc.to_le_bytes());
        at = len;
    }
    sealed
}

pub(crate) fn catalog_seeds() -> Vec<Vec<u8>> {
    Seeds::get().catalogs.clone()
}

/// Whatever the bytes are is in the report; and what is said to be clean adds up.
fn check_media(media: &MemMedia) {
    let report = check(media).expect("a medium in memory does not fail");
    for problem in &report.problems {
        assert!(!problem.to_string().is_empty());
    }
    assert!(report.superblock.is_some() || !report.is_clean());
    assert!(report.log_entries <= report.log_capacity);
    if let Some(catalog) = report.catalog {
        let usage = catalog.usage;
        let parts = [usage.used, usage.held, usage.reserved, usage.free].map(u128::from);
        assert_eq!(parts.iter().sum::<u128>(), u128::from(usage.pool_bytes), "{usage:?}");
        assert!(usage.largest_free <= usage.free);
        assert!(usage.catalog_committed <= usage.catalog_bytes);
    }
}

/// Checks the region of the seeds with other bytes at some offsets.
fn check_with(changes: &[(u64, &[u8])]) {
    thread_local! {
        /// Changed for a case and changed back, as it is too large to be copied for each.
        static REGION: MemMedia = MemMedia::from(Seeds::get().image.clone());
    }
    REGION.with(|media| {
        for (offset, bytes) in changes {
            media.write_at(*offset, bytes).expect("inside the region");
        }
        check_media(media);
        for (offset, bytes) in changes {
            let at = usize::try_from(*offset).expect("fits");
            let original = &Seeds::get().image[at..at + bytes.len()];
            media.write_at(*offset, original).expect("inside the region");
        }
    });
}

/// A region and what its catalog held over time.
struct Seeds {
    image: Vec<u8>,
    catalogs: Vec<Vec<u8>>,
}

impl Seeds {
    fn get() -> &'static Self {
        static SEEDS: OnceLock<Seeds> = OnceLock::new();
        SEEDS.get_or_init(Self::make)
    }

    fn make() -> Self {
        let media = Arc::new(MemMedia::new(REGION_LEN));
        let options = FormatOptions { catalog_len: Some(CATALOG_LEN as u64), ..FormatOptions::new(HOST) };
        Store::format(media.as_ref(), &options).expect("room for a region");
        fix_uuids(media.as_ref());
        let image = media.image();
        let mut catalogs = vec![catalog_of(&media)];
        let store = Store::open(Arc::<MemMedia>::clone(&media), HOST).expect("a new region");
        store.lift_quarantine().expect("a new region");
        let owner = Owner { host: HOST, uid: 1000, pid: 42, start_time: 7 };
        for turn in 0_u64..80 {
            let reservation = store.reserve(owner, 4096 * (turn % 3 + 1)).expect("room in the pool");
            match turn % 10 {
                5 => {
                    let more = store.reserve(owner, 4096).expect("room in the pool");
                    let mut both = version(reservation.id, turn);
                    both.segments.push(segment(more.id, 0));
                    if let Ok(latest) = store.view().get(&both.name, None) {
                        both.schema_fingerprint = latest.schema_fingerprint;
                    }
                    store.append(both).expect("the schema of the latest version");
                }
                3 => store.abort(reservation.id).expect("a reservation"),
                7 if turn < 20 => {} // is left
                _ => drop(store.commit(version(reservation.id, turn)).expect("a reservation")),
            }
            if turn % 5 == 4 {
                store.drop_frame(&frame(turn / 5), None).expect("a frame");
            }
            if turn % 20 == 11 {
                let retention =
                    Retention { last: NonZeroU64::new(turn % 3), max_age_seconds: NonZeroU64::new(turn) };
                let below = RetentionTarget::Prefix(Prefix::parse("frames/").expect("a prefix"));
                for (target, uid) in [(RetentionTarget::Frame(frame(turn)), 1), (below, 2)] {
                    store
                        .retain(&target, Some(retention).filter(|_| turn < 60), uid)
                        .expect("room in the catalog");
                }
            }
            if turn % 16 == 3 {
                store
                    .expire(&Prefix::parse("frames/").expect("a prefix"), 1_700_000_000_000_000, false)
                    .expect("a time");
            }
            if turn % 32 == 30 {
                store.drop_prefix(&Prefix::pattern("frames/2*").expect("a prefix")).ok();
            }
            if turn % 16 == 5 {
                catalogs.push(catalog_of(&media));
            }
        }
        assert!(catalogs.iter().any(|catalog| u16_at(catalog, 132) == Some(1)), "there was a compaction");
        Self { image, catalogs }
    }
}

/// Two short names, and two of which the small catalog cannot remember the numbers of both.
fn frame(turn: u64) -> FrameName {
    let number = turn % 4;
    let long = if number < 2 { "" } else { &"n".repeat(190) };
    FrameName::parse(&format!("frames/{number}{long}")).expect("a valid name")
}

fn version(reservation: u64, turn: u64) -> NewVersion {
    NewVersion {
        name: frame(turn),
        schema_fingerprint: turn,
        committed_at_micros: 1_700_000_000_000_000,
        segments: vec![segment(reservation, turn)],
    }
}

fn segment(reservation: u64, turn: u64) -> NewSegment {
    NewSegment {
        reservation,
        len: 4096 * (turn % 3) + 8,
        rows: turn,
        batches: 2,
        validation: Validation::Values,
        metadata_digest: turn,
        checksums: vec![1, 2],
    }
}

/// mkfs draws UUIDs at random; an input that is to reproduce something must meet the same ones again.
fn fix_uuids(media: &MemMedia) {
    let mut bytes = [0; SUPERBLOCK_LEN];
    media.read_at(0, &mut bytes).expect("inside the region");
    let found = Superblock::decode(&bytes).expect("a new superblock");
    let fixed = Superblock { uuid: Uuid::from_u128(1), dev_uuid: Uuid::from_u128(2), ..found };
    media.write_at(0, &fixed.encode().expect("a valid superblock")).expect("inside the region");
    let mut head = [0; 128];
    media.read_at(CATALOG_OFFSET, &mut head).expect("inside the region");
    put(&mut head, 16, fixed.uuid.as_bytes());
    seal_farrow(&mut head, 124);
    media.write_at(CATALOG_OFFSET, &head).expect("inside the region");
}

/// The catalog's input: head and word, then the committed part of the half that the word names.
fn catalog_of(media: &MemMedia) -> Vec<u8> {
    let mut file = vec![0; CATALOG_LEN];
    media.read_at(CATALOG_OFFSET, &mut file).expect("inside the region");
    let word = u64_at(&file, 128).expect("a commit word");
    let live = HALF_OFFSETS[usize::from(u16_at(&file, 132).expect("a commit word") & 1)];
    let committed = usize::try_from((word & u64::from(u32::MAX)) * 8).expect("fits");
    [&file[..HEAD_LEN], &file[live..live + committed]].concat()
}
