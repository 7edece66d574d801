//! Copies to and from memory that others may write at the same time.
//!
//! The law of this file: shared memory is a slice of `AtomicU64`, and every access to it is an atomic
//! access to whole words, whatever was asked for. A part of a word is written by exchanging the word,
//! because overlapping atomic accesses of different sizes have no defined meaning in Rust.

use std::sync::atomic::{AtomicU64, Ordering, fence};

const WORD: usize = size_of::<AtomicU64>();

/// Shared bytes, in whole words.
///
/// Offsets are checked by the callers, who know how many bytes there are and what to call them in an
/// error; a wrong one panics on the slice below and touches nothing.
#[derive(Clone, Copy)]
pub(crate) struct SharedBytes<'a> {
    words: &'a [AtomicU64],
}

impl<'a> SharedBytes<'a> {
    pub(crate) fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// Copies the bytes at `offset` into all of `out`.
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) {
        let (head, body, tail) = self.split(offset, out.len());
        let (out_head, rest) = out.split_at_mut(head.len);
        let (out_body, out_tail) = rest.split_at_mut(size_of_val(body));
        head.read(out_head);
        for (word, out) in body.iter().zip(out_body.chunks_exact_mut(WORD)) {
            out.copy_from_slice(&bytes_of(word.load(Ordering::Relaxed)));
        }
        tail.read(out_tail);
    }

    /// Copies `data` to `offset`.
    pub(crate) fn write(&self, offset: usize, data: &[u8]) {
        let (head, body, tail) = self.split(offset, data.len());
        let (data_head, rest) = data.split_at(head.len);
        let (data_body, data_tail) = rest.split_at(size_of_val(body));
        head.write(data_head);
        store_words(body, data_body);
        tail.write(data_tail);
    }

    /// Sets `len` bytes at `offset` to zero.
    pub(crate) fn zero(&self, offset: usize, len: usize) {
        let (head, body, tail) = self.split(offset, len);
        head.write(&[0; WORD][..head.len]);
        zero_words(body);
        tail.write(&[0; WORD][..tail.len]);
    }

    /// Stores to every page of `page` bytes what it holds already.
    pub(crate) fn touch(&self, page: usize) {
        for word in self.words.iter().step_by(page / WORD) {
            // One exchange, so that a store of somebody else is not undone.
            word.fetch_or(0, Ordering::Relaxed);
        }
    }

    /// The little-endian word at `offset`, a multiple of 8.
    pub(crate) fn load(&self, offset: usize) -> u64 {
        // Of the loads on memory that may be mapped read-only, Rust defines relaxed ones alone (std,
        // sync::atomic, "Atomic accesses to read-only memory"), and names this as the acquiring one.
        let word = self.words[offset / WORD].load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        u64::from_le(word)
    }

    /// Stores a little-endian word at `offset`, a multiple of 8.
    pub(crate) fn store(&self, offset: usize, value: u64) {
        self.words[offset / WORD].store(value.to_le(), Ordering::Release);
    }

    /// The words that hold `len` bytes at `offset`.
    pub(crate) fn words(&self, offset: usize, len: usize) -> &'a [AtomicU64] {
        if len == 0 { &[] } else { &self.words[offset / WORD..(offset + len).div_ceil(WORD)] }
    }

    /// `len` bytes at `offset`: part of a word, whole words, part of a word.
    fn split(&self, offset: usize, len: usize) -> (Part<'a>, &'a [AtomicU64], Part<'a>) {
        let end = offset + len;
        let (first, last) = (offset / WORD, end / WORD);
        let first_whole = offset.div_ceil(WORD);
        if first_whole > last {
            // Begins and ends within one word.
            return (self.part(first, offset % WORD, len), &[], self.part(last, 0, 0));
        }
        let head = self.part(first, offset % WORD, first_whole * WORD - offset);
        (head, &self.words[first_whole..last], self.part(last, 0, end % WORD))
    }

    fn part(&self, word: usize, from: usize, len: usize) -> Part<'a> {
        Part { word: if len == 0 { None } else { Some(&self.words[word]) }, from, len }
    }
}

/// `len` bytes (fewer than 8) of one word, beginning with its byte `from`.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// None if `len` is 0: there may be no word there.
    word: Option<&'a AtomicU64>,
    from: usize,
    len: usize,
}

impl Part<'_> {
    fn read(&self, out: &mut [u8]) {
        if let Some(word) = self.word {
            let bytes = bytes_of(word.load(Ordering::Relaxed));
            out.copy_from_slice(&bytes[self.from..self.from + self.len]);
        }
    }

    fn write(&self, data: &[u8]) {
        let Some(word) = self.word else { return };
        let mut old = word.load(Ordering::Relaxed);
        loop {
            let mut bytes = bytes_of(old);
            bytes[self.from..self.from + self.len].copy_from_slice(data);
            match word.compare_exchange_weak(old, word_of(bytes), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }
}

/// The bytes of a word as they lie in memory.
fn bytes_of(word: u64) -> [u8; WORD] {
    word.to_le().to_le_bytes()
}

/// The word whose bytes lie in memory like this.
fn word_of(bytes: [u8; WORD]) -> u64 {
    u64::from_le(u64::from_le_bytes(bytes))
}

/// Stores `data` to `words`, which have the same size, in relaxed stores of whole words.
///
/// On x86_64 by string instructions: they write lines without reading them first. 1 GiB between warm heap
/// buffers took 55 ms (2 cores), where a loop of relaxed stores took 80 and memcpy 85.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[expect(unsafe_code, reason = "string instructions")]
fn store_words(words: &[AtomicU64], data: &[u8]) {
    assert_eq!(size_of_val(words), data.len(), "as many bytes as there are words for");
    // SAFETY: REP MOVSQ moves rcx words from rsi to rdi, upwards, since Rust keeps the direction flag
    // clear around asm blocks. Both slices are live and, as asserted, have rcx words; rsi needs no
    // alignment. The target is made of UnsafeCells, so writing through the shared reference is allowed,
    // and `data`, being plain bytes, cannot overlap it. Each word is stored in one access because rdi is
    // aligned: the block does what relaxed atomic stores, in some order, may do. No flag is changed.
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") words.len() => _,
            inout("rdi") words.as_ptr() => _,
            inout("rsi") data.as_ptr() => _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn store_words(words: &[AtomicU64], data: &[u8]) {
    let (data, rest) = data.as_chunks::<WORD>();
    assert!(words.len() == data.len() && rest.is_empty(), "as many bytes as there are words for");
    for (word, data) in words.iter().zip(data) {
        word.store(word_of(*data), Ordering::Relaxed);
    }
}

/// Stores zero to `words`, in relaxed stores of whole words.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[expect(unsafe_code, reason = "string instructions")]
fn zero_words(words: &[AtomicU64]) {
    // SAFETY: REP STOSQ stores rax to rcx words at rdi, upwards; all else as REP MOVSQ above.
    unsafe {
        std::arch::asm!(
            "rep stosq",
            inout("rcx") words.len() => _,
            inout("rdi") words.as_ptr() => _,
            in("rax") 0_u64,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn zero_words(words: &[AtomicU64]) {
    for word in words {
        word.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
