//! A medium that remembers what would have survived.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::RegionError;
use crate::media::{Media, aligned, within};
use crate::random::Random;

/// Bytes in a cache line.
pub(crate) const LINE: usize = 64;
/// Bytes that reach the medium together or not at all.
pub(crate) const WORD: usize = 8;

/// A test double of [`Media`] that keeps what was written apart from what was persisted, in lines of 64
/// bytes.
///
/// The program under test sees all of its writes. A test lets it run, then asks for the medium as a
/// crash at some moment would have left it, and opens that. Persists are counted from 1; crashing "after
/// persist 0" is crashing before the first.
///
/// - [`image_after`](Self::image_after): nothing reached the medium but by a persist.
/// - [`torn_image_after`](Self::torn_image_after): caches also wrote lines back on their own, at any
///   time, in any state: what real ones do.
///
/// Every write is kept, so memory grows with the bytes written.
#[derive(Debug)]
pub struct CrashMedia {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The medium before everything.
    base: Vec<u8>,
    /// The program's view: the medium seen through its caches.
    live: Vec<u8>,
    /// Lines written and not persisted since.
    dirty: BTreeSet<usize>,
    events: Vec<Event>,
    persists: usize,
}

#[derive(Debug)]
enum Event {
    Write { offset: usize, data: Vec<u8> },
    Persist { lines: Vec<(usize, Line)> },
}

/// The bytes of a line; the last one of a medium may have fewer.
type Line = Vec<u8>;

impl CrashMedia {
    /// A medium of `len` zero bytes.
    pub fn new(len: usize) -> Self {
        Self::from(vec![0; len])
    }

    /// Returns how often [`persist`](Media::persist) was called.
    pub fn persists(&self) -> usize {
        self.state().persists
    }

    /// Returns how many lines were written and have not been persisted since.
    pub fn unpersisted_lines(&self) -> usize {
        self.state().dirty.len()
    }

    /// Returns what the program sees: everything written, persisted or not.
    pub fn live_image(&self) -> Vec<u8> {
        self.state().live.clone()
    }

    /// Returns what the medium holds if everything after the `k`-th persist is lost, and everything written
    /// before it that was not persisted. (All persists there are, if there are fewer than `k`.)
    pub fn image_after(&self, k: usize) -> Vec<u8> {
        let state = self.state();
        let mut media = state.base.clone();
        let persists = state.events.iter().filter_map(|event| match event {
            Event::Persist { lines } => Some(lines),
            Event::Write { .. } => None,
        });
        for (line, bytes) in persists.take(k).flatten() {
            put(&mut media, *line, bytes);
        }
        media
    }

    /// Returns what the medium may hold if the crash comes at some moment after the `k`-th persist and before
    /// the next one is complete: as [`image_after`](Self::image_after), and besides an arbitrary subset of
    /// the lines that were not persisted reached the medium, at any time since they were written, any of
    /// them in the middle of a write, which aligned words of 8 bytes alone never are. `seed` decides.
    pub fn torn_image_after(&self, k: usize, seed: u64) -> Vec<u8> {
        let state = self.state();
        let mut random = Random(seed);
        let mut torn = Torn { media: state.base.clone(), dirty: BTreeMap::new() };
        let mut persists = 0;
        let mut events = state.events.iter();
        while persists < k
            && let Some(event) = events.next()
        {
            match event {
                Event::Write { offset, data } => torn.write(*offset, data, &mut random),
                Event::Persist { lines } => {
                    torn.persist(lines);
                    persists += 1;
                }
            }
        }
        // Some of the writes up to the next persist have happened.
        let next: Vec<_> = events.map_while(Event::as_write).collect();
        for (offset, data) in &next[..random.below(next.len() + 1)] {
            torn.write(*offset, data, &mut random);
        }
        torn.crash(&mut random)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked has nothing left half done here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Event {
    fn as_write(&self) -> Option<(usize, &[u8])> {
        match self {
            Self::Write { offset, data } => Some((*offset, data)),
            Self::Persist { .. } => None,
        }
    }
}

impl From<Vec<u8>> for CrashMedia {
    /// A medium that holds `image`, all of it persisted.
    fn from(image: Vec<u8>) -> Self {
        let live = image.clone();
        let state = State { base: image, live, dirty: BTreeSet::new(), events: Vec::new(), persists: 0 };
        Self { state: Mutex::new(state) }
    }
}

impl Media for CrashMedia {
    fn len(&self) -> u64 {
        self.state().live.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError> {
        let state = self.state();
        let at = within(|| self.describe(), offset, out.len() as u64, state.live.len() as u64)?;
        out.copy_from_slice(&state.live[at..at + out.len()]);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        let mut state = self.state();
        let at = within(|| self.describe(), offset, data.len() as u64, state.live.len() as u64)?;
        if !data.is_empty() {
            state.live[at..at + data.len()].copy_from_slice(data);
            state.dirty.extend(lines(at, data.len()));
            state.events.push(Event::Write { offset: at, data: data.to_vec() });
        }
        Ok(())
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
        let mut state = self.state();
        let at = within(|| self.describe(), offset, len, state.live.len() as u64)?;
        let mut persisted = Vec::new();
        if let Ok(len) = usize::try_from(len)
            && len > 0
        {
            let State { live, dirty, .. } = &mut *state;
            let reached: Vec<usize> = dirty.range(lines(at, len)).copied().collect();
            for line in reached {
                dirty.remove(&line);
                let end = live.len().min((line + 1) * LINE);
                persisted.push((line, live[line * LINE..end].to_vec()));
            }
        }
        state.events.push(Event::Persist { lines: persisted });
        state.persists += 1;
        Ok(())
    }

    /// Nothing: the only host there is sees its own writes.
    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        within(|| self.describe(), offset, len, self.len()).map(drop)
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

/// A medium on which lines arrive by accident.
struct Torn {
    media: Vec<u8>,
    /// Lines in the cache that differ from the medium, or may.
    dirty: BTreeMap<usize, Line>,
}

impl Torn {
    fn write(&mut self, offset: usize, data: &[u8], random: &mut Random) {
        for line in lines(offset, data.len()) {
            let start = line * LINE;
            let end = self.media.len().min(start + LINE);
            let cached = self.dirty.entry(line).or_insert_with(|| self.media[start..end].to_vec());
            let (from, to) = (offset.max(start), (offset + data.len()).min(end));
            let new = &data[from - offset..to - offset];

            // One time in four the line is written back while only some of the words have arrived.
            if random.below(4) == 0 {
                let mut half_done = cached.clone();
                let mut word = from / WORD * WORD;
                while word < to {
                    let (from_byte, to_byte) = (word.max(from), (word + WORD).min(to));
                    if random.below(2) == 0 {
                        half_done[from_byte - start..to_byte - start]
                            .copy_from_slice(&data[from_byte - offset..to_byte - offset]);
                    }
                    word += WORD;
                }
                self.media[start..end].copy_from_slice(&half_done);
            }
            cached[from - start..to - start].copy_from_slice(new);
            // And one time in four, at once.
            if random.below(4) == 0 {
                put(&mut self.media, line, cached);
                self.dirty.remove(&line);
            }
        }
    }

    fn persist(&mut self, lines: &[(usize, Line)]) {
        for (line, bytes) in lines {
            put(&mut self.media, *line, bytes);
            self.dirty.remove(line);
        }
    }

    /// The power goes; each line left in the cache has made it or has not.
    fn crash(mut self, random: &mut Random) -> Vec<u8> {
        for (line, bytes) in &self.dirty {
            if random.below(2) == 0 {
                put(&mut self.media, *line, bytes);
            }
        }
        self.media
    }
}

/// The lines that hold `len` (not 0) bytes at `offset`.
pub(crate) fn lines(offset: usize, len: usize) -> RangeInclusive<usize> {
    offset / LINE..=(offset + len - 1) / LINE
}

pub(crate) fn put(media: &mut [u8], line: usize, bytes: &[u8]) {
    let start = line * LINE;
    media[start..start + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests;
