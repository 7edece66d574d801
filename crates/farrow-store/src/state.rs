//! The meaning of a catalog's records: the one `apply` that replay and live commits share.
//!
//! Knows no media, no locks, no readers. A [`State`] is a function of the pools and the records applied to it.

mod aged;
mod apply;
mod checkpoint;
mod fault;
mod forgotten;
mod old;
mod owned;
mod retentions;
mod verify;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroU64;
use std::ops::Bound;
use std::sync::Arc;

use crate::allocator::FreeSpace;
use crate::catalog::{Body, PrefixDropped, RetentionSet, number_record_len};
use crate::frame::{Extent, Segment, Version};
use crate::name::FrameName;
use crate::prefix::Prefix;
use crate::reservation::Reservation;
use crate::retention::{Retention, RetentionRule, RetentionTarget};
use crate::segments::SegmentsIter;
use forgotten::Forgotten;
use old::OldBytes;
use owned::Owned;
use retentions::Retentions;

pub(crate) use aged::Place as AgedPlace;
pub use fault::StateFault;
pub(crate) use owned::OfUser;
pub(crate) use retentions::Setting;

/// Everything that the catalog says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    epoch: u64,
    seq: u64,
    frames: HashMap<FrameName, Frame>,
    /// The same names in order, for listing.
    names: BTreeSet<FrameName>,
    /// The numbers that names without a version have given.
    forgotten: Forgotten,
    /// The ids of all segments.
    segments: HashSet<u64>,
    /// Segments in no version, whose extents are not free yet.
    orphans: BTreeMap<u64, Orphan>,
    reservations: BTreeMap<u64, Reservation>,
    free: FreeSpace,
    totals: Totals,
    /// Bytes of extents by user.
    owned: Owned,
    /// Bytes of extents of old versions by frame.
    old: OldBytes,
    /// The retentions of frames and prefixes.
    retentions: Retentions,
    /// While a checkpoint is read: the version that the records so far have not ended, by its frame and its sequence
    /// number.
    open: Option<(FrameName, u64)>,
}

/// A segment in no version any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Orphan {
    pub(crate) segment: Arc<Segment>,
    /// For whom it counts.
    pub(crate) uid: u32,
}

/// A frame with at least one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// By number.
    pub(crate) versions: BTreeMap<u64, Arc<Version>>,
    /// The highest number given.
    pub(crate) last_number: u64,
    /// Bytes of extents of the segments in its versions.
    used: u64,
    /// Bytes of extents of the segments in its latest version.
    latest_used: u64,
}

impl Frame {
    /// The version with the highest number that is still there.
    pub(crate) fn latest(&self) -> Option<&Arc<Version>> {
        self.versions.last_key_value().map(|(_, version)| version)
    }

    /// The segments that a version of the frame does not have of the one before it, at least one.
    fn own_segments<'a>(&self, version: &'a Version) -> SegmentsIter<'a> {
        let before = self.versions.range(..version.number).next_back().map(|(_, before)| before);
        let shared =
            before.filter(|before| extends(version, before)).map_or(0, |before| before.segments.len());
        version.segments.iter_from(shared)
    }

    /// The next version after `version`, if that extends it.
    fn extended_by(&self, version: &Version) -> Option<&Arc<Version>> {
        let (_, next) = self.versions.range((Bound::Excluded(version.number), Bound::Unbounded)).next()?;
        extends(next, version).then_some(next)
    }

    /// True if its next number does not follow from its latest version.
    fn gave_more(&self) -> bool {
        self.latest().is_some_and(|latest| latest.number != self.last_number)
    }

    /// Bytes of the record of its highest number in a checkpoint.
    fn number_len(&self, name: &FrameName) -> u64 {
        if self.gave_more() { number_record_len(name) } else { 0 }
    }

    /// The oldest versions that are too many, if it kept the `last` of them and had `more`.
    fn surplus(&self, last: Option<NonZeroU64>, more: u64) -> impl Iterator<Item = &Arc<Version>> {
        let count = last.map_or(0, |last| (self.versions.len() as u64 + more).saturating_sub(last.get()));
        self.versions.values().take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Bytes of extents that its latest version does not have.
    fn old_bytes(&self) -> u64 {
        self.used - self.latest_used
    }
}

/// True if a version has the segments of the one before it. If not, it has none of them: a version is put anew, or
/// extends the one that was the latest at that time, and so all that are left between the two.
fn extends(version: &Version, before: &Version) -> bool {
    let first = |version: &Version| version.segments.first().map(|segment| segment.id);
    first(version) == first(before)
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
    /// Bytes of the records that a checkpoint of this state holds, but for those of names without a version and of
    /// retentions.
    records_len: u64,
    /// Bytes that the segments take in them.
    pub(crate) segments_len: u64,
}

impl State {
    /// Nothing but free space, before the record `seq + 1` of the given epoch, in a catalog whose halves have `half_len`
    /// bytes.
    pub(crate) fn new(free: FreeSpace, epoch: u64, seq: u64, half_len: u64) -> Self {
        Self { epoch, seq, free, forgotten: Forgotten::new(half_len), ..Self::default() }
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

    /// Bytes of the records that a checkpoint of this state holds.
    pub(crate) fn checkpoint_len(&self) -> u64 {
        self.totals.records_len + self.forgotten.records_len() + self.retentions.records_len()
    }

    /// Bytes of extents that count for a user. A segment counts once, for the owner of the oldest version that it is in;
    /// without one, for that of the last version that it was in, and if a record dropped several such, of the oldest of
    /// these.
    pub(crate) fn owned_by(&self, uid: u32) -> OfUser {
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

    /// The names that are in `prefix`, in order.
    pub(crate) fn names_with<'a>(&'a self, prefix: &'a Prefix) -> impl Iterator<Item = &'a FrameName> {
        let itself = prefix.itself().and_then(|name| self.names.get(name));
        let from = self.names.range::<str, _>((Bound::Included(prefix.start()), Bound::Unbounded));
        itself.into_iter().chain(from.take_while(|name| name.as_str().starts_with(prefix.start())))
    }

    /// Bytes of extents that no other version has: they are given up with this one alone.
    pub(crate) fn own_bytes(&self, version: &Version) -> u64 {
        match self.frames.get(&version.name) {
            Some(frame) if frame.extended_by(version).is_none() => {
                frame.own_segments(version).map(|segment| total_len(&segment.extents)).sum()
            }
            _ => 0,
        }
    }

    /// The highest number that a frame has given, or may have given while more names were remembered. Its next version
    /// has the number after it.
    pub(crate) fn highest_number(&self, name: &FrameName) -> u64 {
        self.frames.get(name).map_or_else(|| self.forgotten.highest_number(name), |frame| frame.last_number)
    }

    /// The highest number that a name is known to have given: 0 for one that is not remembered.
    pub(crate) fn known_number(&self, name: &FrameName) -> u64 {
        let known = self.frames.contains_key(name) || self.forgotten.has(name);
        if known { self.highest_number(name) } else { 0 }
    }

    /// The segments that are in no other version once these are dropped, and maybe more.
    pub(crate) fn own_segments(&self, versions: &[Arc<Version>]) -> Vec<u64> {
        let frames = versions.iter().filter_map(|version| Some((self.frames.get(&version.name)?, version)));
        frames.flat_map(|(frame, version)| frame.own_segments(version)).map(|segment| segment.id).collect()
    }

    /// Segments that are in no version and whose extents are not free yet, by id.
    pub(crate) fn orphans(&self) -> &BTreeMap<u64, Orphan> {
        &self.orphans
    }

    pub(crate) fn reservations(&self) -> &BTreeMap<u64, Reservation> {
        &self.reservations
    }

    /// The retention that holds for a frame of this name.
    pub(crate) fn retention(&self, name: &FrameName) -> Retention {
        self.retentions.of(name)
    }

    /// The retention that is set for a name or prefix, with its user.
    pub(crate) fn retention_set(&self, target: &RetentionTarget) -> Option<&Setting> {
        self.retentions.get(target)
    }

    /// The number of retentions.
    pub(crate) fn retentions(&self) -> usize {
        self.retentions.len()
    }

    /// The number of those of prefixes and of names without a frame, and the number of these that a user has set.
    pub(crate) fn retentions_counted(&self, uid: u32) -> (usize, usize) {
        self.retentions.counted(uid)
    }

    /// Those of prefixes from a text on, by their text.
    pub(crate) fn prefix_retentions(&self, from: Bound<&str>) -> impl Iterator<Item = RetentionRule> {
        self.retentions.of_prefixes(from)
    }

    /// Those of single names from a name on, in order.
    pub(crate) fn name_retentions(
        &self,
        from: Bound<&str>,
    ) -> impl Iterator<Item = (&FrameName, RetentionRule)> {
        self.retentions.of_names(from)
    }

    /// The frames that a retention is set for.
    fn frames_of<'a>(
        &'a self,
        target: &'a RetentionTarget,
    ) -> impl Iterator<Item = (&'a FrameName, &'a Frame)> {
        let (name, prefix) = match target {
            RetentionTarget::Frame(name) => (Some(name), None),
            RetentionTarget::Prefix(prefix) => (None, Some(prefix)),
        };
        let names = name.into_iter().chain(prefix.into_iter().flat_map(|prefix| self.names_with(prefix)));
        names.filter_map(|name| Some((name, self.frames.get(name)?)))
    }

    /// The versions that are too many once a retention is set.
    fn surplus_after<'a>(&'a self, set: &'a RetentionSet) -> impl Iterator<Item = &'a Arc<Version>> {
        let frames = self.frames_of(&set.target);
        frames.flat_map(move |(name, frame)| frame.surplus(self.retentions.of_after(name, set).last, 0))
    }

    /// The versions that a record drops: what it says itself, and what a frame's retention does not keep.
    pub(crate) fn dropped_by(&self, body: &Body) -> Vec<Arc<Version>> {
        let frame = |name| self.frames.get(name);
        match body {
            Body::VersionCommitted(version) => frame(&version.name).map_or_else(Vec::new, |frame| {
                let last = match version.keep {
                    Some(keep) => NonZeroU64::new(keep),
                    None => self.retentions.of(&version.name).last,
                };
                frame.surplus(last, 1).cloned().collect()
            }),
            Body::VersionDropped { name, number: Some(number) } => {
                frame(name).and_then(|frame| frame.versions.get(number)).cloned().into_iter().collect()
            }
            Body::VersionDropped { name, number: None } => {
                frame(name).map_or_else(Vec::new, |frame| frame.versions.values().cloned().collect())
            }
            Body::RetentionSet(set) | Body::OldRetentionSet(set) => {
                self.surplus_after(set).cloned().collect()
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
