//! A segment opened for reading.

use std::collections::HashMap;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_schema::{Schema, SchemaRef};

use crate::decode::{self, Values};
use crate::error::IpcError;
use crate::layout::Layout;

/// The caller's knowledge of the values in a segment. Its structure is checked in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing. Each batch is validated when it is decoded, which reads all of it. Right for files that other
    /// programs wrote, and for segments committed without validation.
    Untrusted,
    /// These very bytes passed [`Layout::validate_values`], and nobody has written to them since. Decoding
    /// reads metadata only, and takes as long for a terabyte as for a byte.
    ///
    /// The caller answers for it, as it answers for the mapping behind the bytes: invalid values used later
    /// (offsets out of bounds, strings that are not UTF-8) are undefined behaviour. Say so only of a committed
    /// version whose descriptor gives full validation, under its lease; compare
    /// [`Layout::metadata_digest`] with the descriptor's to be sure that these are the bytes it means.
    Validated,
}

impl From<Trust> for Values {
    fn from(trust: Trust) -> Self {
        match trust {
            Trust::Untrusted => Self::Unproved,
            Trust::Validated => Self::Validated,
        }
    }
}

/// A segment whose batches are decoded in place, one at a time, as they are asked for.
///
/// Every buffer of every array points into the bytes given to [`SegmentReader::open`] and keeps their owner
/// alive; the reader itself may be dropped. (A file that another program wrote with less than 16-byte
/// alignment is the exception: columns of 16-byte values that are off their boundary are copied.) Batches can
/// be decoded from several threads at once.
#[derive(Debug)]
pub struct SegmentReader {
    bytes: Buffer,
    layout: Layout,
    dictionaries: HashMap<i64, ArrayRef>,
    trust: Trust,
}

impl SegmentReader {
    /// Checks the structure of `bytes`, one whole file, and decodes its dictionaries.
    ///
    /// Takes time in proportion to the metadata: about 0.3 us for each column of the schema and 50 ns for each
    /// column of each batch.
    ///
    /// # Errors
    /// Any of [`Layout::verify_foreign`]; [`IpcError::Address`] if the bytes do not begin on a 16-byte
    /// boundary of memory; [`IpcError::Values`] if a dictionary is invalid. Never panics, whatever the bytes.
    pub fn open(bytes: impl Into<Buffer>, trust: Trust) -> Result<Self, IpcError> {
        let bytes = bytes.into();
        let layout = Layout::verify_foreign(&bytes)?;
        let dictionaries = decode::dictionaries(&layout, &bytes, trust.into())?;
        Ok(Self { bytes, layout, dictionaries, trust })
    }

    /// The same, its schema with the metadata of `schema`, for a segment of a version: see
    /// [`schema_of_segments`](crate::schema_of_segments).
    pub fn with_metadata_of(self, schema: &Schema) -> Self {
        let layout = self.layout.with_metadata_of(schema);
        Self { layout, ..self }
    }

    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        self.layout.schema()
    }

    /// The number of batches.
    pub fn num_batches(&self) -> usize {
        self.layout.batches().len()
    }

    /// Rows of all batches.
    pub fn rows(&self) -> u64 {
        self.layout.rows()
    }

    /// Returns where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The whole file.
    pub fn bytes(&self) -> &Buffer {
        &self.bytes
    }

    /// Batch `index`, from 0.
    ///
    /// # Errors
    /// [`IpcError::NoBatch`]; [`IpcError::Values`] if its values are invalid and trust is
    /// [`Trust::Untrusted`].
    pub fn batch(&self, index: usize) -> Result<RecordBatch, IpcError> {
        self.decode(index, None)
    }

    /// Some columns of batch `index`, in the order given; the others are neither decoded nor validated. No
    /// column at all gives a batch of rows without columns.
    ///
    /// # Errors
    /// As [`SegmentReader::batch`], and [`IpcError::NoColumn`].
    pub fn batch_columns(&self, index: usize, columns: &[usize]) -> Result<RecordBatch, IpcError> {
        self.decode(index, Some(columns))
    }

    /// All batches in order.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = Result<RecordBatch, IpcError>> + '_ {
        (0..self.num_batches()).map(|index| self.batch(index))
    }

    fn decode(&self, index: usize, columns: Option<&[usize]>) -> Result<RecordBatch, IpcError> {
        decode::batch(&self.layout, &self.bytes, &self.dictionaries, index, columns, self.trust.into())
    }
}
