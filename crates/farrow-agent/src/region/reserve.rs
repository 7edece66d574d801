//! Space for writers: it holds nothing that another one wrote.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use farrow_store::{Extent, Owner, Quota, Reservation};

use super::Region;
use super::residue::Left;
use super::segments::Reserved;
use crate::caller::Writer;
use crate::error::AgentError;

/// Bytes that are zeroed at a time: some tens of microseconds.
const PIECE: u64 = 256 << 10;

/// Free extents that are looked at before others have the locks.
const LOOKS: usize = 64;

/// The interval between two looks for more to scrub.
const INTERVAL: Duration = Duration::from_secs(1);

/// A scrubber rests so many times as long as it works.
const REST: u32 = 4;

/// A writer's request.
pub(crate) struct Wanted {
    /// The process that writes.
    pub(crate) owner: Owner,
    /// The user whose bytes it may find there.
    pub(crate) writer: Option<Writer>,
    /// Bytes.
    pub(crate) len: u64,
    /// The owner's limits.
    pub(crate) quota: Quota,
}

impl Region {
    /// Extents for a process that maps them. They hold its own bytes and zeros: what is neither is zeroed first, while
    /// they are `agent`'s, so that nobody can commit them. Ends early if it is `given_up`.
    pub(crate) fn reserve(
        &self,
        wanted: &Wanted,
        agent: Owner,
        given_up: &AtomicBool,
    ) -> Result<Reservation, AgentError> {
        let &Wanted { owner, len, ref quota, ref writer } = wanted;
        let writer = writer.as_ref();
        let mut first = owner;
        let mut reservation = self.store.reserve_through(owner, len, quota, |extents| {
            if self.residue.first_other(extents, writer).is_some() {
                first = agent;
            }
            first
        })?;
        if first != owner {
            let reserved = Reserved::new(self.store.clone(), reservation.id);
            self.clean(&reservation.extents, writer, given_up)?;
            reservation = self.store.hand_over(reservation.id, owner, quota)?;
            reserved.committed();
        }
        self.residue.give(&reservation.extents, writer);
        Ok(reservation)
    }

    /// Zeroes what is not the writer's in extents that nobody else has.
    fn clean(
        &self,
        extents: &[Extent],
        writer: Option<&Writer>,
        given_up: &AtomicBool,
    ) -> Result<(), AgentError> {
        while let Some(Extent { pool, offset, len }) = self.residue.first_other(extents, writer) {
            if given_up.load(Ordering::Relaxed) {
                return Err(AgentError::GivenUp);
            }
            let piece = Extent { pool, offset, len: len.min(PIECE) };
            let _turn = self.residue.turn();
            self.zero(&piece)?;
            self.residue.parts().set(&piece, Some(Left::Zeros));
        }
        Ok(())
    }

    fn zero(&self, piece: &Extent) -> Result<(), AgentError> {
        // What is free here is another file's in another file system.
        self.view().check_identity()?;
        for (offset, len) in self.view().media_ranges(std::slice::from_ref(piece))? {
            let zeros = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
            self.view().media().write_at(offset, &zeros)?;
        }
        Ok(())
    }
}

/// Zeroes free space of which it is not known what lies there, so that no writer has to wait for it.
pub(crate) struct Scrubber {
    region: Weak<Region>,
    /// The place where the search goes on.
    next: (u32, u64),
}

impl Scrubber {
    pub(super) fn new(region: &Arc<Region>) -> Self {
        Self { region: Arc::downgrade(region), next: (0, 0) }
    }

    /// Starts a thread that works as long as there is the region, and rests most of the time.
    pub(crate) fn start(region: &Arc<Region>) -> std::io::Result<()> {
        let mut scrubber = Self::new(region);
        std::thread::Builder::new().name("scrubber".to_owned()).spawn(move || {
            let mut done_at = None;
            while let Some(region) = scrubber.region.upgrade() {
                let (start, seq) = (Instant::now(), region.store.view().seq());
                let busy = done_at != Some(seq) && scrubber.scrub(&region);
                drop(region);
                if busy {
                    std::thread::sleep(start.elapsed() * REST);
                } else {
                    done_at = Some(seq);
                    std::thread::sleep(INTERVAL);
                }
            }
        })?;
        Ok(())
    }

    /// Zeroes a piece. False once all free space has been looked at.
    pub(super) fn scrub(&mut self, region: &Region) -> bool {
        // What is free here may be given out by another master. Who writes the catalog may wait for the lock below.
        if region.store.check_master().is_err() {
            return false;
        }
        // Until the piece is zero: a writer that is given it meanwhile waits for this.
        let mut parts = region.residue.parts();
        for _ in 0..LOOKS {
            let Some(free) = region.store.view().free_from(self.next) else {
                self.next = (0, 0);
                return false;
            };
            let Some(Extent { pool, offset, len }) = parts.first_unknown(&free) else {
                self.next = (free.pool, free.offset + free.len);
                continue;
            };
            let piece = Extent { pool, offset, len: len.min(PIECE) };
            self.next = (pool, offset + piece.len);
            match region.scrub(&piece) {
                Ok(()) => parts.set(&piece, Some(Left::Zeros)),
                // Lost memory is reported by whoever needs it.
                Err(error) => tracing::debug!(?piece, %error, "not scrubbed"),
            }
            return true;
        }
        true
    }
}

impl Region {
    /// Zeroes a piece that is free, unless it is zero: memory that wears is not written in vain.
    fn scrub(&self, piece: &Extent) -> Result<(), AgentError> {
        let mut zero = true;
        for (offset, len) in self.view().media_ranges(std::slice::from_ref(piece))? {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
            self.view().media().read_at(offset, &mut bytes)?;
            zero &= bytes == vec![0; bytes.len()];
        }
        if zero { Ok(()) } else { self.zero(piece) }
    }
}
