//! A segment written batch by batch, without knowing how many there will be.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_data::ArrayData;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::SchemaRef;

use crate::error::IpcError;
use crate::layout::SEGMENT_ALIGNMENT;
use crate::plan::Plan;
use crate::prepare::dictionaries;
use crate::same_schema::with_schema;
use crate::schema::check_types;

/// Bytes that a footer has for each block (the struct `Block` of Arrow's `File.fbs`).
const FOOTER_BLOCK: u64 = 24;

/// Writes one Arrow IPC file as its batches come; the footer, which says where they are, is last. The bytes are those
/// of [`write`](fn@crate::write) with the same batches.
///
/// Without [`finish`](Self::finish) there is no footer, and no reader takes what was written for a file.
pub struct SegmentWriter<W: Write> {
    schema: SchemaRef,
    file: FileWriter<Counting<W>>,
    batches: u32,
    /// Of the first batch, in the order of its columns.
    dictionaries: Option<Vec<ArrayData>>,
}

impl<W: Write> SegmentWriter<W> {
    /// Begins a file. Each buffer will go to `out` in one call of its own, straight from where it lies.
    ///
    /// # Errors
    /// [`IpcError::Type`], or [`IpcError::Write`] with what `out` reported.
    pub fn new(schema: &SchemaRef, out: W) -> Result<Self, IpcError> {
        check_types(schema)?;
        let out = Counting { out, written: 0 };
        let file =
            FileWriter::try_new_with_options(out, schema, IpcWriteOptions::default()).map_err(failed)?;
        Ok(Self { schema: Arc::clone(schema), file, batches: 0, dictionaries: None })
    }

    /// True if these batches, which share their dictionaries ([`prepare`](crate::prepare()) sees to that), may follow:
    /// a file has one dictionary for each column.
    pub fn takes(&self, batches: &[RecordBatch]) -> bool {
        let (Some(there), Some(batch)) = (&self.dictionaries, batches.first()) else { return true };
        let found = dictionaries(batch.columns());
        let equal = |(there, found): (&ArrayData, &ArrayData)| {
            there.ptr_eq(found) || (there.len() == found.len() && there == found)
        };
        there.len() == found.len() && there.iter().zip(&found).all(equal)
    }

    /// Bytes that the file has at most if these batches follow and it ends then. Takes as long as [`Plan::new`].
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn len_with(&self, batches: &[RecordBatch]) -> Result<u64, IpcError> {
        // A file of these batches alone has all that they add, and a beginning and an end once more.
        let added = Plan::new(&self.schema, batches)?.len;
        Ok(self.written() + added + u64::from(self.batches) * FOOTER_BLOCK + SEGMENT_ALIGNMENT)
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// [`IpcError::BatchSchema`], [`IpcError::TooManyBatches`], or [`IpcError::Write`] with what `out` reported, or if
    /// a column has another dictionary than before. Then the file cannot be completed.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), IpcError> {
        let index = self.batches as usize;
        let batch = with_schema(&self.schema, batch, index)?;
        self.file.write(&batch).map_err(failed)?;
        self.batches = self.batches.checked_add(1).ok_or(IpcError::TooManyBatches { batches: index })?;
        self.dictionaries.get_or_insert_with(|| dictionaries(batch.columns()));
        Ok(())
    }

    /// Batches so far.
    pub fn batches(&self) -> u32 {
        self.batches
    }

    /// Bytes so far, without the footer.
    pub fn written(&self) -> u64 {
        self.file.get_ref().written
    }

    /// Writes the footer; gives back `out`, and the length of the file in bytes.
    ///
    /// # Errors
    /// [`IpcError::Write`] with what `out` reported.
    pub fn finish(self) -> Result<(W, u64), IpcError> {
        let Counting { out, written } = self.file.into_inner().map_err(failed)?;
        Ok((out, written))
    }
}

impl<W: Write> std::fmt::Debug for SegmentWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (batches, bytes) = (self.batches, self.written());
        f.debug_struct("SegmentWriter").field("batches", &batches).field("bytes", &bytes).finish()
    }
}

fn failed(source: arrow_schema::ArrowError) -> IpcError {
    IpcError::Write { source }
}

struct Counting<W> {
    out: W,
    written: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
