//! A medium that several hosts share and whose caches nobody keeps in step.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::RegionError;
use crate::crash::{LINE, WORD, lines, put};
use crate::media::{Media, aligned, within};
use crate::random::Random;

/// A test double of memory that is shared by hosts without hardware coherency: one medium, and between
/// it and each host a private cache of 64-byte lines.
///
/// [`host`](Self::host) gives a host's view of it, a [`Media`] of its own:
///
/// - A load takes its line from the host's cache, and from the medium if it is not there; then it stays
///   in the cache: stale, whatever others write, until the host refreshes it.
/// - A store changes the line in the host's cache. It reaches the medium when the host persists it, or
///   earlier by accident: at any later call of any host a line may be written back, also in the middle of
///   a write. Only aligned words of 8 bytes are never torn.
/// - Lines are written back whole, with everything in them. Where another host has written the line
///   since it was fetched, its bytes are lost: an [`Overwrite`].
/// - Caches fetch lines that nobody has asked for: the one after the one that is read, and some of those
///   just refreshed. So a line refreshed *before* it is known that there is something new in it may be
///   stale again.
///
/// Everything is decided by the seed: the same calls in the same order give the same bytes. (Calls by
/// several threads are safe, and in an order of their own.)
#[derive(Debug, Clone)]
pub struct IncoherentMemory {
    state: Arc<Mutex<State>>,
}

/// One host's view of an [`IncoherentMemory`]. Clones share the host's cache.
#[derive(Debug, Clone)]
pub struct IncoherentMedia {
    memory: IncoherentMemory,
    host: usize,
}

/// A line that was written back over what another host had written since it was fetched.
///
/// Some of these are harmless to memory (the bytes may have been equal), none to a protocol: two hosts
/// had the line writable at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overwrite {
    /// First byte of the line.
    pub offset: u64,
    /// The host whose cache wrote it back, by the order of the calls of [`IncoherentMemory::host`].
    pub by: usize,
}

#[derive(Debug)]
struct State {
    medium: Vec<u8>,
    /// The number of times that each line was written back, if ever.
    serials: BTreeMap<usize, u64>,
    /// One per host.
    caches: Vec<Cache>,
    /// Host and number of each line that is in a cache and not on the medium.
    dirty: BTreeSet<(usize, usize)>,
    overwrites: Vec<Overwrite>,
    random: Random,
}

/// The lines a host has, by number.
type Cache = BTreeMap<usize, CachedLine>;

#[derive(Debug)]
struct CachedLine {
    /// The last line of a medium may have fewer than 64.
    bytes: Vec<u8>,
    /// The line's serial when it was fetched or last written back by this host.
    serial: u64,
}

impl IncoherentMemory {
    /// Memory of `len` zero bytes.
    pub fn new(len: usize, seed: u64) -> Self {
        Self::with_image(vec![0; len], seed)
    }

    /// Memory that holds `image`.
    pub fn with_image(image: Vec<u8>, seed: u64) -> Self {
        let state = State {
            medium: image,
            serials: BTreeMap::new(),
            caches: Vec::new(),
            dirty: BTreeSet::new(),
            overwrites: Vec::new(),
            random: Random(seed),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// One more host, with nothing in its cache.
    #[must_use]
    pub fn host(&self) -> IncoherentMedia {
        let mut state = self.state();
        state.caches.push(Cache::new());
        IncoherentMedia { memory: self.clone(), host: state.caches.len() - 1 }
    }

    /// Returns what the medium holds, without anything that is only in a cache.
    pub fn image(&self) -> Vec<u8> {
        self.state().medium.clone()
    }

    /// Every line that was written back over another host's bytes, in order.
    pub fn overwrites(&self) -> Vec<Overwrite> {
        self.state().overwrites.clone()
    }

    /// Time passes: every dirty line of every host is written back, in an order the seed decides. The
    /// lines stay in the caches, as stale as they are.
    pub fn settle(&self) {
        let mut state = self.state();
        while state.write_back_some() {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked has nothing left half done here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IncoherentMedia {
    /// Returns how many lines the host has written that have not reached the medium since.
    pub fn unpersisted_lines(&self) -> usize {
        self.memory.state().dirty.range(lines_of(self.host)).count()
    }

    /// The host is reset: its cache is empty, and of its dirty lines some, as the seed decides, have
    /// reached the medium before.
    pub fn reset(&self) {
        let mut state = self.memory.state();
        let dirty: Vec<_> = state.dirty.range(lines_of(self.host)).copied().collect();
        for (host, line) in dirty {
            if state.random.below(2) == 0 {
                state.write_back(host, line);
            }
            state.dirty.remove(&(host, line));
        }
        state.caches[self.host].clear();
    }

    /// Runs `f` on `len` bytes at `offset`, once they are known to be there, with the first as an index.
    fn access<T>(
        &self,
        offset: u64,
        len: u64,
        f: impl FnOnce(&mut State, usize) -> T,
    ) -> Result<T, RegionError> {
        let mut state = self.memory.state();
        let at = within(|| self.describe(), offset, len, state.medium.len() as u64)?;
        let result = f(&mut state, at);
        // One time in four something happens that nobody has asked for.
        if state.random.below(4) == 0 {
            state.write_back_some();
        }
        Ok(result)
    }

    /// The lines of `len` bytes at `offset`, none if `len` is 0.
    fn over_lines(
        &self,
        offset: u64,
        len: u64,
        mut f: impl FnMut(&mut State, usize),
    ) -> Result<(), RegionError> {
        self.access(offset, len, |state, at| {
            // Within the medium, so it is a usize.
            let len = usize::try_from(len).unwrap_or(0);
            if len > 0 {
                lines(at, len).for_each(|line| f(state, line));
            }
        })
    }
}

impl Media for IncoherentMedia {
    fn len(&self) -> u64 {
        self.memory.state().medium.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError> {
        self.access(offset, out.len() as u64, |state, at| {
            let mut done = 0;
            while done < out.len() {
                let (line, from) = ((at + done) / LINE, (at + done) % LINE);
                let count = (LINE - from).min(out.len() - done);
                let cached = state.fetch(self.host, line);
                out[done..done + count].copy_from_slice(&cached.bytes[from..from + count]);
                done += count;
                if state.random.below(4) == 0 && (line + 1) * LINE < state.medium.len() {
                    state.fetch(self.host, line + 1);
                }
            }
        })
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        self.access(offset, data.len() as u64, |state, at| {
            let mut done = 0;
            while done < data.len() {
                let (line, from) = ((at + done) / LINE, (at + done) % LINE);
                let count = (LINE - from).min(data.len() - done);
                state.write(self.host, line, from, &data[done..done + count]);
                done += count;
            }
        })
    }

    fn load_u64(&self, offset: u64) -> Result<u64, RegionError> {
        aligned(|| self.describe(), offset)?;
        let mut word = [0; WORD];
        self.read_at(offset, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn store_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        aligned(|| self.describe(), offset)?;
        self.write_at(offset, &value.to_le_bytes())
    }

    fn persist(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        self.over_lines(offset, len, |state, line| state.write_back(self.host, line))
    }

    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        self.over_lines(offset, len, |state, line| {
            // As the instructions do: what is dirty is not lost.
            state.write_back(self.host, line);
            state.caches[self.host].remove(&line);
        })?;
        self.over_lines(offset, len, |state, line| {
            // Nothing keeps a cache from fetching a line again as soon as it is dropped.
            if state.random.below(4) == 0 {
                state.fetch(self.host, line);
            }
        })
    }

    fn describe(&self) -> String {
        format!("memory of host {}", self.host)
    }
}

impl State {
    /// The line as `host` has it.
    fn fetch(&mut self, host: usize, line: usize) -> &mut CachedLine {
        let Self { medium, serials, caches, .. } = self;
        caches[host].entry(line).or_insert_with(|| {
            let end = medium.len().min((line + 1) * LINE);
            let serial = serials.get(&line).copied().unwrap_or(0);
            CachedLine { bytes: medium[line * LINE..end].to_vec(), serial }
        })
    }

    /// Stores `data` to the line, beginning with its byte `from`.
    fn write(&mut self, host: usize, line: usize, from: usize, data: &[u8]) {
        // One time in four the line is written back while only the words before `arrived` are there.
        let words_end = (from + data.len()).div_ceil(WORD);
        let arrived = match self.random.below(4) {
            0 => (from / WORD + self.random.below(words_end - from / WORD)) * WORD,
            _ => from,
        };
        let first = arrived.saturating_sub(from).min(data.len());
        if first > 0 {
            self.store(host, line, from, &data[..first]);
            self.write_back(host, line);
        }
        self.store(host, line, from + first, &data[first..]);
    }

    fn store(&mut self, host: usize, line: usize, from: usize, data: &[u8]) {
        let cached = self.fetch(host, line);
        cached.bytes[from..from + data.len()].copy_from_slice(data);
        self.dirty.insert((host, line));
    }

    /// Brings the line from the host's cache to the medium, if it is dirty. It stays in the cache.
    fn write_back(&mut self, host: usize, line: usize) {
        if !self.dirty.remove(&(host, line)) {
            return;
        }
        let Self { medium, serials, caches, overwrites, .. } = self;
        let Some(cached) = caches[host].get_mut(&line) else { return };
        let serial = serials.entry(line).or_insert(0);
        if cached.serial != *serial {
            overwrites.push(Overwrite { offset: (line * LINE) as u64, by: host });
        }
        *serial += 1;
        cached.serial = *serial;
        put(medium, line, &cached.bytes);
    }

    /// Writes a dirty line of some host back, if there is one; says whether there was.
    fn write_back_some(&mut self) -> bool {
        if self.dirty.is_empty() {
            return false;
        }
        let from =
            (self.random.below(self.caches.len()), self.random.below(self.medium.len().div_ceil(LINE)));
        let next = self.dirty.range(from..).next().or_else(|| self.dirty.first());
        let Some(&(host, line)) = next else { return false };
        self.write_back(host, line);
        true
    }
}

/// Every line of `host`, as a key of the dirty ones.
fn lines_of(host: usize) -> RangeInclusive<(usize, usize)> {
    (host, 0)..=(host, usize::MAX)
}

#[cfg(test)]
mod tests;
