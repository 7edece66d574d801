//! The requests of writers: reserve, commit, abort.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Store, Writer};
use crate::allocator::{PAGE, adjoin};
use crate::catalog::{Body, VersionRecord};
use crate::error::{Result, StoreError};
use crate::frame::{Extent, NewSegment, NewVersion, Owner, Segment, Version};
use crate::name::FrameName;
use crate::quota::Quota;
use crate::reservation::Reservation;
use crate::state::{State, split_extents, total_len};
use crate::view::find;

impl Store {
    /// Gives a writer extents for `len` bytes.
    ///
    /// Below 2 MiB they lie on 4 KiB pages; from 2 MiB on each begins on a 2 MiB boundary. There are several,
    /// at most 16, where no single one is long enough, and if the medium's pages let them be mapped side by side.
    ///
    /// # Errors
    /// [`StoreError::NoLength`], [`StoreError::RegionFull`], [`StoreError::CatalogFull`]; as for every change.
    pub fn reserve(&self, owner: Owner, len: u64) -> Result<Reservation> {
        self.reserve_within(owner, len, &Quota::default())
    }

    /// Like [`reserve`](Self::reserve), unless the owner has as much as `quota` lets it.
    ///
    /// # Errors
    /// [`StoreError::ManyReservations`], [`StoreError::Quota`], and those of [`reserve`](Self::reserve).
    pub fn reserve_within(&self, owner: Owner, len: u64, quota: &Quota) -> Result<Reservation> {
        self.reserve_through(owner, len, quota, |_| owner)
    }

    /// Like [`reserve_within`](Self::reserve_within), but who has the reservation at first is decided once it is known
    /// where the extents lie: a process of the same user, which [hands it over](Self::hand_over).
    ///
    /// # Errors
    /// As for [`reserve_within`](Self::reserve_within).
    pub fn reserve_through(
        &self,
        owner: Owner,
        len: u64,
        quota: &Quota,
        first: impl FnOnce(&[Extent]) -> Owner,
    ) -> Result<Reservation> {
        if len == 0 {
            return Err(StoreError::NoLength);
        }
        self.change(|writer| {
            quota.check_reservations(&writer.ledger.state(), &owner)?;
            let found = writer.ledger.state().free().find(len);
            let extents = found
                .filter(|extents| adjoin(extents, self.media.unit()))
                .ok_or_else(|| self.region_full(len))?;
            quota.check_bytes(owner.uid, self.view.charge(owner.uid), total_len(&extents))?;
            let first = Owner { uid: owner.uid, ..first(&extents) };
            self.take(writer, first, len, extents)
        })
    }

    /// Gives a reservation to another process: it ends, and its extents are taken again, under another id. After a crash
    /// there is the old one, the new one or none.
    ///
    /// # Errors
    /// [`StoreError::NoReservation`], [`StoreError::ReservationBusy`], [`StoreError::ManyReservations`]: it stays as it
    /// was. As for every change: then it may have ended.
    pub fn hand_over(&self, reservation: u64, owner: Owner, quota: &Quota) -> Result<Reservation> {
        self.change(|writer| {
            let Reservation { len, extents, .. } = writer.idle_reservation(reservation)?;
            quota.check_reservations(&writer.ledger.state(), &owner)?;
            writer.ledger.record(&*self.media, Body::ReservationEnded { id: reservation })?;
            self.take(writer, owner, len, extents)
        })
    }

    fn take(&self, writer: &mut Writer, owner: Owner, len: u64, extents: Vec<Extent>) -> Result<Reservation> {
        let taken = Body::ReservationTaken { owner, len, extents: extents.clone() };
        let id = writer.ledger.record(&*self.media, taken)?;
        Ok(Reservation { id, owner, len, generation: id, extents })
    }

    /// Makes what was written into one or more reservations the next version of a frame. A frame that was dropped goes on
    /// with its numbers.
    ///
    /// The rest of each last page is zeroed, the bytes are persisted, then the one record that says so. Pages
    /// beyond what was written are free again. What the frame's [retention](Self::retain) does not keep is dropped by the
    /// same record.
    ///
    /// # Errors
    /// [`StoreError::NoReservation`], [`StoreError::OtherOwner`], [`StoreError::TooLong`],
    /// [`StoreError::NoLength`], [`StoreError::Checksums`], [`StoreError::CatalogFull`],
    /// [`StoreError::RecordTooLong`], [`StoreError::Foreign`]: the reservations stay. As for every change.
    pub fn commit(&self, new: NewVersion) -> Result<Arc<Version>> {
        self.commit_as(new, CommitOptions::default())
    }

    /// Like [`commit`](Self::commit), but the version has all segments of the frame's latest one before the
    /// new ones; on a frame that does not exist it is the same.
    ///
    /// # Errors
    /// [`StoreError::SchemaMismatch`], and those of [`commit`](Self::commit).
    pub fn append(&self, new: NewVersion) -> Result<Arc<Version>> {
        self.commit_as(new, CommitOptions { append: true, ..CommitOptions::default() })
    }

    /// [`commit`](Self::commit) or [`append`](Self::append), only onto a certain version if the options say so, and with
    /// a [retention](Self::retain) from then on: all of it by one record.
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`], and those of [`append`](Self::append).
    pub fn commit_as(&self, new: NewVersion, options: CommitOptions) -> Result<Arc<Version>> {
        self.view.not_foreign(&new.name)?;
        // Before bytes are persisted, which takes long; what counts is the look under the lock.
        self.check_latest(&new.name, options.if_version)?;
        let written = self.begin_commit(&new)?;
        // Writing back gigabytes takes long; the lock is free meanwhile, and the reservations marked.
        let persisted = new
            .segments
            .iter()
            .zip(&written)
            .try_for_each(|(segment, reservation)| self.persist_data(reservation, segment.len));

        self.change(|writer| {
            for reservation in &written {
                writer.committing.remove(&reservation.id);
            }
            persisted?;
            let name = new.name.clone();
            check_latest(&writer.ledger.state(), &name, options.if_version)?;
            let record = version_record(&writer.ledger.state(), written, new, options)?;
            let number = record.number;
            let body = Body::VersionCommitted(record);
            let given_up = {
                let state = writer.ledger.state();
                state.own_segments(&state.dropped_by(&body))
            };
            writer.ledger.record(&*self.media, body)?;
            let version = find(&writer.ledger.state(), &name, Some(number))?;
            // The version exists, whatever comes of this: if it fails, the store has stopped, and says so from now on.
            let _ = self.reclaim(writer, given_up);
            Ok(version)
        })
    }

    /// Fails unless a commit onto that version would find it the latest: `None` for a commit onto any, 0 for one that
    /// makes the frame.
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`].
    pub fn check_latest(&self, name: &FrameName, if_version: Option<u64>) -> Result<()> {
        check_latest(&*self.view.state().state()?, name, if_version)
    }

    /// Ends a reservation without a version; its extents are free at once.
    ///
    /// The caller knows that nobody writes there any more: the writer said so, or is gone.
    ///
    /// # Errors
    /// [`StoreError::NoReservation`], [`StoreError::ReservationBusy`]; as for every change.
    pub fn abort(&self, reservation: u64) -> Result<()> {
        self.change(|writer| {
            writer.idle_reservation(reservation)?;
            writer.ledger.record(&*self.media, Body::ReservationEnded { id: reservation }).map(drop)
        })
    }

    /// Checks what can be checked before bytes are persisted, and marks the reservations: they are returned.
    fn begin_commit(&self, new: &NewVersion) -> Result<Vec<Reservation>> {
        self.change(|writer| {
            let mut written: Vec<Reservation> = Vec::with_capacity(new.segments.len());
            let mut seen = HashSet::new();
            for segment in &new.segments {
                let reservation = writer.idle_reservation(segment.reservation)?;
                let id = reservation.id;
                if !seen.insert(id) {
                    return Err(StoreError::ReservationBusy { id });
                }
                if let Some(first) = written.first()
                    && first.owner != reservation.owner
                {
                    return Err(StoreError::OtherOwner { first: first.id, id });
                }
                check_segment(segment, &reservation)?;
                written.push(reservation);
            }
            if written.is_empty() {
                return Err(StoreError::NoLength);
            }
            writer.committing.extend(seen);
            Ok(written)
        })
    }

    /// Zeroes the rest of the last page, so that it shows nothing of what was there, and persists all pages.
    fn persist_data(&self, reservation: &Reservation, len: u64) -> Result<()> {
        let (used, _) = split_extents(&reservation.extents, len).ok_or(StoreError::NoLength)?;
        let ranges = self.view.media_ranges(&used)?;
        let tail = total_len(&used) - len;
        if let (Some(&(offset, range_len)), Ok(tail_len)) = (ranges.last(), usize::try_from(tail)) {
            debug_assert!(tail < PAGE, "extents are cut to whole pages");
            self.media.write_at(offset + range_len - tail, &vec![0; tail_len])?;
        }
        for (offset, len) in ranges {
            self.media.persist(offset, len)?;
        }
        Ok(())
    }

    fn region_full(&self, need: u64) -> StoreError {
        let state = self.view.state().look();
        let holds = self.view.holds();
        StoreError::RegionFull {
            need,
            largest_free: state.free().largest(),
            free: state.free().total(),
            used: state.totals().used,
            held: state.totals().held,
            reserved: state.totals().reserved,
            reservations: state.reservations().len(),
            most_reserved: state
                .reservations()
                .values()
                .map(|reservation| (reservation.owner.pid, total_len(&reservation.extents)))
                .max_by_key(|&(_, len)| len),
            holds: state.orphans().keys().map(|&id| holds.count(id)).sum(),
            quarantine: holds.quarantine(),
            old: None,
            growable: 0,
        }
    }
}

/// The options of a commit. The default: the version replaces whatever there is, and the frame keeps what it kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitOptions {
    /// The new version has the segments of the latest one, too.
    pub append: bool,
    /// The frame itself has a [retention](Store::retain) of so many versions from now on, 0 for all; an age that it had
    /// stays. `None`: what it kept before.
    pub keep: Option<u64>,
    /// The number that the frame's latest version has, or 0: there is no such frame. Otherwise nothing is committed.
    pub if_version: Option<u64>,
}

impl Writer {
    /// A reservation that is not being committed.
    fn idle_reservation(&self, id: u64) -> Result<Reservation> {
        let state = self.ledger.state();
        let reservation = state.reservations().get(&id).ok_or(StoreError::NoReservation { id })?;
        if self.committing.contains(&id) {
            Err(StoreError::ReservationBusy { id })
        } else {
            Ok(reservation.clone())
        }
    }
}

fn check_latest(state: &State, name: &FrameName, if_version: Option<u64>) -> Result<()> {
    let latest = state.frame(name).and_then(|frame| frame.latest()).map_or(0, |latest| latest.number);
    match if_version {
        Some(expected) if expected != latest => {
            Err(StoreError::VersionConflict { name: name.clone(), expected, latest })
        }
        _ => Ok(()),
    }
}

fn check_segment(new: &NewSegment, reservation: &Reservation) -> Result<()> {
    if new.len == 0 {
        return Err(StoreError::NoLength);
    }
    if new.len > reservation.len {
        let Reservation { id, len: reserved, .. } = *reservation;
        return Err(StoreError::TooLong { id, len: new.len, reserved });
    }
    let checksums = new.checksums.len();
    if checksums != 0 && (checksums as u64) < u64::from(new.batches) {
        return Err(StoreError::Checksums { checksums, batches: new.batches });
    }
    Ok(())
}

/// The catalog's record of a new version.
fn version_record(
    state: &State,
    reservations: Vec<Reservation>,
    new: NewVersion,
    options: CommitOptions,
) -> Result<VersionRecord> {
    let latest = state.frame(&new.name).and_then(|frame| frame.latest()).filter(|_| options.append);
    if let Some(latest) = latest
        && latest.schema_fingerprint != new.schema_fingerprint
    {
        let (latest, expected, found) = (latest.number, latest.schema_fingerprint, new.schema_fingerprint);
        return Err(StoreError::SchemaMismatch { name: new.name, latest, expected, found });
    }
    let owner = reservations.first().ok_or(StoreError::NoLength)?.owner;
    let added = reservations.into_iter().zip(new.segments).map(|(reservation, new)| {
        let (extents, _) = split_extents(&reservation.extents, new.len).ok_or(StoreError::NoLength)?;
        Ok(Arc::new(Segment {
            id: reservation.id,
            len: new.len,
            generation: reservation.generation,
            extents,
            rows: new.rows,
            batches: new.batches,
            validation: new.validation,
            metadata_digest: new.metadata_digest,
            checksums: new.checksums,
        }))
    });
    Ok(VersionRecord {
        number: state.highest_number(&new.name).saturating_add(1),
        extends: latest.is_some(),
        added: added.collect::<Result<_>>()?,
        name: new.name,
        schema_fingerprint: new.schema_fingerprint,
        committed_at_micros: new.committed_at_micros,
        owner,
        keep: options.keep,
    })
}
