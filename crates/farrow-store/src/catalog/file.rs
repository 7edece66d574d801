//! The catalog file on its medium: the only code that reads or writes it.

use farrow_region::Media;
use uuid::Uuid;

use super::fault::CatalogFault;
use super::head::{
    CommitWord, HALF_HEADER_BYTES, HALF_HEADER_LEN, HEAD_LEN, HalfHeader, Head, MIN_CATALOG_LEN, PAGE_BYTES,
    WORD_OFFSET, low16,
};
use super::record::Record;
use crate::error::{Result, StoreError};
use crate::state::StateFault;

/// Bytes gathered before they go to the medium while a checkpoint is written.
const CHECKPOINT_CHUNK: usize = 1024 * 1024;

/// Bytes of records after which a reader that follows looks whether they have been written over.
const PIECE: u64 = 1024 * 1024;

/// In which part of a half a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The state when the half was written.
    Checkpoint,
    /// The changes since.
    Log,
}

/// The catalog of a region, positioned behind its last committed record.
#[derive(Clone, Debug)]
pub(crate) struct CatalogFile {
    /// The place where the file begins on the medium.
    base: u64,
    head: Head,
    header: HalfHeader,
    /// The commit word, as it is or is to be next.
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
        let head = read_head(media, base, region, len)?;
        let word = Self::look_at(media, base)?;
        if word.committed < HALF_HEADER_LEN || word.committed > head.half_len {
            return Err(commit_word_fault(base, word, &head));
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
        let log_start = HALF_HEADER_LEN + self.header.checkpoint_len;
        let (mut epoch, mut seq) = (self.header.epoch, self.header.base_seq);
        let mut offset = HALF_HEADER_LEN;
        let mut bytes = Vec::new();
        while offset < self.word.committed {
            let place = if offset < log_start { Place::Checkpoint } else { Place::Log };
            let end = if place == Place::Checkpoint { log_start } else { self.word.committed };
            let record = self.read_record(media, offset, end, &mut bytes)?;
            let at = self.half() + offset;
            apply(place, &record).map_err(|fault| CatalogFault::State { at, seq: record.seq, fault })?;
            if place == Place::Log {
                (epoch, seq) = (record.epoch, record.seq);
            }
            offset += bytes.len() as u64;
        }
        self.check_epoch(self.word, epoch)?;
        Ok((epoch, seq))
    }

    /// Returns what the commit word says now. The medium's, not what this has been told last.
    pub(crate) fn look(&self, media: &dyn Media) -> Result<CommitWord> {
        Self::look_at(media, self.base)
    }

    /// Returns what the commit word of the catalog at `base` says now.
    pub(crate) fn look_at(media: &dyn Media, base: u64) -> Result<CommitWord> {
        let at = base + WORD_OFFSET;
        media.refresh(at, 8)?;
        Ok(CommitWord::from_bits(media.load_u64(at)?))
    }

    /// Checks that the catalog is still the same: another file system may have been made in the medium.
    pub(crate) fn check_head(&self, media: &dyn Media) -> Result<()> {
        read_head(media, self.base, self.head.region, self.head.len).map(drop)
    }

    /// True if the half that this reads is, as far as anybody has said, the live one. If not, its bytes may be being
    /// written over.
    pub(crate) fn is_live(&self, word: CommitWord) -> bool {
        word.serial == self.word.serial
    }

    /// Goes back to the beginning of the log, so that [`read_on`](Self::read_on) reads all of it.
    pub(crate) fn rewind_to_log(&mut self) {
        self.word.committed = HALF_HEADER_LEN + self.header.checkpoint_len;
    }

    /// Reads records that somebody else has committed, from where this stands towards `word`, which
    /// [`is_live`](Self::is_live): about a megabyte of them. They are there when this returns, unless the half is
    /// live no more.
    pub(crate) fn read_on(&mut self, media: &dyn Media, word: CommitWord) -> Result<Vec<Record>> {
        let from = self.word.committed;
        if word.committed < from || word.committed > self.head.half_len {
            return Err(commit_word_fault(self.base, word, &self.head));
        }
        let mut records = Vec::new();
        let (mut offset, mut bytes) = (from, Vec::new());
        media.refresh(self.half() + from, word.committed - from)?;
        while offset < word.committed && offset - from < PIECE {
            let record = self.read_record(media, offset, word.committed, &mut bytes)?;
            records.push(record);
            offset += bytes.len() as u64;
        }
        self.word.committed = offset;
        Ok(records)
    }

    /// Checks the epoch of the last record that `word` covers.
    pub(crate) fn check_epoch(&self, word: CommitWord, epoch: u64) -> Result<()> {
        if word.epoch == low16(epoch) {
            return Ok(());
        }
        let (at, found) = (self.base + WORD_OFFSET, word.epoch);
        Err(CatalogFault::WordEpoch { at, found, expected: epoch }.into())
    }

    /// The record at `offset` of the live half, which ends at `end` at the latest. `bytes` has it whole afterwards.
    fn read_record(&self, media: &dyn Media, offset: u64, end: u64, bytes: &mut Vec<u8>) -> Result<Record> {
        let at = self.half() + offset;
        let broken = |fault| CatalogFault::Record { at, fault };
        let mut first = [0; 4];
        media.read_at(at, &mut first)?;
        let len = Record::peek_len(first, end - offset).map_err(broken)?;
        bytes.resize(len, 0);
        media.read_at(at, bytes)?;
        Ok(Record::decode(bytes).map_err(broken)?)
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
        let (at, found, expected) = (self.base + WORD_OFFSET, self.look(media)?, self.word);
        if found == expected {
            return Ok(());
        }
        Err(StoreError::Fenced { at, found: found.to_bits(), expected: expected.to_bits() })
    }

    /// The commit: one aligned store.
    fn advance(&mut self, media: &dyn Media, word: CommitWord) -> Result<()> {
        media.store_u64(self.base + WORD_OFFSET, word.to_bits())?;
        media.persist(self.base + WORD_OFFSET, 8)?;
        self.word = word;
        Ok(())
    }

    /// Returns where the live half begins on the medium.
    fn half(&self) -> u64 {
        self.base + self.head.halves[usize::from(self.word.serial & 1)]
    }
}

/// The head of the catalog of `region` in `len` bytes at `base`.
fn read_head(media: &dyn Media, base: u64, region: Uuid, len: u64) -> Result<Head> {
    let mut bytes = [0; HEAD_LEN];
    media.refresh(base, HEAD_LEN as u64)?;
    media.read_at(base, &mut bytes)?;
    Ok(Head::decode(&bytes, base, region, len)?)
}

fn commit_word_fault(base: u64, word: CommitWord, head: &Head) -> StoreError {
    let (at, committed, half_len) = (base + WORD_OFFSET, word.committed, head.half_len);
    CatalogFault::CommitWord { at, word: word.to_bits(), committed, half_len }.into()
}
