//! Checksums of what a segment holds, taken when it is committed and compared when somebody asks.

use std::ops::{ControlFlow, Range};

use xxhash_rust::xxh3::Xxh3;

use crate::error::IpcError;
use crate::layout::{Layout, MessageBlock};
use crate::problem::Place;

/// Bytes hashed between two reports of progress.
const PIECE: usize = 16 << 20;

/// What was recorded of a segment at its commit.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// [`Layout::metadata_digest`].
    pub metadata_digest: u64,
    /// [`Layout::checksums`], or empty if none were taken.
    pub checksums: &'a [u64],
}

impl Recorded<'_> {
    /// Checks that `bytes` are what was committed: the structure by the digest, then every block by its
    /// checksum. `progress` is told how many bytes of blocks were done since it was told last, and whether to go on.
    ///
    /// # Errors
    /// Any of [`Layout::verify_foreign`]; [`IpcError::Digest`]; [`IpcError::Checksum`] for the first block that
    /// differs, record batches before dictionary batches; [`IpcError::ChecksumCount`]; [`IpcError::Ended`].
    pub fn verify(
        &self,
        bytes: &[u8],
        mut progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Layout, IpcError> {
        // What is aligned otherwise has another digest.
        let layout = Layout::verify_foreign(bytes)?;
        let found = layout.metadata_digest();
        if found != self.metadata_digest {
            return Err(IpcError::Digest { expected: self.metadata_digest, found });
        }
        if self.checksums.is_empty() {
            return Ok(layout);
        }
        let blocks = layout.batches().len() + layout.dictionaries().len();
        if self.checksums.len() != blocks {
            return Err(IpcError::ChecksumCount { expected: blocks, found: self.checksums.len() });
        }
        for ((place, range), &expected) in layout.blocks().zip(self.checksums) {
            let mut hash = Xxh3::new();
            for piece in bytes[range].chunks(PIECE) {
                hash.update(piece);
                if progress(piece.len() as u64).is_break() {
                    return Err(IpcError::Ended);
                }
            }
            let found = hash.digest();
            if found != expected {
                return Err(IpcError::Checksum { place, expected, found });
            }
        }
        Ok(layout)
    }
}

impl Layout {
    /// xxh3 (64 bits) of every record batch, then of every dictionary batch, each in the footer's order: of the
    /// whole block, that is of the encapsulated message and its body. Reads all of them, about 20 GB/s.
    ///
    /// # Errors
    /// [`IpcError::OtherBytes`] unless `bytes` are as long as what was verified.
    pub fn checksums(&self, bytes: &[u8]) -> Result<Vec<u64>, IpcError> {
        if bytes.len() as u64 != self.file_len() {
            return Err(IpcError::OtherBytes { expected: self.file_len(), found: bytes.len() as u64 });
        }
        Ok(self.blocks().map(|(_, range)| xxhash_rust::xxh3::xxh3_64(&bytes[range])).collect())
    }

    /// In the order of the checksums: which block, and where in the file.
    fn blocks(&self) -> impl Iterator<Item = (Place, Range<usize>)> {
        let batches = self.batches().iter().enumerate().map(|(index, block)| (Place::Batch(index), block));
        let dictionaries = self.dictionaries().iter().enumerate();
        let dictionaries = dictionaries.map(|(index, block)| (Place::Dictionary(index), block));
        batches.chain(dictionaries).map(|(place, block)| (place, range(block)))
    }
}

fn range(block: &MessageBlock) -> Range<usize> {
    let block = block.in_memory();
    block.position..block.body().end
}
