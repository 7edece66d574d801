//! Checksums of what a segment holds, taken when it is committed and compared when somebody asks.

use std::ops::{ControlFlow, Range};

use xxhash_rust::xxh3::Xxh3;

use crate::error::IpcError;
use crate::file_bytes::Source;
use crate::layout::{Layout, MessageBlock};
use crate::problem::Place;

/// Bytes that are copied and hashed between two reports of progress.
const PIECE: usize = 1 << 20;

/// The records of a segment from its commit.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// [`Layout::metadata_digest`].
    pub metadata_digest: u64,
    /// [`Layout::checksums`], or empty if none were taken.
    pub checksums: &'a [u64],
}

impl Recorded<'_> {
    /// Checks that a file is what was committed: the structure by the digest, then every block by its
    /// checksum. Somebody may write it meanwhile. `progress` is told how many bytes of blocks were done since it was told last, and whether to go on.
    ///
    /// # Errors
    /// Any of [`Layout::verify_foreign_copy`]; [`IpcError::Digest`]; [`IpcError::Checksum`] for the first block that
    /// differs, record batches before dictionary batches; [`IpcError::ChecksumCount`]; [`IpcError::Ended`].
    pub fn verify(
        &self,
        source: &(impl Source + ?Sized),
        mut progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Layout, IpcError> {
        // What is aligned otherwise has another digest.
        let layout = Layout::verify_foreign_copy(source)?;
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
            let found = digest(source, range, &mut progress)?;
            if found != expected {
                return Err(IpcError::Checksum { place, expected, found });
            }
        }
        Ok(layout)
    }
}

impl Layout {
    /// xxh3 (64 bits) of every record batch, then of every dictionary batch, each in the footer's order: of the
    /// whole block, that is of the encapsulated message and its body. Reads all of them.
    ///
    /// # Errors
    /// [`IpcError::OtherBytes`] unless the file is as long as what was verified; [`IpcError::Read`].
    pub fn checksums(&self, source: &(impl Source + ?Sized)) -> Result<Vec<u64>, IpcError> {
        if source.len() != self.file_len() {
            return Err(IpcError::OtherBytes { expected: self.file_len(), found: source.len() });
        }
        let go_on = |_| ControlFlow::Continue(());
        self.blocks().map(|(_, range)| digest(source, range, &mut { go_on })).collect()
    }

    /// In the order of the checksums: which block, and where in the file.
    fn blocks(&self) -> impl Iterator<Item = (Place, Range<usize>)> {
        let batches = self.batches().iter().enumerate().map(|(index, block)| (Place::Batch(index), block));
        let dictionaries = self.dictionaries().iter().enumerate();
        let dictionaries = dictionaries.map(|(index, block)| (Place::Dictionary(index), block));
        batches.chain(dictionaries).map(|(place, block)| (place, range(block)))
    }
}

/// Of a range of the file, from copies of its pieces.
fn digest(
    source: &(impl Source + ?Sized),
    range: Range<usize>,
    progress: &mut impl FnMut(u64) -> ControlFlow<()>,
) -> Result<u64, IpcError> {
    let mut hash = Xxh3::new();
    let mut copied = vec![0; range.len().min(PIECE)];
    for start in range.clone().step_by(PIECE) {
        let piece = &mut copied[..(range.end - start).min(PIECE)];
        let (position, len) = (start as u64, piece.len() as u64);
        source.read_at(position, piece).map_err(|source| IpcError::Read { position, len, source })?;
        hash.update(piece);
        if progress(len).is_break() {
            return Err(IpcError::Ended);
        }
    }
    Ok(hash.digest())
}

fn range(block: &MessageBlock) -> Range<usize> {
    let block = block.in_memory();
    block.position..block.body().end
}
