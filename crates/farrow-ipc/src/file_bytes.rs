//! The bytes of a file: in place, or copied piece by piece.

use std::borrow::Cow;
use std::error::Error;
use std::ops::Range;

use arrow_buffer::Buffer;

use crate::error::IpcError;

/// A file whose bytes are copied, because somebody else may write them at any time.
pub trait Source {
    /// Bytes of the file; always the same number.
    fn len(&self) -> u64;

    /// True if there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes at `position` into all of `out`; both ends lie within the file.
    ///
    /// # Errors
    /// The error of the memory behind it.
    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>>;
}

impl<S: Source + ?Sized> Source for &S {
    fn len(&self) -> u64 {
        S::len(self)
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        S::read_at(self, position, out)
    }
}

impl Source for [u8] {
    fn len(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let there = usize::try_from(position).ok().and_then(|start| self.get(start..)?.get(..out.len()));
        out.copy_from_slice(there.ok_or("past the end")?);
        Ok(())
    }
}

/// Bytes from which the structure of a file is read. Ranges are within the file.
pub(crate) trait FileBytes {
    fn len(&self) -> usize;

    /// Some bytes, for as long as they are looked at.
    fn piece(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, IpcError>;
}

impl FileBytes for [u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn piece(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, IpcError> {
        Ok(Cow::Borrowed(&self[range]))
    }
}

impl FileBytes for Buffer {
    fn len(&self) -> usize {
        self.len()
    }

    fn piece(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, IpcError> {
        self.as_slice().piece(range)
    }
}

/// The metadata of bytes that somebody may write meanwhile: copied before it is read.
pub(crate) struct Unsealed<'a>(pub(crate) &'a Buffer);

impl FileBytes for Unsealed<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn piece(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, IpcError> {
        Ok(Cow::Owned(self.0[range].to_vec()))
    }
}

/// The copies of a source. A piece that is asked for twice may differ.
pub(crate) struct Copied<'a, S: ?Sized>(pub(crate) &'a S);

impl<S: Source + ?Sized> FileBytes for Copied<'_, S> {
    fn len(&self) -> usize {
        // Longer files have positions of which no footer can speak.
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    fn piece(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, IpcError> {
        let (position, len) = (range.start as u64, range.len() as u64);
        let mut copy = vec![0; range.len()];
        self.0.read_at(position, &mut copy).map_err(|source| IpcError::Read { position, len, source })?;
        Ok(Cow::Owned(copy))
    }
}
