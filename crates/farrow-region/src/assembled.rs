//! A medium assembled from parts of files.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use crate::media::{Media, aligned, within};
use crate::{FileMedia, FileRange, PageUse, RegionError};

/// A range of a file, and where in the assembled medium it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePart {
    /// The first byte's offset in the assembled medium.
    pub at: u64,
    /// The bytes in the file.
    pub range: FileRange,
}

/// Ranges of one address space, each backed by a range of a [`FileMedia`].
///
/// For memory that can be reached only as files, while what lies in it is known by its offsets on the device: a
/// mounted famfs. An access may cross from one part to the next where there is no gap between them. Where no part
/// is, nothing can be read or written ([`NoPart`](RegionError::NoPart)), and an access that reaches there does
/// nothing at all. Each part has the access and the coherency that its file was opened with.
#[derive(Debug)]
pub struct AssembledMedia {
    name: String,
    len: u64,
    files: Vec<FileMedia>,
    /// In the order of their offsets; they do not overlap.
    parts: Vec<Part>,
    /// Only kept open, and closed after the files.
    _lock: Option<File>,
}

#[derive(Debug)]
struct Part {
    at: u64,
    len: u64,
    file: usize,
    offset: u64,
}

/// The part of an access that touches one file.
struct Piece<'a> {
    file: &'a FileMedia,
    offset: u64,
    /// The bytes, counted from the beginning of the access.
    bytes: Range<u64>,
}

impl AssembledMedia {
    /// A medium of `len` bytes without a part, called `name` in messages.
    pub fn new(name: String, len: u64) -> Self {
        Self { name, len, files: Vec::new(), parts: Vec::new(), _lock: None }
    }

    /// Adds parts of a file.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](RegionError::OutOfBounds) for a part that is not within the file or within the medium,
    /// [`Unaligned`](RegionError::Unaligned) for one that does not begin on multiples of 8,
    /// [`PartsOverlap`](RegionError::PartsOverlap). The medium is gone then.
    pub fn with(
        mut self,
        file: FileMedia,
        parts: impl IntoIterator<Item = FilePart>,
    ) -> Result<Self, RegionError> {
        for FilePart { at, range: FileRange { offset, len } } in parts {
            within(|| self.name.clone(), at, len, self.len)?;
            within(|| file.describe(), offset, len, file.len())?;
            aligned(|| self.name.clone(), at)?;
            aligned(|| file.describe(), offset)?;
            self.parts.push(Part { at, len, file: self.files.len(), offset });
        }
        self.files.push(file);
        self.parts.sort_unstable_by_key(|part| part.at);
        for (part, next) in self.parts.iter().zip(self.parts.iter().skip(1)) {
            // Every part ends within the medium.
            if part.at + part.len > next.at {
                return Err(RegionError::PartsOverlap { what: self.name, offset: next.at });
            }
        }
        Ok(self)
    }

    /// The file that was opened by this path, if it is one of the medium's.
    pub fn file(&self, path: &Path) -> Option<&FileMedia> {
        self.files.iter().find(|file| file.path() == path)
    }

    /// Keeps a locked file open, and with it its lock, for as long as the medium lives.
    #[must_use]
    pub fn with_lock(self, lock: File) -> Self {
        Self { _lock: Some(lock), ..self }
    }

    /// Checks whether every file still has all the bytes it had when it was opened: see [`FileMedia::check_len`].
    ///
    /// # Errors
    ///
    /// As [`FileMedia::check_len`], for the first file that has not.
    pub fn check_len(&self) -> Result<(), RegionError> {
        self.files.iter().try_for_each(FileMedia::check_len)
    }

    /// By which pages the files are mapped, all together: see [`FileMedia::page_use`].
    ///
    /// # Errors
    ///
    /// As [`FileMedia::page_use`].
    pub fn page_use(&self) -> Result<PageUse, RegionError> {
        let mut sum = PageUse::default();
        for file in &self.files {
            let PageUse { mapped, resident, huge, direct } = file.page_use()?;
            sum.mapped += mapped;
            sum.resident += resident;
            sum.huge += huge;
            sum.direct += direct;
        }
        Ok(sum)
    }

    /// Checks whether nothing was lost of `len` bytes at `offset`: see [`FileMedia::check_intact`]. Gaps hold nothing.
    ///
    /// # Errors
    ///
    /// As [`FileMedia::check_intact`], for the first part that has lost something, with the file's offset;
    /// [`OutOfBounds`](RegionError::OutOfBounds).
    pub fn check_intact(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        within(|| self.describe(), offset, len, self.len)?;
        let end = offset + len;
        for part in &self.parts {
            let (from, to) = (part.at.max(offset), end.min(part.at + part.len));
            if let Some(file) = self.files.get(part.file)
                && from < to
            {
                file.check_intact(part.offset + (from - part.at), to - from)?;
            }
        }
        Ok(())
    }

    /// Returns what `len` bytes at `offset` are in the files, in order and without a gap.
    fn pieces(&self, offset: u64, len: u64) -> Result<Vec<Piece<'_>>, RegionError> {
        within(|| self.describe(), offset, len, self.len)?;
        let first = self.parts.partition_point(|part| part.at + part.len <= offset);
        let mut parts = self.parts.iter().skip(first);
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < len {
            let at = offset + done;
            let here = parts.next().filter(|part| part.at <= at);
            let Some((part, file)) = here.and_then(|part| Some((part, self.files.get(part.file)?))) else {
                return Err(RegionError::NoPart { what: self.describe(), offset, len, at });
            };
            let skip = at - part.at;
            let end = len.min(done + (part.len - skip));
            pieces.push(Piece { file, offset: part.offset + skip, bytes: done..end });
            done = end;
        }
        Ok(pieces)
    }

    /// The one piece that a word is, since parts begin on words.
    fn word(&self, offset: u64) -> Result<Piece<'_>, RegionError> {
        aligned(|| self.describe(), offset)?;
        let no_part = || RegionError::NoPart { what: self.describe(), offset, len: 8, at: offset };
        // A part that ends within the word has not all of it.
        self.pieces(offset, 8)?.into_iter().next().filter(|piece| piece.bytes.end == 8).ok_or_else(no_part)
    }
}

impl Piece<'_> {
    fn len(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    /// Returns where its bytes are in the caller's slice, which is as long as the access.
    fn indices(&self) -> Range<usize> {
        // Ends of a slice that is there are within usize.
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        index(self.bytes.start)..index(self.bytes.end)
    }
}

impl Media for AssembledMedia {
    fn len(&self) -> u64 {
        self.len
    }

    /// The largest of the files'.
    fn unit(&self) -> u64 {
        self.files.iter().map(FileMedia::unit).max().unwrap_or(4096)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError> {
        for piece in self.pieces(offset, out.len() as u64)? {
            piece.file.read_at(piece.offset, &mut out[piece.indices()])?;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        let pieces = self.pieces(offset, data.len() as u64)?;
        pieces.iter().try_for_each(|piece| piece.file.check_writable())?;
        for piece in pieces {
            piece.file.write_at(piece.offset, &data[piece.indices()])?;
        }
        Ok(())
    }

    fn load_u64(&self, offset: u64) -> Result<u64, RegionError> {
        let piece = self.word(offset)?;
        piece.file.load_u64(piece.offset)
    }

    fn store_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        let piece = self.word(offset)?;
        piece.file.store_u64(piece.offset, value)
    }

    fn persist(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        self.pieces(offset, len)?.iter().try_for_each(|piece| piece.file.persist(piece.offset, piece.len()))
    }

    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        self.pieces(offset, len)?.iter().try_for_each(|piece| piece.file.refresh(piece.offset, piece.len()))
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

#[cfg(test)]
mod tests;
