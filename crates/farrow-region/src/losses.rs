//! Losses below the mappings of this process.
//!
//! A table that a signal handler can read and write: atomics alone, no lock, and nothing in it is ever
//! given back to the allocator. Each mapping has a slot from before anybody can reach its bytes until after
//! nobody can.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::thread;

use crate::media::Access;
use crate::table::{SLOTS, Table};

/// The reasons why bytes are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossCause {
    /// The hardware cannot give them back: the kernel has poisoned their page.
    Poisoned,
    /// There is no memory behind their addresses any more: a file was cut off, a device taken away, or the
    /// medium could not be read.
    Gone,
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poisoned => {
                "their memory is poisoned. If a frame lies there, try: publish it under another name, and keep the old \
                 one, so that its memory is not given out again"
            }
            Self::Gone => {
                "there is no memory behind them any more (a file that was cut off?). Try: `farrow fsck PATH`"
            }
        })
    }
}

/// Bytes of a mapping that are lost, in whole units of its medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    /// The first byte, counted from the beginning of the mapping's addresses.
    pub(crate) offset: usize,
    /// Number of bytes.
    pub(crate) len: usize,
    pub(crate) cause: LossCause,
}

/// Losses that a mapping tells apart. With one more all of it counts as lost.
const TOLD_APART: usize = 32;

/// Bits of [`Slot::state`]; what is above them counts the handlers that look at the slot.
const TAKEN: usize = 1;
const LIVE: usize = 2;
const PIN: usize = 4;

/// Low bits of an entry of [`Slot::lost`], whose offset is a multiple of a page. 0 is no loss.
const POISONED: u64 = 1;
const GONE: u64 = 2;
const CAUSE: u64 = POISONED | GONE;

static TABLE: Table<Slot> = Table::new([const { Slot::new() }; SLOTS], Slot::new);

/// A mapping's place in the table.
struct Slot {
    /// [`TAKEN`] by a mapping, [`LIVE`] while the fields below are its, and the number of [`PIN`]s.
    state: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    unit: AtomicUsize,
    writable: AtomicBool,
    /// Filled from the front.
    lost: [AtomicU64; TOLD_APART],
    /// More than fit `lost`.
    many: AtomicBool,
}

impl Slot {
    const fn new() -> Self {
        Self {
            state: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            unit: AtomicUsize::new(0),
            writable: AtomicBool::new(false),
            lost: [const { AtomicU64::new(0) }; TOLD_APART],
            many: AtomicBool::new(false),
        }
    }

    fn take(&self) -> bool {
        self.state.compare_exchange(0, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Keeps the slot's mapping where it is until the result is dropped; None if it has no mapping.
    fn pin(&self) -> Option<Pinned<'_>> {
        let one_more = |state| (state & LIVE != 0).then_some(state + PIN);
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more).ok()?;
        Some(Pinned(self))
    }

    fn unit_len(&self) -> usize {
        self.unit.load(Ordering::Relaxed)
    }

    /// Puts a loss on record, once. Whoever finds the lost unit replaced finds it on record: this comes first.
    fn record(&self, offset: usize, cause: LossCause) {
        let cause = match cause {
            LossCause::Poisoned => POISONED,
            LossCause::Gone => GONE,
        };
        let entry = offset as u64 | cause;
        for lost in &self.lost {
            match lost.compare_exchange(0, entry, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                // Whatever it was lost by: the first word stays.
                Err(found) if found & !CAUSE == offset as u64 => return,
                Err(_) => {}
            }
        }
        self.many.store(true, Ordering::Release);
    }

    /// The first loss on record within `range`.
    fn find(&self, range: &Range<usize>) -> Option<Loss> {
        // The bytes were read before this, and if they came from a unit that was replaced, by whatever
        // thread, then its loss had been recorded before: this order keeps what follows behind the reading.
        fence(Ordering::Acquire);
        if self.lost[0].load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.search(range)
    }

    #[cold]
    fn search(&self, range: &Range<usize>) -> Option<Loss> {
        fence(Ordering::Acquire);
        let unit = self.unit_len();
        let entries =
            self.lost.iter().map(|lost| lost.load(Ordering::Relaxed)).take_while(|entry| *entry != 0);
        let losses = entries.map(|entry| {
            let cause = if entry & POISONED != 0 { LossCause::Poisoned } else { LossCause::Gone };
            // It was made from a usize.
            let offset = usize::try_from(entry & !CAUSE).unwrap_or(usize::MAX);
            Loss { offset, len: unit, cause }
        });
        if self.many.load(Ordering::Relaxed) {
            let len = self.end.load(Ordering::Relaxed) - self.start.load(Ordering::Relaxed);
            return losses.min_by_key(|loss| loss.offset).map(|loss| Loss { offset: 0, len, ..loss });
        }
        let within =
            |loss: &Loss| loss.offset < range.end && range.start < loss.offset.saturating_add(loss.len);
        losses.filter(within).min_by_key(|loss| loss.offset)
    }
}

/// A mapping that is on record, for as long as this lives: to be dropped before the mapping is undone.
pub(crate) struct Recorded {
    slot: &'static Slot,
}

impl Recorded {
    /// Puts a mapping at `addresses` on record, whole units of `unit` bytes (a power of two, at least a page).
    pub(crate) fn new(addresses: Range<usize>, unit: usize, access: Access) -> Self {
        let slot = TABLE.take(Slot::take);
        slot.start.store(addresses.start, Ordering::Relaxed);
        slot.end.store(addresses.end, Ordering::Relaxed);
        slot.unit.store(unit, Ordering::Relaxed);
        slot.writable.store(access == Access::ReadWrite, Ordering::Relaxed);
        slot.lost.iter().for_each(|lost| lost.store(0, Ordering::Relaxed));
        slot.many.store(false, Ordering::Relaxed);
        slot.state.fetch_or(LIVE, Ordering::Release);
        Self { slot }
    }

    /// Bytes that are lost as one.
    pub(crate) fn unit(&self) -> usize {
        self.slot.unit_len()
    }

    /// The first loss within `range`, counted from the beginning of the addresses. To be asked after the
    /// bytes were touched; costs a load where nothing is lost.
    pub(crate) fn lost(&self, range: &Range<usize>) -> Option<Loss> {
        self.slot.find(range)
    }

    /// Puts on record that the unit around `offset` is lost.
    pub(crate) fn record(&self, offset: usize, cause: LossCause) {
        self.slot.record(offset - offset % self.slot.unit_len(), cause);
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.slot.state.fetch_and(!LIVE, Ordering::AcqRel);
        // A handler of another thread may be about to replace a unit. It only has a system call to make.
        while self.slot.state.load(Ordering::Acquire) != TAKEN {
            thread::yield_now();
        }
        self.slot.state.store(0, Ordering::Release);
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").finish_non_exhaustive()
    }
}

/// A mapping that stays where it is for as long as this lives: [`Recorded`]'s drop waits for it.
pub(crate) struct Pinned<'a>(&'a Slot);

impl Pinned<'static> {
    /// The mapping that `address` is in. Safe to be called from a signal handler.
    pub(crate) fn at(address: usize) -> Option<Self> {
        TABLE.iter().filter_map(Slot::pin).find(|pinned| pinned.addresses().contains(&address))
    }
}

impl Pinned<'_> {
    fn addresses(&self) -> Range<usize> {
        self.0.start.load(Ordering::Relaxed)..self.0.end.load(Ordering::Relaxed)
    }

    /// The addresses of the unit around `address`, which is in the mapping.
    pub(crate) fn unit(&self, address: usize) -> Range<usize> {
        let (mapping, unit) = (self.addresses(), self.0.unit_len());
        let start = address - (address - mapping.start) % unit;
        start..(start + unit).min(mapping.end)
    }

    /// Returns what the mapping is made for.
    pub(crate) fn access(&self) -> Access {
        if self.0.writable.load(Ordering::Relaxed) { Access::ReadWrite } else { Access::ReadOnly }
    }

    /// Puts on record that the unit that begins at `address` is lost.
    pub(crate) fn record(&self, address: usize, cause: LossCause) {
        self.0.record(address - self.addresses().start, cause);
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_sub(PIN, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
