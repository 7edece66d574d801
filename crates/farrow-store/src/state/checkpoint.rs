//! The state as records again.

use std::ops::Bound;
use std::sync::Arc;

use super::{Frame, State};
use crate::catalog::{Body, Record, RetentionSet, VersionRecord};
use crate::frame::{Segment, Version};
use crate::reservation::Reservation;
use crate::retention::RetentionRule;
use crate::segments::SegmentsIter;

impl State {
    /// The records of a checkpoint, in the order in which they can be applied. Equal states have equal records.
    pub(crate) fn checkpoint(&self) -> impl Iterator<Item = Record> + '_ {
        let record = |seq, body| Record { seq, epoch: self.epoch, body };
        let orphans = self.orphans.values().map(move |orphan| {
            record(self.seq, Body::OrphanKept { uid: orphan.uid, segment: Arc::clone(&orphan.segment) })
        });
        let reservations = self.reservations.values().map(move |reservation| {
            let Reservation { id, owner, len, ref extents, .. } = *reservation;
            record(id, Body::ReservationTaken { owner, len, extents: extents.clone() })
        });
        let versions = self.versions_in_order().into_iter().flat_map(move |(frame, version)| {
            let mut own = frame.own_segments(version);
            let committed = own.next().map(|first| record(version.seq, committed(version, first, &own)));
            let more = own.map(move |segment| record(version.seq, Body::SegmentKept(Arc::clone(segment))));
            committed.into_iter().chain(more)
        });
        let floor = Some(self.forgotten.floor()).filter(|&floor| floor > 0);
        let floor = floor.map(move |number| record(self.seq, Body::FloorKept { number }));
        let gave_more = self.names.iter().filter_map(|name| {
            let frame = self.frames.get(name).filter(|frame| frame.gave_more())?;
            Some((name, frame.last_number))
        });
        let numbers = gave_more
            .chain(self.forgotten.iter())
            .map(move |(name, number)| record(self.seq, Body::NumberKept { name: name.clone(), number }));
        // A longer prefix before those that it begins with.
        let names = self.retentions.of_names(Bound::Unbounded).map(|(_, rule)| rule);
        let retentions = names.chain(self.retentions.of_prefixes(Bound::Unbounded).rev()).map(move |rule| {
            let RetentionRule { target, retention, uid } = rule;
            record(self.seq, Body::RetentionSet(RetentionSet { target, retention: Some(retention), uid }))
        });
        orphans.chain(reservations).chain(versions).chain(floor).chain(numbers).chain(retentions)
    }

    /// All versions in the order in which they were committed.
    fn versions_in_order(&self) -> Vec<(&Frame, &Version)> {
        let frames = self.frames.values();
        let versions =
            frames.flat_map(|frame| frame.versions.values().map(move |version| (frame, &**version)));
        let mut versions: Vec<_> = versions.collect();
        versions.sort_unstable_by_key(|(_, version)| version.seq);
        versions
    }
}

/// The record of a version that has `first` and the segments that follow it for its own.
fn committed(version: &Version, first: &Arc<Segment>, more: &SegmentsIter<'_>) -> Body {
    Body::VersionCommitted(VersionRecord {
        name: version.name.clone(),
        number: version.number,
        extends: version.segments.len() > 1 + more.len(),
        schema_fingerprint: version.schema_fingerprint,
        committed_at_micros: version.committed_at_micros,
        owner: version.owner,
        added: vec![Arc::clone(first)],
        keep: None,
    })
}
