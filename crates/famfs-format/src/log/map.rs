//! From an offset in a file to an offset on the device.

use crate::error::EntryError;
use crate::extent::Extent;
use crate::geometry::{ALLOC_UNIT, MAX_EXTENTS};

/// The place where a file's bytes lie on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileMap {
    /// The extents hold the file one after the other. `famfs` itself writes exactly one.
    Simple(Vec<Extent>),
    /// The file is cut into chunks that go round over the strips: chunk `i` is in strip `i % n`, as that
    /// strip's chunk `i / n`.
    Interleaved {
        /// Bytes of a chunk: a power of two of at least one allocation unit.
        chunk_size: u64,
        /// The strips, in the order of the chunks.
        strips: Vec<Extent>,
    },
}

impl FileMap {
    /// Device offset of byte `file_offset`, and how many bytes from there on follow each other in one extent
    /// or one chunk, at least 1. `None` past the map's end.
    ///
    /// The map may go beyond the file's size: see [`FileEntry::resolve`](crate::FileEntry::resolve).
    pub fn resolve(&self, file_offset: u64) -> Option<(u64, u64)> {
        match self {
            Self::Simple(extents) => {
                let mut rest = file_offset;
                for extent in extents {
                    if rest < extent.len {
                        return Some((extent.offset.checked_add(rest)?, extent.len - rest));
                    }
                    rest -= extent.len;
                }
                None
            }
            Self::Interleaved { chunk_size, strips } => {
                let count = strips.len() as u64;
                let chunk = file_offset.checked_div(*chunk_size)?;
                let in_chunk = file_offset % chunk_size;
                let strip = strips.get(usize::try_from(chunk.checked_rem(count)?).ok()?)?;
                let in_strip = (chunk / count).checked_mul(*chunk_size)?.checked_add(in_chunk)?;
                let left_in_strip = strip.len.checked_sub(in_strip).filter(|&left| left > 0)?;
                Some((strip.offset.checked_add(in_strip)?, left_in_strip.min(chunk_size - in_chunk)))
            }
        }
    }

    /// The extents or strips.
    pub fn extents(&self) -> &[Extent] {
        match self {
            Self::Simple(extents) => extents,
            Self::Interleaved { strips, .. } => strips,
        }
    }

    /// Checks what can be judged without knowing the device: the counts, each extent, and that a file of `size`
    /// bytes has room.
    pub(crate) fn validate(&self, size: u64) -> Result<(), EntryError> {
        let found = self.extents().len() as u64;
        if found == 0 || found > MAX_EXTENTS as u64 {
            return Err(match self {
                Self::Simple(_) => EntryError::ExtentCount { found },
                Self::Interleaved { .. } => EntryError::StripCount { found },
            });
        }
        if let Self::Interleaved { chunk_size, .. } = self
            && (!chunk_size.is_power_of_two() || *chunk_size < ALLOC_UNIT)
        {
            return Err(EntryError::ChunkSize { found: *chunk_size });
        }
        for (i, extent) in self.extents().iter().enumerate() {
            extent.validate()?;
            if let Some(other) = self.extents()[..i].iter().find(|other| other.overlaps(extent)) {
                return Err(EntryError::OverlapsItself { extent: *extent, other: *other });
            }
        }
        match self {
            Self::Simple(extents) => {
                // Disjoint extents of one device: their sum cannot wrap around.
                let mapped = extents.iter().map(|extent| extent.len).sum();
                if size > mapped {
                    return Err(EntryError::Size { size, mapped });
                }
            }
            Self::Interleaved { chunk_size, strips } => {
                for (strip, extent) in strips.iter().enumerate() {
                    let need = strip_len(size, *chunk_size, strips.len() as u64, strip as u64);
                    if need > extent.len {
                        return Err(EntryError::StripLen { size, strip, need, len: extent.len });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Bytes that strip `strip` of `count` holds of a file of `size` bytes.
fn strip_len(size: u64, chunk_size: u64, count: u64, strip: u64) -> u64 {
    let (whole_chunks, tail) = (size / chunk_size, size % chunk_size);
    let (rounds, beyond) = (whole_chunks / count, whole_chunks % count);
    // At most `size`, so nothing wraps: each term counts bytes of the file.
    rounds * chunk_size
        + match strip.cmp(&beyond) {
            std::cmp::Ordering::Less => chunk_size,
            std::cmp::Ordering::Equal => tail,
            std::cmp::Ordering::Greater => 0,
        }
}
