//! Which records may follow which.

use std::collections::HashSet;

use super::{State, StateFault, split_extents};
use crate::catalog::{Body, Place, Record, VersionRecord};
use crate::frame::{Extent, Segment};
use crate::reservation::Reservation;

impl State {
    /// Whether the record may follow. What passes can be applied.
    pub(crate) fn verify(&self, place: Place, record: &Record) -> Result<(), StateFault> {
        self.verify_position(place, record)?;
        match &record.body {
            Body::VersionCommitted(version) => self.verify_version(place, version),
            Body::VersionDropped { name, number } => {
                let frame = self.frames.get(name);
                let there = match (frame, number) {
                    (Some(frame), Some(number)) => frame.versions.contains_key(number),
                    (frame, _) => frame.is_some(),
                };
                if there {
                    Ok(())
                } else {
                    Err(StateFault::NoVersion { name: name.clone(), number: *number })
                }
            }
            Body::ExtentsFreed { segments } => {
                let mut seen = HashSet::new();
                match segments.iter().find(|id| !self.orphans.contains(id) || !seen.insert(**id)) {
                    None => Ok(()),
                    Some(&id) => Err(StateFault::NotWaiting { id }),
                }
            }
            Body::ReservationTaken { extents, .. } => {
                if self.reservations.contains_key(&record.seq) {
                    return Err(StateFault::Twice { id: record.seq });
                }
                self.verify_free(extents)
            }
            Body::ReservationEnded { id } => self.reservation(*id).map(|_| ()),
            Body::MasterStarted { .. } => Ok(()),
            Body::RetentionSet { name, last } => {
                let frame =
                    self.frames.get(name).ok_or_else(|| StateFault::NoFrame { name: name.clone() })?;
                // A checkpoint says it once, of frames that have it, and nothing is left to drop.
                let whole = frame.retention == 0 && *last >= frame.versions.len() as u64;
                if place == Place::Log || whole { Ok(()) } else { Err(StateFault::Misplaced) }
            }
            Body::PrefixDropped(dropped) => match self.meant_by(dropped).next() {
                Some(_) => Ok(()),
                None => Err(StateFault::NothingMeant { prefix: dropped.prefix.clone() }),
            },
            Body::SegmentKept(segment) => {
                if self.segments.contains_key(&segment.id) {
                    return Err(StateFault::Twice { id: segment.id });
                }
                self.verify_free(&segment.extents)
            }
        }
    }

    fn verify_position(&self, place: Place, record: &Record) -> Result<(), StateFault> {
        let starts = matches!(record.body, Body::MasterStarted { .. });
        let (seq, epoch) = (record.seq, record.epoch);
        match (place, &record.body) {
            (
                Place::Checkpoint,
                Body::SegmentKept(_)
                | Body::ReservationTaken { .. }
                | Body::VersionCommitted(_)
                | Body::RetentionSet { .. },
            ) => {
                if seq == 0 || seq > self.seq {
                    return Err(StateFault::Seq { found: seq, expected: self.seq });
                }
            }
            (Place::Checkpoint, _) | (Place::Log, Body::SegmentKept(_)) => {
                return Err(StateFault::Misplaced);
            }
            (Place::Log, _) => {
                if self.seq.checked_add(1) != Some(seq) {
                    return Err(StateFault::Seq { found: seq, expected: self.seq.saturating_add(1) });
                }
            }
        }
        if if starts { epoch > self.epoch } else { epoch == self.epoch } {
            Ok(())
        } else {
            Err(StateFault::Epoch { found: epoch, current: self.epoch })
        }
    }

    fn verify_version(&self, place: Place, version: &VersionRecord) -> Result<(), StateFault> {
        let frame = self.frames.get(&version.name);
        let highest = frame.map_or(0, |frame| frame.last_number);
        let expected = match place {
            Place::Log => {
                highest.checked_add(1) == Some(version.number) && version.last_number == version.number
            }
            // In a checkpoint the versions of a frame come in order and agree on the highest number.
            Place::Checkpoint => frame.is_none_or(|frame| {
                let above = frame.versions.last_key_value().is_none_or(|(&last, _)| version.number > last);
                above && version.last_number == highest && frame.retention == 0
            }),
        };
        if !expected {
            return Err(StateFault::Number { name: version.name.clone(), number: version.number, highest });
        }
        // What is in the log brings segments, and these come last; a checkpoint has named them all before.
        if (place == Place::Log) == version.written.is_empty() {
            return Err(StateFault::Misplaced);
        }
        let old = version.segments.len().checked_sub(version.written.len()).ok_or(StateFault::Misplaced)?;
        let (mut rows, mut bytes, mut seen) = (0_u64, 0_u64, HashSet::new());
        for (index, &id) in version.segments.iter().enumerate() {
            let written = index.checked_sub(old).and_then(|index| version.written.get(index));
            let kept = self.segments.get(&id);
            // A log record may refer to what is in a version; a checkpoint's segments all begin as orphans.
            let live = kept.is_some_and(|kept| place == Place::Checkpoint || kept.versions > 0);
            let segment = match written {
                Some(new) if new.id == id => new,
                Some(new) => return Err(StateFault::NotAsReserved { id: new.id }),
                None => {
                    kept.filter(|_| live).map(|kept| &kept.segment).ok_or(StateFault::NoSegment { id })?
                }
            };
            // Of one there is nothing to allocate for.
            if version.segments.len() > 1 && !seen.insert(id) {
                return Err(StateFault::Twice { id });
            }
            rows = rows.checked_add(segment.rows).ok_or(StateFault::Overflow)?;
            bytes = bytes.checked_add(segment.len).ok_or(StateFault::Overflow)?;
        }
        version.written.iter().try_for_each(|segment| self.verify_written(version, segment))
    }

    fn verify_written(&self, version: &VersionRecord, segment: &Segment) -> Result<(), StateFault> {
        if self.segments.contains_key(&segment.id) {
            return Err(StateFault::Twice { id: segment.id });
        }
        let reservation = self.reservation(segment.id)?;
        let known = segment.generation == reservation.generation && version.owner == reservation.owner;
        let split = split_extents(&reservation.extents, segment.len);
        let prefix = split.is_some_and(|(used, _)| used == segment.extents);
        if known && prefix { Ok(()) } else { Err(StateFault::NotAsReserved { id: reservation.id }) }
    }

    /// All extents are free and none overlaps another.
    fn verify_free(&self, extents: &[Extent]) -> Result<(), StateFault> {
        if let Some(extent) = extents.iter().find(|extent| !self.free.contains(extent)) {
            return Err(StateFault::NotFree { extent: *extent });
        }
        if extents.len() < 2 {
            return Ok(());
        }
        let mut sorted = extents.to_vec();
        sorted.sort_unstable();
        let overlap = sorted.windows(2).find(|pair| {
            // They lie in free extents, so their ends do not overflow.
            pair[0].pool == pair[1].pool && pair[0].offset + pair[0].len > pair[1].offset
        });
        overlap.map_or(Ok(()), |pair| Err(StateFault::NotFree { extent: pair[1] }))
    }

    fn reservation(&self, id: u64) -> Result<&Reservation, StateFault> {
        self.reservations.get(&id).ok_or(StateFault::NoReservation { id })
    }
}
