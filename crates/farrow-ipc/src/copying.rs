//! A file that somebody may write meanwhile, read from copies.

use std::collections::HashMap;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;

use crate::decode::{self, Values};
use crate::error::IpcError;
use crate::file_bytes::{Copied, Source};
use crate::layout::Layout;

/// Batches of a file that nobody has sealed: a program with the right to write it may do so at any time.
///
/// Each message is copied, the copy is checked (structure and values) and decoded, and the arrays keep the copy.
/// Whatever happens to the file meanwhile, a batch is an error or a valid batch; it may be one that the file
/// never had as a whole. [`SegmentReader`](crate::SegmentReader) copies nothing, and is for bytes that stay as
/// they are.
#[derive(Debug)]
pub struct CopyingReader<S> {
    source: S,
    layout: Layout,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl<S: Source> CopyingReader<S> {
    /// Checks the structure of the file, and decodes its dictionaries.
    ///
    /// # Errors
    /// Any of [`Layout::verify_copy`]; [`IpcError::Values`] if a dictionary is invalid,
    /// [`IpcError::TooLongToCopy`] if it has more than 2 GiB. Never panics, whatever the bytes.
    pub fn open(source: S) -> Result<Self, IpcError> {
        let layout = Layout::verify_copy(&source)?;
        let dictionaries = decode::dictionaries(&layout, &Copied(&source), Values::Unproved)?;
        Ok(Self { source, layout, dictionaries })
    }

    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        self.layout.schema()
    }

    /// How many batches there are.
    pub fn num_batches(&self) -> usize {
        self.layout.batches().len()
    }

    /// Batch `index`, from 0, as it is now.
    ///
    /// # Errors
    /// Whatever can be wrong with its message and its values; [`IpcError::TooLongToCopy`] if it has more than
    /// 2 GiB; [`IpcError::Read`]; [`IpcError::NoBatch`].
    pub fn batch(&self, index: usize) -> Result<RecordBatch, IpcError> {
        decode::batch(&self.layout, &Copied(&self.source), &self.dictionaries, index, None, Values::Unproved)
    }
}
