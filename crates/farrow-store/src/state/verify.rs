//! The order in which records may follow each other.

use std::collections::HashSet;
use std::sync::Arc;

use super::{State, StateFault, split_extents};
use crate::catalog::{Body, Place, Record, RetentionSet, VersionRecord};
use crate::frame::{Extent, Segment};
use crate::name::FrameName;
use crate::reservation::Reservation;
use crate::retention::RetentionTarget;

impl State {
    /// Fails unless the record may follow. A record that passes can be applied.
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
                match segments.iter().find(|id| !self.orphans.contains_key(id) || !seen.insert(**id)) {
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
            Body::RetentionSet(set) => {
                if set.retention.is_none() && self.retentions.get(&set.target).is_none() {
                    return Err(StateFault::NoRetention { target: set.target.clone() });
                }
                self.verify_retention(place, set)
            }
            Body::OldRetentionSet(set) => match &set.target {
                RetentionTarget::Frame(name) if !self.frames.contains_key(name) => {
                    Err(StateFault::NoFrame { name: name.clone() })
                }
                _ => self.verify_retention(place, set),
            },
            Body::PrefixDropped(dropped) => match self.meant_by(dropped).next() {
                Some(_) => Ok(()),
                None => Err(StateFault::NothingMeant { prefix: dropped.prefix.clone() }),
            },
            Body::SegmentKept(segment) => {
                let open = self.open.as_ref().filter(|(_, seq)| *seq == record.seq);
                let version = open.and_then(|(name, _)| self.frames.get(name)?.latest());
                let version = version.ok_or(StateFault::Misplaced)?;
                add_up(version.rows, version.bytes, [segment])?;
                self.verify_kept(segment)
            }
            Body::OrphanKept { segment, .. } => self.verify_kept(segment),
            Body::NumberKept { name, number } => self.verify_number(name, *number),
            Body::FloorKept { number } => {
                if *number > 0 && self.forgotten.is_empty() {
                    Ok(())
                } else {
                    Err(StateFault::Misplaced)
                }
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
                | Body::OrphanKept { .. }
                | Body::ReservationTaken { .. }
                | Body::VersionCommitted(_)
                | Body::NumberKept { .. }
                | Body::FloorKept { .. }
                | Body::RetentionSet(_)
                | Body::OldRetentionSet(_),
            ) => {
                if seq == 0 || seq > self.seq {
                    return Err(StateFault::Seq { found: seq, expected: self.seq });
                }
            }
            (Place::Checkpoint, _)
            | (
                Place::Log,
                Body::SegmentKept(_)
                | Body::OrphanKept { .. }
                | Body::NumberKept { .. }
                | Body::FloorKept { .. },
            ) => return Err(StateFault::Misplaced),
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
        let (name, number, added) = (&version.name, version.number, &version.added);
        let frame = self.frames.get(name);
        let highest = self.highest_number(name);
        let follows = match (place, frame) {
            (Place::Log, _) => highest.checked_add(1) == Some(number),
            // In a checkpoint the versions of a frame come in order, and before all else that is said of it.
            (Place::Checkpoint, Some(frame)) => number > highest && !frame.gave_more(),
            (Place::Checkpoint, None) => self.forgotten.is_empty(),
        };
        // Else a retention might not keep it.
        if place == Place::Checkpoint && self.retentions.len() > 0 {
            return Err(StateFault::Misplaced);
        }
        if !follows {
            return Err(StateFault::Number { name: name.clone(), number, highest });
        }
        // A checkpoint's further segments come behind it, and at the end what frames keep.
        let more = added.len() > 1 || version.keep.is_some();
        if added.is_empty() || (place == Place::Checkpoint && more) {
            return Err(StateFault::Misplaced);
        }
        let (mut rows, mut bytes) = (0, 0);
        if version.extends {
            let base = frame.and_then(|frame| frame.latest());
            let base = base.ok_or_else(|| StateFault::NoBase { name: name.clone(), number })?;
            (rows, bytes) = (base.rows, base.bytes);
        }
        add_up(rows, bytes, added)?;
        let mut seen = HashSet::new();
        // Of one there is nothing to allocate for.
        if let Some(twice) = added.iter().find(|segment| added.len() > 1 && !seen.insert(segment.id)) {
            return Err(StateFault::Twice { id: twice.id });
        }
        added.iter().try_for_each(|segment| match place {
            Place::Log => self.verify_written(version, segment),
            Place::Checkpoint => self.verify_kept(segment),
        })
    }

    /// A checkpoint says each retention once, a longer prefix before those that it begins with, and nothing is left to
    /// drop.
    fn verify_retention(&self, place: Place, set: &RetentionSet) -> Result<(), StateFault> {
        let whole = || {
            let once = set.retention.is_some() && self.retentions.get(&set.target).is_none();
            once && self.surplus_after(set).next().is_none()
        };
        if place == Place::Log || whole() { Ok(()) } else { Err(StateFault::Misplaced) }
    }

    /// A segment of a checkpoint.
    fn verify_kept(&self, segment: &Segment) -> Result<(), StateFault> {
        if self.segments.contains(&segment.id) {
            return Err(StateFault::Twice { id: segment.id });
        }
        self.verify_free(&segment.extents)
    }

    /// The highest number of a name in a checkpoint: above what is known of it, and once.
    fn verify_number(&self, name: &FrameName, number: u64) -> Result<(), StateFault> {
        let highest = self.highest_number(name);
        let expected = number > highest
            && match self.frames.get(name) {
                Some(frame) => !frame.gave_more(),
                None => !self.forgotten.has(name) && self.forgotten.has_room(name),
            };
        if expected { Ok(()) } else { Err(StateFault::Number { name: name.clone(), number, highest }) }
    }

    fn verify_written(&self, version: &VersionRecord, segment: &Segment) -> Result<(), StateFault> {
        if self.segments.contains(&segment.id) {
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

/// Checks that a version's rows and bytes fit with more segments.
fn add_up<'a>(
    rows: u64,
    bytes: u64,
    segments: impl IntoIterator<Item = &'a Arc<Segment>>,
) -> Result<(), StateFault> {
    let mut sums = (rows, bytes);
    for segment in segments {
        let rows = sums.0.checked_add(segment.rows).ok_or(StateFault::Overflow)?;
        let bytes = sums.1.checked_add(segment.len).ok_or(StateFault::Overflow)?;
        sums = (rows, bytes);
    }
    Ok(())
}
