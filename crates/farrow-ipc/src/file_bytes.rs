//! The bytes of a file: in place, or copied piece by piece.

use std::borrow::Cow;
use std::error::Error;
use std::ops::Range;

use arrow_buffer::{Buffer, MutableBuffer};

use crate::error::IpcError;

/// The largest alignment of an Arrow value in memory (128-bit integers), in bytes.
const VALUE_ALIGNMENT: usize = 16;

/// The most bytes that are copied at a time: the body of one message.
pub(crate) const MAX_COPY: u64 = 2 << 30;

/// A file whose bytes are copied, because somebody else may write them at any time.
pub trait Source {
    /// Bytes of the file; always the same number.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes at `position` into all of `out`; both ends lie within the file.
    ///
    /// # Errors
    /// What the memory behind it says.
    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// What the structure of a file is read from. Ranges are within the file.
pub(crate) trait FileBytes {
    fn len(&self) -> usize;

    /// Some bytes, for as long as they are looked at.
    fn piece(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, IpcError>;
}

/// What batches are decoded from.
pub(crate) trait FileBodies: FileBytes {
    /// The body of a message, for as long as an array has it.
    fn body(&self, range: Range<usize>) -> Result<Buffer, IpcError>;

    /// Whether this can be the file of `file_len` bytes whose structure was read.
    fn check(&self, file_len: u64) -> Result<(), IpcError>;
}

impl FileBytes for [u8] {
    fn len(&self) -> usize {
        self.len()
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

impl FileBodies for Buffer {
    fn body(&self, range: Range<usize>) -> Result<Buffer, IpcError> {
        Ok(self.slice_with_length(range.start, range.len()))
    }

    fn check(&self, file_len: u64) -> Result<(), IpcError> {
        check_len(self, file_len)?;
        match self.as_ptr().addr() % VALUE_ALIGNMENT {
            0 => Ok(()),
            misalignment => Err(IpcError::Address { misalignment, need: VALUE_ALIGNMENT }),
        }
    }
}

/// The copies of a source. A piece that is asked for twice may differ.
pub(crate) struct Copied<'a, S>(pub(crate) &'a S);

impl<S: Source> Copied<'_, S> {
    fn copy(&self, range: &Range<usize>, out: &mut [u8]) -> Result<(), IpcError> {
        let (position, len) = (range.start as u64, range.len() as u64);
        self.0.read_at(position, out).map_err(|source| IpcError::Read { position, len, source })
    }
}

impl<S: Source> FileBytes for Copied<'_, S> {
    fn len(&self) -> usize {
        // Longer files have positions of which no footer can speak.
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    fn piece(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, IpcError> {
        let mut copy = vec![0; range.len()];
        self.copy(&range, &mut copy)?;
        Ok(Cow::Owned(copy))
    }
}

impl<S: Source> FileBodies for Copied<'_, S> {
    fn body(&self, range: Range<usize>) -> Result<Buffer, IpcError> {
        let (position, len) = (range.start as u64, range.len() as u64);
        if len > MAX_COPY {
            return Err(IpcError::TooLongToCopy { position, len });
        }
        let mut copy = MutableBuffer::from_len_zeroed(range.len());
        self.copy(&range, &mut copy)?;
        Ok(copy.into())
    }

    fn check(&self, file_len: u64) -> Result<(), IpcError> {
        check_len(self, file_len)
    }
}

fn check_len(bytes: &impl FileBytes, file_len: u64) -> Result<(), IpcError> {
    let found = bytes.len() as u64;
    if found == file_len { Ok(()) } else { Err(IpcError::OtherBytes { expected: file_len, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than a machine has, and never read.
    struct Endless;

    impl Source for Endless {
        fn len(&self) -> u64 {
            u64::MAX
        }

        fn read_at(&self, _: u64, _: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
            Err("read".into())
        }
    }

    #[test]
    fn a_body_is_copied_up_to_a_limit() {
        let source = Endless;
        let copied = Copied(&source);
        let limit = usize::try_from(MAX_COPY).unwrap();
        let error = copied.body(64..64 + limit + 1).unwrap_err();
        assert!(matches!(error, IpcError::TooLongToCopy { position: 64, .. }), "{error}");
        assert!(error.to_string().contains("write it in smaller batches"), "{error}");
        assert!(matches!(copied.body(64..128), Err(IpcError::Read { position: 64, len: 64, .. })));
    }
}
