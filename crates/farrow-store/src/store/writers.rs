//! What writers ask: reserve, commit, abort.

use std::collections::HashSet;
use std::sync::Arc;

use super::readers::find;
use super::{Store, Writer, segments_of};
use crate::allocator::{PAGE, adjoin};
use crate::catalog::{Body, VersionRecord};
use crate::error::{Result, StoreError};
use crate::frame::{NewSegment, NewVersion, Owner, Segment, Version};
use crate::quota::Quota;
use crate::reservation::Reservation;
use crate::state::{State, split_extents, total_len};

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
        if len == 0 {
            return Err(StoreError::NoLength);
        }
        self.change(|writer| {
            quota.check_reservations(&writer.ledger.state(), &owner)?;
            let found = writer.ledger.state().free().find(len);
            let extents = found
                .filter(|extents| adjoin(extents, self.media.unit()))
                .ok_or_else(|| self.region_full(len))?;
            quota.check_bytes(&writer.ledger.state(), &owner, total_len(&extents))?;
            let taken = Body::ReservationTaken { owner, len, extents: extents.clone() };
            let id = writer.ledger.record(&*self.media, taken)?;
            Ok(Reservation { id, owner, len, generation: id, extents })
        })
    }

    /// Makes what was written into one or more reservations the next version of a frame.
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
        self.commit_onto(new, None)
    }

    /// Like [`commit`](Self::commit), but the version has all segments of the frame's latest one before the
    /// new ones; on a frame that does not exist it is the same.
    ///
    /// # Errors
    /// [`StoreError::SchemaMismatch`], and those of [`commit`](Self::commit).
    pub fn append(&self, new: NewVersion) -> Result<Arc<Version>> {
        self.commit_onto(new, Some(Append))
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

    fn commit_onto(&self, new: NewVersion, append: Option<Append>) -> Result<Arc<Version>> {
        self.not_foreign(&new.name)?;
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
            let record = version_record(&writer.ledger.state(), written, new, append)?;
            let number = record.number;
            let body = Body::VersionCommitted(record);
            let dropped = writer.ledger.state().dropped_by(&body);
            writer.ledger.record(&*self.media, body)?;
            let version = find(&writer.ledger.state(), &name, Some(number))?;
            // The version exists, whatever comes of this: if it fails, the store has stopped, and says so from now on.
            let _ = self.reclaim(writer, segments_of(&dropped));
            Ok(version)
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
        let ranges = self.media_ranges(&used)?;
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
        let state = self.view.look();
        let holds = self.holds();
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
            holds: state.orphans().iter().map(|&id| holds.count(id)).sum(),
            quarantine: holds.quarantine(),
        }
    }
}

/// The new version has the segments of the latest one, too.
struct Append;

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

/// What the catalog is to say of a new version.
fn version_record(
    state: &State,
    reservations: Vec<Reservation>,
    new: NewVersion,
    append: Option<Append>,
) -> Result<VersionRecord> {
    let frame = state.frame(&new.name);
    let mut segments = Vec::new();
    if append.is_some()
        && let Some(latest) = frame.and_then(|frame| frame.latest())
    {
        if latest.schema_fingerprint != new.schema_fingerprint {
            let (latest, expected, found) =
                (latest.number, latest.schema_fingerprint, new.schema_fingerprint);
            return Err(StoreError::SchemaMismatch { name: new.name, latest, expected, found });
        }
        segments.extend(latest.segments.iter().map(|segment| segment.id));
    }
    segments.extend(reservations.iter().map(|reservation| reservation.id));
    let owner = reservations.first().ok_or(StoreError::NoLength)?.owner;
    let written = reservations.into_iter().zip(new.segments).map(|(reservation, new)| {
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
    let written = written.collect::<Result<_>>()?;
    let number = frame.map_or(0, |frame| frame.last_number).saturating_add(1);
    Ok(VersionRecord {
        name: new.name,
        number,
        last_number: number,
        schema_fingerprint: new.schema_fingerprint,
        committed_at_micros: new.committed_at_micros,
        owner,
        segments,
        written,
    })
}
