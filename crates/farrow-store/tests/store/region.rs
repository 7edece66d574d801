//! Small regions, and what can be seen of them.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use famfs_format::MIN_LOG_LEN;
use farrow_region::{Media, MemMedia};
use farrow_store::{
    Dropped, Extent, FormatOptions, FrameName, NewSegment, NewVersion, Owner, Prefix, Reservation, Retention,
    RetentionRule, RetentionTarget, Store, StoreError, Validation, Version,
};
use uuid::Uuid;

pub(crate) const MIB: u64 = 1024 * 1024;
pub(crate) const PAGE: u64 = 4096;
pub(crate) const HOST: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
pub(crate) const OWNER: Owner = Owner { host: HOST, uid: 1000, pid: 42, start_time: 7 };
/// A catalog so small that it is compacted every few dozen records.
pub(crate) const SMALL_CATALOG: u64 = 32 * 1024;

pub(crate) fn options() -> FormatOptions {
    FormatOptions { catalog_len: Some(SMALL_CATALOG), ..FormatOptions::new(HOST) }
}

/// A medium that holds a region with a pool of so many bytes, a multiple of 2 MiB.
pub(crate) fn formatted(pool: u64) -> MemMedia {
    formatted_with_reserve(pool, 0)
}

/// The same, with so many bytes outside the pool, a multiple of 2 MiB.
pub(crate) fn formatted_with_reserve(pool: u64, reserve: u64) -> MemMedia {
    let media = MemMedia::new(usize::try_from(2 * MIB + MIN_LOG_LEN + 4 * MIB + pool + reserve).unwrap());
    let report = Store::format(&media, &FormatOptions { reserve, ..options() }).unwrap();
    assert_eq!((report.pool_len, report.catalog_len), (pool, SMALL_CATALOG));
    media
}

pub(crate) fn opened(pool: u64) -> Store {
    open(formatted(pool))
}

pub(crate) fn open(media: impl Media + 'static) -> Store {
    Store::open(Arc::new(media), HOST).unwrap()
}

pub(crate) fn name(name: &str) -> FrameName {
    FrameName::parse(name).unwrap()
}

/// A version of what was written into one reservation.
pub(crate) fn new_version(reservation: u64, frame: &str, len: u64) -> NewVersion {
    NewVersion {
        name: name(frame),
        schema_fingerprint: 0xf1,
        committed_at_micros: 1_700_000_000_000_000,
        segments: vec![new_segment(reservation, len)],
    }
}

pub(crate) fn new_segment(reservation: u64, len: u64) -> NewSegment {
    NewSegment {
        reservation,
        len,
        rows: len / 8,
        batches: 2,
        validation: Validation::Values,
        metadata_digest: len ^ 0xd1,
        checksums: vec![1, 2],
    }
}

/// Writes what a writer would: bytes that tell one reservation from every other.
pub(crate) fn fill(store: &Store, reservation: &Reservation) {
    let mut left = reservation.len;
    for (offset, len) in store.view().media_ranges(&reservation.extents).unwrap() {
        let here = usize::try_from(len.min(left)).unwrap();
        store.view().media().write_at(offset, &vec![pattern(reservation.id); here]).unwrap();
        left -= here as u64;
    }
}

pub(crate) fn pattern(reservation: u64) -> u8 {
    u8::try_from(reservation % 251 + 1).unwrap()
}

/// Reserves, writes and commits.
pub(crate) fn put(store: &Store, frame: &str, len: u64) -> Arc<Version> {
    let reservation = store.reserve(OWNER, len).unwrap();
    fill(store, &reservation);
    store.commit(new_version(reservation.id, frame, len)).unwrap()
}

pub(crate) fn append(store: &Store, frame: &str, len: u64) -> Arc<Version> {
    let reservation = store.reserve(OWNER, len).unwrap();
    fill(store, &reservation);
    store.append(new_version(reservation.id, frame, len)).unwrap()
}

/// Of so many versions, and of so many seconds; 0 is all.
pub(crate) fn keeping(last: u64, seconds: u64) -> Retention {
    Retention { last: NonZeroU64::new(last), max_age_seconds: NonZeroU64::new(seconds) }
}

pub(crate) fn of_frame(frame: &str) -> RetentionTarget {
    RetentionTarget::Frame(name(frame))
}

pub(crate) fn of_prefix(prefix: &str) -> RetentionTarget {
    RetentionTarget::Prefix(Prefix::pattern(prefix).unwrap())
}

/// Keeps the last versions of a frame.
pub(crate) fn retain(store: &Store, frame: &str, last: u64) -> Result<Dropped, StoreError> {
    store.retain(&of_frame(frame), Some(keeping(last, 0)), OWNER.uid)
}

/// The bytes of extents.
pub(crate) fn read(store: &Store, extents: &[Extent]) -> Vec<u8> {
    let mut out = Vec::new();
    for (offset, len) in store.view().media_ranges(extents).unwrap() {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        store.view().media().read_at(offset, &mut bytes).unwrap();
        out.extend_from_slice(&bytes);
    }
    out
}

/// All that readers and writers can see.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    pub(crate) versions: BTreeMap<(FrameName, u64), Version>,
    pub(crate) reservations: Vec<Reservation>,
    pub(crate) retentions: Vec<RetentionRule>,
    /// Their lengths.
    pub(crate) pools: Vec<u64>,
}

pub(crate) fn view(store: &Store) -> View {
    let mut versions = BTreeMap::new();
    let retentions = [
        store.view().prefix_retentions(None, usize::MAX),
        store.view().name_retentions("", None, usize::MAX),
    ]
    .concat();
    for latest in store.view().list("", None, usize::MAX) {
        for version in store.view().versions(&latest.name).unwrap() {
            versions.insert((version.name.clone(), version.number), (*version).clone());
        }
    }
    let pools = store.view().pools().iter().map(|pool| pool.len).collect();
    View { versions, reservations: store.view().reservations(), retentions, pools }
}

impl View {
    /// Every extent that somebody has, once for each owner.
    pub(crate) fn owned(&self) -> Vec<Extent> {
        let segments: BTreeMap<u64, &Vec<Extent>> = self
            .versions
            .values()
            .flat_map(|version| version.segments.iter().map(|segment| (segment.id, &segment.extents)))
            .collect();
        let reserved = self.reservations.iter().map(|reservation| &reservation.extents);
        segments.into_values().chain(reserved).flatten().copied().collect()
    }

    /// Nothing is owned twice, everything adds up, and each version's bytes are what its writer wrote.
    pub(crate) fn check(&self, store: &Store) {
        assert_disjoint(&self.owned(), &self.pools);
        let usage = store.view().usage();
        assert_eq!(usage.used + usage.held + usage.reserved + usage.free, usage.pool_bytes);
        assert_eq!(usage.used + usage.reserved, self.owned().iter().map(|e| e.len).sum::<u64>());
        assert_eq!(usage.versions, self.versions.len() as u64);
        for version in self.versions.values() {
            assert_eq!(version.bytes, version.segments.iter().map(|segment| segment.len).sum::<u64>());
            for segment in &version.segments {
                let bytes = read(store, &segment.extents);
                let (data, tail) = bytes.split_at(usize::try_from(segment.len).unwrap());
                // Compared as slices: byte by byte takes long without optimization.
                assert!(data == vec![pattern(segment.id); data.len()], "{}", version.name);
                assert!(tail == vec![0; tail.len()], "{}", version.name);
            }
        }
    }
}

pub(crate) fn assert_disjoint(extents: &[Extent], pools: &[u64]) {
    let mut sorted = extents.to_vec();
    sorted.sort_unstable();
    for pair in sorted.windows(2) {
        let apart = pair[0].pool != pair[1].pool || pair[0].offset + pair[0].len <= pair[1].offset;
        assert!(apart, "{pair:?} overlap");
    }
    for extent in sorted {
        assert!(extent.offset % PAGE == 0 && extent.len % PAGE == 0 && extent.len > 0, "{extent:?}");
        assert!(extent.offset + extent.len <= pools[extent.pool as usize], "{extent:?}");
    }
}
