//! The catalog file on its medium: the only code that reads or writes it.

use farrow_region::Media;
use uuid::Uuid;

use super::fault::CatalogFault;
use super::head::{
    CommitWord, HALF_HEADER_BYTES, HALF_HEADER_LEN, HEAD_LEN, HalfHeader, Head, MIN_CATALOG_LEN, PAGE_BYTES,
    PAGE_LEN, WORD_OFFSET, low16,
};
use super::record::Record;
use crate::error::{Result, StoreError};
use crate::state::StateFault;

/// Bytes gathered before they go to the medium while a checkpoint is written.
const CHECKPOINT_CHUNK: usize = 1024 * 1024;

/// In which part of a half a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// What was live when the half was written.
    Checkpoint,
    /// What happened since.
    Log,
}

/// The catalog of a region, positioned behind its last committed record.
#[derive(Clone, Debug)]
pub(crate) struct CatalogFile {
    /// Where the file begins on the medium.
    base: u64,
    head: Head,
    header: HalfHeader,
    /// What the commit word says, or is to say next.
    word: CommitWord,
}

impl CatalogFile {
    /// Writes an empty catalog into `len` bytes at `base`. Only mkfs does.
    pub(crate) fn create(media: &dyn Media, base: u64, len: u64, region: Uuid) -> Result<()> {
        let head = Head::new(region, len);
        let header = HalfHeader { serial: 0, epoch: 0, base_seq: 0, checkpoint_len: 0 };
        let word = CommitWord::new(HALF_HEADER_LEN, 0, 0);
        let mut page = head.encode();
        page.resize(PAGE_BYTES, 0);
        media.write_at(base, &page)?;
        media.write_at(base + head.halves[0], &header.encode())?;
        // What an earlier catalog left must not look like a half.
        media.write_at(base + head.halves[1], &[0; HALF_HEADER_BYTES])?;
        media.persist(base, len)?;
        media.store_u64(base + WORD_OFFSET, word.to_bits())?;
        media.persist(base + WORD_OFFSET, 8)?;
        Ok(())
    }

    /// Finds the live half of the catalog in `len` bytes at `base`. Writes nothing.
    pub(crate) fn open(media: &dyn Media, base: u64, len: u64, region: Uuid) -> Result<Self> {
        if len < MIN_CATALOG_LEN {
            return Err(CatalogFault::File { len, extents: 1 }.into());
        }
        media.refresh(base, PAGE_LEN)?;
        let mut bytes = [0; HEAD_LEN];
        media.read_at(base, &mut bytes)?;
        let head = Head::decode(&bytes, base, region, len)?;

        let bits = media.load_u64(base + WORD_OFFSET)?;
        let word = CommitWord::from_bits(bits);
        if word.committed < HALF_HEADER_LEN || word.committed > head.half_len {
            let (at, committed, half_len) = (base + WORD_OFFSET, word.committed, head.half_len);
            return Err(CatalogFault::CommitWord { at, word: bits, committed, half_len }.into());
        }

        let at = base + head.halves[usize::from(word.serial & 1)];
        media.refresh(at, word.committed)?;
        let mut bytes = [0; HALF_HEADER_BYTES];
        media.read_at(at, &mut bytes)?;
        let header = HalfHeader::decode(&bytes, at, word)?;
        Ok(Self { base, head, header, word })
    }

    /// Gives every committed record to `apply`, in order, and checks that they lead to what the commit word
    /// says. Returns the epoch and the sequence number of the last one.
    pub(crate) fn replay(
        &self,
        media: &dyn Media,
        mut apply: impl FnMut(Place, &Record) -> Result<(), StateFault>,
    ) -> Result<(u64, u64)> {
        let half = self.half();
        let log_start = HALF_HEADER_LEN + self.header.checkpoint_len;
        let (mut epoch, mut seq) = (self.header.epoch, self.header.base_seq);
        let mut offset = HALF_HEADER_LEN;
        let mut bytes = Vec::new();
        while offset < self.word.committed {
            let place = if offset < log_start { Place::Checkpoint } else { Place::Log };
            let end = if place == Place::Checkpoint { log_start } else { self.word.committed };
            let at = half + offset;
            let broken = |fault| CatalogFault::Record { at, fault };
            let mut first = [0; 4];
            media.read_at(at, &mut first)?;
            let len = Record::peek_len(first, end - offset).map_err(broken)?;
            bytes.resize(len, 0);
            media.read_at(at, &mut bytes)?;
            let record = Record::decode(&bytes).map_err(broken)?;
            apply(place, &record).map_err(|fault| CatalogFault::State { at, seq: record.seq, fault })?;
            if place == Place::Log {
                (epoch, seq) = (record.epoch, record.seq);
            }
            offset += len as u64;
        }
        if self.word.epoch != low16(epoch) {
            let (at, found) = (self.base + WORD_OFFSET, self.word.epoch);
            return Err(CatalogFault::WordEpoch { at, found, expected: epoch }.into());
        }
        Ok((epoch, seq))
    }

    /// The epoch and the sequence number before the first record of the log.
    pub(crate) fn start(&self) -> (u64, u64) {
        (self.header.epoch, self.header.base_seq)
    }

    /// Bytes of each half.
    pub(crate) fn half_len(&self) -> u64 {
        self.head.half_len
    }

    /// Committed bytes of the live half, its header included.
    pub(crate) fn committed(&self) -> u64 {
        self.word.committed
    }

    /// The live half's serial number: how often the catalog was compacted.
    pub(crate) fn serial(&self) -> u64 {
        self.header.serial
    }

    /// Bytes that the live half still has room for.
    pub(crate) fn room(&self) -> u64 {
        self.head.half_len - self.word.committed
    }

    /// Adds one encoded record. It exists once this has returned; after an error it may or may not.
    ///
    /// The caller has checked [`room`](Self::room).
    pub(crate) fn append(&mut self, media: &dyn Media, record: &[u8], epoch: u64) -> Result<()> {
        self.check_word(media)?;
        let at = self.half() + self.word.committed;
        let len = record.len() as u64;
        media.write_at(at, record)?;
        media.persist(at, len)?;
        self.advance(media, CommitWord::new(self.word.committed + len, self.header.serial, epoch))
    }

    /// Writes a checkpoint into the other half and makes that the live one. The same state, in less space.
    ///
    /// The caller has checked that the records fit: they are `checkpoint_len` bytes.
    pub(crate) fn rewrite(
        &mut self,
        media: &dyn Media,
        epoch: u64,
        base_seq: u64,
        records: impl Iterator<Item = Record>,
    ) -> Result<()> {
        self.check_word(media)?;
        let serial = self.header.serial.wrapping_add(1);
        let half = self.base + self.head.halves[usize::from(low16(serial) & 1)];
        let mut end = HALF_HEADER_LEN;
        let mut chunk = Vec::with_capacity(CHECKPOINT_CHUNK);
        let mut flush = |chunk: &mut Vec<u8>| -> Result<()> {
            let len = chunk.len() as u64;
            if len > self.head.half_len - end {
                return Err(StoreError::Internal { what: "the checkpoint is longer than was calculated" });
            }
            media.write_at(half + end, chunk)?;
            end += len;
            chunk.clear();
            Ok(())
        };
        for record in records {
            let bytes = record.encode().map_err(|len| StoreError::RecordTooLong { len })?;
            if chunk.len() + bytes.len() > CHECKPOINT_CHUNK {
                flush(&mut chunk)?;
            }
            chunk.extend_from_slice(&bytes);
        }
        flush(&mut chunk)?;
        let header = HalfHeader { serial, epoch, base_seq, checkpoint_len: end - HALF_HEADER_LEN };
        media.write_at(half, &header.encode())?;
        media.persist(half, end)?;
        self.header = header;
        self.advance(media, CommitWord::new(end, serial, epoch))
    }

    /// Another master may have taken over: then the word is not what was written last.
    pub(crate) fn check_word(&self, media: &dyn Media) -> Result<()> {
        let at = self.base + WORD_OFFSET;
        media.refresh(at, 8)?;
        let (found, expected) = (media.load_u64(at)?, self.word.to_bits());
        if found == expected { Ok(()) } else { Err(StoreError::Fenced { at, found, expected }) }
    }

    /// The commit: one aligned store.
    fn advance(&mut self, media: &dyn Media, word: CommitWord) -> Result<()> {
        media.store_u64(self.base + WORD_OFFSET, word.to_bits())?;
        media.persist(self.base + WORD_OFFSET, 8)?;
        self.word = word;
        Ok(())
    }

    /// Where the live half begins on the medium.
    fn half(&self) -> u64 {
        self.base + self.head.halves[usize::from(self.word.serial & 1)]
    }
}
