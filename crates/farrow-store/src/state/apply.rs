//! The change that each record makes.

use std::sync::Arc;

use super::{Orphan, State, StateFault, extends, split_extents, total_len};
use crate::catalog::{
    Body, Place, Record, RetentionSet, VersionRecord, reservation_record_len, segment_len,
    segment_record_len, version_record_len,
};
use crate::frame::{Extent, Segment, Version};
use crate::name::FrameName;
use crate::reservation::Reservation;
use crate::retention::RetentionTarget;

impl State {
    /// Verifies a record, then changes the state by it. After an error nothing has changed.
    pub(crate) fn apply(&mut self, place: Place, record: &Record) -> Result<(), StateFault> {
        self.verify(place, record)?;
        if place == Place::Log {
            (self.seq, self.epoch) = (record.seq, record.epoch);
        }
        let dropped = self.dropped_by(&record.body);
        let open = self.open.take();
        match &record.body {
            Body::VersionCommitted(version) => {
                self.commit(place, record.seq, version);
                self.open = (place == Place::Checkpoint).then(|| (version.name.clone(), record.seq));
            }
            Body::SegmentKept(segment) => {
                if let Some((name, _)) = &open {
                    self.add_segment(name, segment);
                }
                self.open = open;
            }
            Body::VersionDropped { .. } | Body::PrefixDropped(_) | Body::MasterStarted { .. } => {}
            Body::RetentionSet(set) | Body::OldRetentionSet(set) => self.set_retention(set),
            Body::ExtentsFreed { segments } => segments.iter().for_each(|id| self.free_segment(*id)),
            Body::ReservationTaken { owner, len, extents } => {
                self.take(extents);
                self.totals.reserved += total_len(extents);
                self.owned.change(owner.uid, |of| of.reserved += total_len(extents));
                self.totals.records_len += reservation_record_len(extents.len());
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
            Body::OrphanKept { uid, segment } => {
                self.take(&segment.extents);
                self.segments.insert(segment.id);
                self.totals.segments_len += segment_len(segment);
                self.totals.records_len += segment_record_len(segment);
                self.orphan(*uid, segment);
            }
            Body::NumberKept { name, number } => self.keep_number(name, *number),
            Body::FloorKept { number } => self.forgotten.raise_floor(*number),
        }
        // From the newest to the oldest, so that each of them hands little to the next one.
        dropped.iter().rev().for_each(|version| self.drop_version(version));
        Ok(())
    }

    /// The checkpoint has been read to its end.
    pub(crate) fn end_checkpoint(&mut self) {
        self.open = None;
    }

    fn commit(&mut self, place: Place, seq: u64, record: &VersionRecord) {
        let name = &record.name;
        let Some(first) = record.added.first() else { return };
        for segment in &record.added {
            match place {
                Place::Log => self.take_over(segment),
                Place::Checkpoint => self.take(&segment.extents),
            }
            self.publish(record.owner.uid, segment);
            self.totals.records_len += segment_record_len(segment);
        }
        // The first one is in the version's own record.
        self.totals.records_len += version_record_len(name, first);
        self.totals.records_len -= segment_record_len(first);
        self.totals.versions += 1;

        self.forgotten.recall(name);
        if self.names.insert(name.clone()) {
            self.retentions.came(name);
        }
        let frame = self.frames.entry(name.clone()).or_default();
        let old = frame.old_bytes();
        let added = record.added.iter().map(|segment| total_len(&segment.extents)).sum::<u64>();
        frame.used += added;
        frame.latest_used = added + if record.extends { frame.latest_used } else { 0 };
        self.old.change(name, old, frame.old_bytes());
        self.totals.records_len -= frame.number_len(name);
        let base = frame.latest().filter(|_| record.extends);
        let (segments, rows, bytes) =
            base.map(|base| (base.segments.clone(), base.rows, base.bytes)).unwrap_or_default();
        let version = Version {
            name: name.clone(),
            number: record.number,
            seq,
            schema_fingerprint: record.schema_fingerprint,
            rows: rows + record.added.iter().map(|segment| segment.rows).sum::<u64>(),
            bytes: bytes + record.added.iter().map(|segment| segment.len).sum::<u64>(),
            segments: segments.extended(record.added.iter().cloned()),
            owner: record.owner,
            committed_at_micros: record.committed_at_micros,
        };
        frame.last_number = record.number;
        frame.versions.insert(record.number, Arc::new(version));
        if let Some(keep) = record.keep {
            self.retentions.keep(name, keep, record.owner.uid);
        }
    }

    /// One more segment of the frame's latest version, in a checkpoint.
    fn add_segment(&mut self, name: &FrameName, segment: &Arc<Segment>) {
        self.take(&segment.extents);
        let Some(frame) = self.frames.get_mut(name) else { return };
        // Of both alike, so that the bytes of old versions stay what they are.
        frame.used += total_len(&segment.extents);
        frame.latest_used += total_len(&segment.extents);
        let Some(mut latest) = frame.versions.last_entry() else { return };
        // Nobody has looked at it yet, so that nothing is copied.
        let version = Arc::make_mut(latest.get_mut());
        version.segments = version.segments.extended([Arc::clone(segment)]);
        version.rows += segment.rows;
        version.bytes += segment.len;
        let uid = version.owner.uid;
        self.publish(uid, segment);
        self.totals.records_len += segment_record_len(segment);
    }

    /// The first version that has the segment is this user's.
    fn publish(&mut self, uid: u32, segment: &Segment) {
        let len = total_len(&segment.extents);
        self.segments.insert(segment.id);
        self.totals.used += len;
        self.totals.segments_len += segment_len(segment);
        self.owned.change(uid, |of| of.published += len);
    }

    /// Ends the reservation that a segment was, and frees what the segment does not need.
    fn take_over(&mut self, segment: &Segment) {
        let Some(reservation) = self.end_reservation(segment.id) else { return };
        if let Some((_, rest)) = split_extents(&reservation.extents, segment.len) {
            self.give_back(&rest);
        }
    }

    fn keep_number(&mut self, name: &FrameName, number: u64) {
        match self.frames.get_mut(name) {
            Some(frame) => {
                frame.last_number = number;
                self.totals.records_len += frame.number_len(name);
            }
            None => self.forgotten.remember(name.clone(), number),
        }
    }

    fn set_retention(&mut self, set: &RetentionSet) {
        let waits = match &set.target {
            RetentionTarget::Frame(name) => !self.frames.contains_key(name),
            RetentionTarget::Prefix(_) => false,
        };
        self.retentions.set(set, waits);
    }

    fn drop_version(&mut self, version: &Version) {
        let name = &version.name;
        let Some(frame) = self.frames.get_mut(name) else { return };
        let own: Vec<Arc<Segment>> = frame.own_segments(version).cloned().collect();
        let next = frame.extended_by(version).cloned();
        let (number_len, old) = (frame.number_len(name), frame.old_bytes());
        if frame.versions.remove(&version.number).is_none() {
            return;
        }
        let own_len = own.iter().map(|segment| total_len(&segment.extents)).sum::<u64>();
        if next.is_none() {
            frame.used -= own_len;
        }
        if let Some(latest) = frame.latest().filter(|latest| latest.number < version.number) {
            // The segments of a long frame are not counted again for each version.
            frame.latest_used = match extends(version, latest) {
                true => frame.latest_used - own_len,
                false => latest.segments.iter().map(|segment| total_len(&segment.extents)).sum(),
            };
        }
        self.old.change(name, old, if frame.versions.is_empty() { 0 } else { frame.old_bytes() });
        self.totals.records_len += frame.number_len(name);
        self.totals.records_len -= number_len;
        self.totals.versions -= 1;
        // Its record goes, and one segment that a version's record had gets one of its own: the first own one of the next
        // version, which inherits the segments, or else the first of what is in no version any more.
        let alone = match &next {
            Some(next) => next.segments.get(version.segments.len()),
            None => own.first(),
        };
        if let Some(alone) = alone {
            self.totals.records_len += segment_record_len(alone);
            self.totals.records_len -= version_record_len(name, alone);
        }
        if self.frames.get(name).is_some_and(|frame| frame.versions.is_empty()) {
            self.forget(name);
        }
        let uid = version.owner.uid;
        for segment in &own {
            let len = total_len(&segment.extents);
            self.owned.change(uid, |of| of.published -= len);
            match &next {
                Some(next) => self.owned.change(next.owner.uid, |of| of.published += len),
                None => {
                    self.totals.used -= len;
                    self.orphan(uid, segment);
                }
            }
        }
    }

    /// A frame has no version left. Its next one has the next number all the same.
    fn forget(&mut self, name: &FrameName) {
        self.retentions.went(name);
        self.names.remove(name);
        if let Some(frame) = self.frames.remove(name) {
            self.forgotten.remember(name.clone(), frame.last_number);
        }
    }

    /// A segment is in no version any more, and counts for the user whose version was the last.
    fn orphan(&mut self, uid: u32, segment: &Arc<Segment>) {
        let len = total_len(&segment.extents);
        self.totals.held += len;
        self.owned.change(uid, |of| of.dropped += len);
        self.orphans.insert(segment.id, Orphan { segment: Arc::clone(segment), uid });
    }

    fn free_segment(&mut self, id: u64) {
        let Some(Orphan { segment, uid }) = self.orphans.remove(&id) else { return };
        let len = total_len(&segment.extents);
        self.segments.remove(&id);
        self.owned.change(uid, |of| of.dropped -= len);
        self.totals.held -= len;
        self.totals.segments_len -= segment_len(&segment);
        self.totals.records_len -= segment_record_len(&segment);
        self.give_back(&segment.extents);
    }

    /// Forgets a reservation, but leaves its extents taken.
    fn end_reservation(&mut self, id: u64) -> Option<Reservation> {
        let reservation = self.reservations.remove(&id)?;
        self.totals.reserved -= total_len(&reservation.extents);
        self.owned.change(reservation.owner.uid, |of| of.reserved -= total_len(&reservation.extents));
        self.totals.records_len -= reservation_record_len(reservation.extents.len());
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
