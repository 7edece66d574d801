//! Memory for the messages of DoPuts.
//!
//! A long message has pages of its own: an allocator keeps what is freed for a while, and more of it the busier it is.
//! Pages that a message gives back wait for the next one of its size, so that they are not faulted in again, as long as
//! all that is taken and all that waits are within what puts may have. None waits once no put is under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::MmapMut;

use crate::region::HEAP_PER_METADATA;
use crate::shares::{Share, Shares};

/// Buffers begin on such boundaries of a body, if its writer did as the Arrow format recommends.
const BOUNDARY: usize = 64;

/// From here on a message has pages of its own.
const PAGES_FROM: usize = 64 << 10;

/// Of the metadata of a message, as much is charged before it is known how long they are: of many short messages they
/// may be all. Of a message from `LONG` on nothing is: where there is no memory for them it is written by itself.
const METADATA: usize = 64 << 10;
const LONG: usize = 8 << 20;

/// The memory that all messages share.
pub(super) struct Buffers {
    shares: Arc<Shares>,
    total: u64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Puts that are under way.
    puts: usize,
    /// By their lengths.
    pages: BTreeMap<usize, Vec<MmapMut>>,
    bytes: u64,
}

/// Room for one message, and what has come of it.
pub(super) struct Buffer {
    memory: Memory,
    /// The place where the message begins.
    start: usize,
    /// The bytes that it has so far.
    filled: usize,
    end: usize,
    buffers: Arc<Buffers>,
}

enum Memory {
    Heap(Vec<u8>),
    Pages(MmapMut),
}

/// A put that is under way.
pub(super) struct UnderWay(Arc<Buffers>);

/// Bytes that a message of so many may take, with the arrays that are made of its metadata.
pub(super) fn charge(len: usize) -> u64 {
    let metadata = if len < LONG { len.min(METADATA) } else { 0 };
    room(len) as u64 + HEAP_PER_METADATA * metadata as u64
}

/// Bytes of memory for a message of so many: a long one has an eighth more at most, so that few lengths are asked for.
pub(super) fn room(len: usize) -> usize {
    let end = len.next_multiple_of(BOUNDARY);
    if end < PAGES_FROM { end } else { end.next_multiple_of(end.next_power_of_two() / 16) }
}

impl Buffers {
    /// For puts that have `total` bytes together.
    pub(super) fn new(total: u64) -> Arc<Self> {
        Arc::new(Self { shares: Shares::new(total), total, waiting: Mutex::default() })
    }

    /// The bytes themselves.
    pub(super) fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// Counts a put.
    pub(super) fn enter(self: &Arc<Self>) -> UnderWay {
        self.waiting().puts += 1;
        UnderWay(self.clone())
    }

    /// Lets pages go that have no place beside what is taken by now. To be called when something was taken.
    pub(super) fn make_room(&self) {
        let mut waiting = self.waiting();
        let mut gone = Vec::new();
        while waiting.bytes > 0 && self.shares.taken().saturating_add(waiting.bytes) > self.total {
            gone.extend(waiting.longest());
        }
        drop(waiting);
        // Without the lock: it takes a while.
        drop(gone);
    }

    /// As much more for what `share` is of, if there is as much.
    pub(super) fn try_grow(&self, share: &mut Share, bytes: u64) -> bool {
        let grown = share.try_grow(bytes);
        if grown {
            self.make_room();
        }
        grown
    }

    /// Room for a message of `len` bytes, for which a share was taken.
    pub(super) fn buffer(self: &Arc<Self>, len: usize) -> Buffer {
        let room = room(len);
        let pages = if room < PAGES_FROM { None } else { self.pages(room) };
        // Where the system has no more mappings the heap will do.
        let memory = pages.map_or_else(|| Memory::Heap(vec![0; room]), Memory::Pages);
        // The body is the last field, of as many bytes as padding makes it: where a message ends on a boundary its body
        // begins on one too, and nothing has to be copied for Arrow.
        let end = len.next_multiple_of(BOUNDARY);
        Buffer { memory, start: end - len, filled: end - len, end, buffers: self.clone() }
    }

    fn pages(&self, len: usize) -> Option<MmapMut> {
        let waiting = self.waiting().of(len);
        waiting.or_else(|| MmapMut::map_anon(len).ok())
    }

    fn give_back(&self, pages: MmapMut) {
        let mut waiting = self.waiting();
        let all = self.shares.taken().saturating_add(waiting.bytes).saturating_add(pages.len() as u64);
        if waiting.puts > 0 && all <= self.total {
            waiting.bytes += pages.len() as u64;
            waiting.pages.entry(pages.len()).or_default().push(pages);
        } else {
            drop(waiting);
            drop(pages);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No invariant spans a panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn of(&mut self, len: usize) -> Option<MmapMut> {
        let same = self.pages.get_mut(&len)?;
        let pages = same.pop();
        if same.is_empty() {
            self.pages.remove(&len);
        }
        self.bytes -= pages.as_ref().map_or(0, |pages| pages.len() as u64);
        pages
    }

    fn longest(&mut self) -> Option<MmapMut> {
        let len = *self.pages.last_key_value()?.0;
        self.of(len)
    }
}

impl Buffer {
    /// Returns how much is to come.
    pub(super) fn left(&self) -> usize {
        self.end - self.filled
    }

    /// Takes the next bytes, `left` at most.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        let memory = match &mut self.memory {
            Memory::Heap(heap) => heap.as_mut_slice(),
            Memory::Pages(pages) => pages,
        };
        memory[self.filled..end].copy_from_slice(bytes);
        self.filled = end;
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        let memory = match &self.memory {
            Memory::Heap(heap) => heap.as_slice(),
            Memory::Pages(pages) => pages,
        };
        &memory[self.start..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Memory::Pages(pages) = std::mem::replace(&mut self.memory, Memory::Heap(Vec::new())) {
            self.buffers.give_back(pages);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.puts -= 1;
        if waiting.puts == 0 {
            let gone = std::mem::take(&mut *waiting);
            drop(waiting);
            drop(gone);
        }
    }
}

#[cfg(test)]
mod tests;
