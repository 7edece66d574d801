//! What the records of a catalog mean: the one `apply` that replay and live commits share.
//!
//! Knows no media, no locks, no readers. A [`State`] is a function of the pools and the records applied to it.

mod fault;
mod owned;
mod verify;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::allocator::FreeSpace;
use crate::catalog::{
    Body, Place, PrefixDropped, Record, VersionRecord, reservation_record_len, retention_record_len,
    segment_record_len, version_record_len,
};
use crate::frame::{Extent, Segment, Version};
use crate::name::FrameName;
use crate::reservation::Reservation;
use owned::Owned;

pub use fault::StateFault;

/// Everything that the catalog says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    epoch: u64,
    seq: u64,
    frames: HashMap<FrameName, Frame>,
    /// The same names in order, for listing.
    names: BTreeSet<FrameName>,
    segments: HashMap<u64, Kept>,
    /// Segments in no version, whose extents are not free yet.
    orphans: BTreeSet<u64>,
    reservations: BTreeMap<u64, Reservation>,
    free: FreeSpace,
    totals: Totals,
    /// Bytes of extents by user: of its reservations, and of segments charged to it.
    owned: Owned,
}

/// A frame with at least one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// By number.
    pub(crate) versions: BTreeMap<u64, Arc<Version>>,
    /// The highest number given.
    pub(crate) last_number: u64,
    /// How many of its latest versions it keeps; 0: all.
    pub(crate) retention: u64,
}

impl Frame {
    /// The version with the highest number that is still there.
    pub(crate) fn latest(&self) -> Option<&Arc<Version>> {
        self.versions.last_key_value().map(|(_, version)| version)
    }

    /// The oldest version that has the segment `id`.
    fn oldest_with(&self, id: u64) -> Option<&Arc<Version>> {
        self.versions.values().find(|version| version.segments.iter().any(|segment| segment.id == id))
    }

    /// The oldest versions that are too many, if it kept `retention` of them and had `more`.
    fn surplus(&self, retention: u64, more: u64) -> impl Iterator<Item = &Arc<Version>> {
        let count = (self.versions.len() as u64 + more).saturating_sub(retention);
        let count = if retention == 0 { 0 } else { count };
        self.versions.values().take(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

/// Sums over the state, kept up to date by `apply`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Bytes of extents of segments in versions.
    pub(crate) used: u64,
    /// Bytes of extents of orphans.
    pub(crate) held: u64,
    /// Bytes of extents of reservations.
    pub(crate) reserved: u64,
    /// Versions of all frames.
    pub(crate) versions: u64,
    /// Bytes of the records that a checkpoint of this state holds.
    pub(crate) checkpoint_len: u64,
    /// Of which are segments.
    pub(crate) segments_len: u64,
}

/// A segment and the number of versions it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    segment: Arc<Segment>,
    versions: u64,
    /// The lowest version that it is in, and the user whose version that is: the same after a replay of what is left.
    charged: Option<(u64, u32)>,
}

impl State {
    /// Nothing but free space, before the record `seq + 1` of the given epoch.
    pub(crate) fn new(free: FreeSpace, epoch: u64, seq: u64) -> Self {
        Self { epoch, seq, free, ..Self::default() }
    }

    /// The epoch of the last record.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The sequence number of the last record.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// One more pool file is there. At the next start it is there from the beginning, which comes to the same.
    pub(crate) fn add_pool(&mut self, pool: u32, len: u64) {
        self.free.add_pool(pool, len);
    }

    pub(crate) fn free(&self) -> &FreeSpace {
        &self.free
    }

    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Bytes of extents in the versions and reservations of a user. A segment counts once, for the owner of the oldest
    /// version that it is in.
    pub(crate) fn owned_by(&self, uid: u32) -> u64 {
        self.owned.of(uid)
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    pub(crate) fn frame(&self, name: &FrameName) -> Option<&Frame> {
        self.frames.get(name)
    }

    /// The names of all frames, in the order of their bytes.
    pub(crate) fn names(&self) -> &BTreeSet<FrameName> {
        &self.names
    }

    /// The names that begin with `prefix`, in order.
    pub(crate) fn names_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a FrameName> {
        let from = self.names.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |name| name.as_str().starts_with(prefix))
    }

    pub(crate) fn segment(&self, id: u64) -> Option<&Arc<Segment>> {
        self.segments.get(&id).map(|kept| &kept.segment)
    }

    /// Segments that are in no version and whose extents are not free yet.
    pub(crate) fn orphans(&self) -> &BTreeSet<u64> {
        &self.orphans
    }

    pub(crate) fn reservations(&self) -> &BTreeMap<u64, Reservation> {
        &self.reservations
    }

    /// The versions that a record drops: what it says itself, and what a frame's retention does not keep.
    pub(crate) fn dropped_by(&self, body: &Body) -> Vec<Arc<Version>> {
        let frame = |name| self.frames.get(name);
        match body {
            Body::VersionCommitted(version) => frame(&version.name)
                .map_or_else(Vec::new, |frame| frame.surplus(frame.retention, 1).cloned().collect()),
            Body::VersionDropped { name, number: Some(number) } => {
                frame(name).and_then(|frame| frame.versions.get(number)).cloned().into_iter().collect()
            }
            Body::VersionDropped { name, number: None } => {
                frame(name).map_or_else(Vec::new, |frame| frame.versions.values().cloned().collect())
            }
            Body::RetentionSet { name, last } => {
                frame(name).map_or_else(Vec::new, |frame| frame.surplus(*last, 0).cloned().collect())
            }
            Body::PrefixDropped(dropped) => self.meant_by(dropped).cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// The frames of which a record changes the latest version.
    pub(crate) fn latest_changed_by(&self, body: &Body) -> Vec<FrameName> {
        if let Body::VersionCommitted(version) = body {
            // What the frame's retention does not keep is older.
            return vec![version.name.clone()];
        }
        let is_latest = |version: &Version| {
            let frame = self.frames.get(&version.name);
            frame.and_then(Frame::latest).is_some_and(|latest| latest.number == version.number)
        };
        let dropped = self.dropped_by(body);
        dropped.iter().filter(|version| is_latest(version)).map(|version| version.name.clone()).collect()
    }

    fn meant_by<'a>(&'a self, dropped: &'a PrefixDropped) -> impl Iterator<Item = &'a Arc<Version>> {
        let frames = self.names_with(&dropped.prefix).filter_map(|name| self.frames.get(name));
        frames.flat_map(move |frame| {
            let latest = frame.latest().map(|version| version.number).filter(|_| !dropped.latest);
            frame.versions.values().filter(move |version| {
                version.committed_at_micros <= dropped.until_micros && Some(version.number) != latest
            })
        })
    }

    /// Verifies a record, then changes the state by it. After an error nothing has changed.
    pub(crate) fn apply(&mut self, place: Place, record: &Record) -> Result<(), StateFault> {
        self.verify(place, record)?;
        if place == Place::Log {
            (self.seq, self.epoch) = (record.seq, record.epoch);
        }
        let dropped = self.dropped_by(&record.body);
        match &record.body {
            Body::VersionCommitted(version) => self.commit(record.seq, version),
            Body::VersionDropped { .. } | Body::PrefixDropped(_) => {}
            Body::RetentionSet { name, last } => self.set_retention(name, *last),
            Body::ExtentsFreed { segments } => segments.iter().for_each(|id| self.free_segment(*id)),
            Body::ReservationTaken { owner, len, extents } => {
                self.take(extents);
                self.totals.reserved += total_len(extents);
                self.owned.add(owner.uid, total_len(extents));
                self.totals.checkpoint_len += reservation_record_len(extents.len());
                let (id, generation) = (record.seq, record.seq);
                let reservation =
                    Reservation { id, owner: *owner, len: *len, generation, extents: extents.clone() };
                self.reservations.insert(id, reservation);
            }
            Body::ReservationEnded { id } => {
                if let Some(reservation) = self.end_reservation(*id) {
                    self.give_back(&reservation.extents);
                }
            }
            Body::MasterStarted { .. } => {}
            Body::SegmentKept(segment) => {
                self.take(&segment.extents);
                self.keep(Arc::clone(segment));
            }
        }
        dropped.iter().for_each(|version| self.drop_version(version));
        Ok(())
    }

    /// The records of a checkpoint, in the order in which they can be applied.
    pub(crate) fn checkpoint(&self) -> impl Iterator<Item = Record> + '_ {
        let record = |seq, body| Record { seq, epoch: self.epoch, body };
        let segments = self.segments.values().map(|kept| &kept.segment);
        // Sorted, so that equal states have equal bytes.
        let mut segments: Vec<_> = segments.collect();
        segments.sort_unstable_by_key(|segment| segment.id);
        let mut versions: Vec<_> = self
            .frames
            .values()
            .flat_map(|frame| frame.versions.values().map(|version| (version, frame.last_number)))
            .collect();
        versions.sort_unstable_by_key(|(version, _)| version.seq);

        let segments =
            segments.into_iter().map(move |segment| record(self.seq, Body::SegmentKept(Arc::clone(segment))));
        let reservations = self.reservations.values().map(move |reservation| {
            let Reservation { id, owner, len, ref extents, .. } = *reservation;
            record(id, Body::ReservationTaken { owner, len, extents: extents.clone() })
        });
        let versions = versions.into_iter().map(move |(version, last_number)| {
            let segments = version.segments.iter().map(|segment| segment.id).collect();
            let body = VersionRecord {
                name: version.name.clone(),
                number: version.number,
                last_number,
                schema_fingerprint: version.schema_fingerprint,
                committed_at_micros: version.committed_at_micros,
                owner: version.owner,
                segments,
                written: Vec::new(),
            };
            record(version.seq, Body::VersionCommitted(body))
        });
        let retentions = self.names.iter().filter_map(move |name| {
            let last = self.frames.get(name)?.retention;
            (last > 0).then(|| record(self.seq, Body::RetentionSet { name: name.clone(), last }))
        });
        segments.chain(reservations).chain(versions).chain(retentions)
    }

    fn commit(&mut self, seq: u64, record: &VersionRecord) {
        for segment in &record.written {
            let Some(reservation) = self.end_reservation(segment.id) else { continue };
            if let Some((_, rest)) = split_extents(&reservation.extents, segment.len) {
                self.give_back(&rest);
            }
            self.keep(Arc::clone(segment));
        }
        let mut segments = Vec::with_capacity(record.segments.len());
        for id in &record.segments {
            let Some(kept) = self.segments.get_mut(id) else { continue };
            kept.versions += 1;
            let len = total_len(&kept.segment.extents);
            let charged = kept.charged.is_none();
            if charged {
                kept.charged = Some((record.number, record.owner.uid));
            }
            segments.push(Arc::clone(&kept.segment));
            if self.orphans.remove(id) {
                self.totals.held -= len;
                self.totals.used += len;
            }
            if charged {
                self.owned.add(record.owner.uid, len);
            }
        }
        let version = Version {
            name: record.name.clone(),
            number: record.number,
            seq,
            schema_fingerprint: record.schema_fingerprint,
            rows: segments.iter().map(|segment| segment.rows).sum(),
            bytes: segments.iter().map(|segment| segment.len).sum(),
            segments,
            owner: record.owner,
            committed_at_micros: record.committed_at_micros,
        };
        self.totals.versions += 1;
        self.totals.checkpoint_len += version_record_len(&version.name, version.segments.len());
        self.names.insert(record.name.clone());
        let frame = self.frames.entry(record.name.clone()).or_default();
        frame.last_number = record.last_number;
        frame.versions.insert(record.number, Arc::new(version));
    }

    fn set_retention(&mut self, name: &FrameName, last: u64) {
        let Some(frame) = self.frames.get_mut(name) else { return };
        let len = |retention| if retention > 0 { retention_record_len(name) } else { 0 };
        self.totals.checkpoint_len += len(last);
        self.totals.checkpoint_len -= len(frame.retention);
        frame.retention = last;
    }

    fn drop_version(&mut self, version: &Version) {
        let Some(frame) = self.frames.get_mut(&version.name) else { return };
        if frame.versions.remove(&version.number).is_none() {
            return;
        }
        if frame.versions.is_empty() {
            self.set_retention(&version.name, 0);
            self.frames.remove(&version.name);
            self.names.remove(&version.name);
        }
        self.totals.versions -= 1;
        self.totals.checkpoint_len -= version_record_len(&version.name, version.segments.len());
        for segment in &version.segments {
            let Some(kept) = self.segments.get_mut(&segment.id) else { continue };
            kept.versions -= 1;
            let len = total_len(&segment.extents);
            if kept.versions == 0 {
                self.orphans.insert(segment.id);
                self.totals.used -= len;
                self.totals.held += len;
            }
            if let Some((number, uid)) = kept.charged
                && number == version.number
            {
                let next = self.frames.get(&version.name).and_then(|frame| frame.oldest_with(segment.id));
                kept.charged = next.map(|next| (next.number, next.owner.uid));
                let next = kept.charged;
                self.owned.take(uid, len);
                if let Some((_, uid)) = next {
                    self.owned.add(uid, len);
                }
            }
        }
    }

    /// Adds a segment that is in no version yet. Its extents are taken.
    fn keep(&mut self, segment: Arc<Segment>) {
        self.totals.held += total_len(&segment.extents);
        self.totals.checkpoint_len += segment_record_len(&segment);
        self.totals.segments_len += segment_record_len(&segment);
        self.orphans.insert(segment.id);
        self.segments.insert(segment.id, Kept { segment, versions: 0, charged: None });
    }

    fn free_segment(&mut self, id: u64) {
        self.orphans.remove(&id);
        let Some(Kept { segment, .. }) = self.segments.remove(&id) else { return };
        self.totals.held -= total_len(&segment.extents);
        self.totals.checkpoint_len -= segment_record_len(&segment);
        self.totals.segments_len -= segment_record_len(&segment);
        self.give_back(&segment.extents);
    }

    /// Forgets a reservation, but leaves its extents taken.
    fn end_reservation(&mut self, id: u64) -> Option<Reservation> {
        let reservation = self.reservations.remove(&id)?;
        self.totals.reserved -= total_len(&reservation.extents);
        self.owned.take(reservation.owner.uid, total_len(&reservation.extents));
        self.totals.checkpoint_len -= reservation_record_len(reservation.extents.len());
        Some(reservation)
    }

    fn take(&mut self, extents: &[Extent]) {
        for extent in extents {
            let taken = self.free.take(extent);
            debug_assert!(taken, "verified before");
        }
    }

    fn give_back(&mut self, extents: &[Extent]) {
        extents.iter().for_each(|extent| self.free.give_back(extent));
    }
}

/// Splits extents into those that hold `len` bytes, rounded up to whole pages, and the rest.
/// `None` if they are shorter, or `len` is 0.
pub(crate) fn split_extents(extents: &[Extent], len: u64) -> Option<(Vec<Extent>, Vec<Extent>)> {
    let mut left = len.checked_next_multiple_of(crate::allocator::PAGE)?;
    let (mut used, mut rest) = (Vec::new(), Vec::new());
    for extent in extents {
        let here = extent.len.min(left);
        if here > 0 {
            used.push(Extent { len: here, ..*extent });
        }
        if here < extent.len {
            rest.push(Extent { offset: extent.offset + here, len: extent.len - here, ..*extent });
        }
        left -= here;
    }
    (left == 0 && len > 0).then_some((used, rest))
}

/// Bytes of all extents together.
pub(crate) fn total_len(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.len).sum()
}

#[cfg(test)]
mod tests;
