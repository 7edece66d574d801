//! A frame as an application has it.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use farrow_ipc::SegmentReader;

use crate::error::ClientError;

/// One version of a frame: mapped, or, where that was not possible, streamed into this process's memory. What a frame
/// that is a file of another program may do while it is mapped, the crate's page says.
#[derive(Debug)]
pub struct Frame {
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) schema: SchemaRef,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) source: Source,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// Readers over the shared memory itself, in row order; each keeps the lease. With the address and length of
    /// each segment's bytes in the process of that number.
    Mapped { readers: Vec<SegmentReader>, mappings: Vec<(usize, usize)>, process: u32 },
    /// Private copies, and why the frame is not mapped.
    Streamed { batches: Vec<RecordBatch>, why: String },
}

impl Frame {
    /// The frame's name, without version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version's number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The schema of all batches.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Rows of all batches.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of the version's Arrow IPC files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the batches' buffers lie in the shared memory.
    pub fn zero_copy(&self) -> bool {
        matches!(self.source, Source::Mapped { .. })
    }

    /// Why the frame is not mapped, if it is not.
    pub fn why(&self) -> Option<&str> {
        match &self.source {
            Source::Mapped { .. } => None,
            Source::Streamed { why, .. } => Some(why),
        }
    }

    /// Where this process has the frame's segments mapped: address and length in bytes of each. Empty if streamed.
    pub fn mappings(&self) -> &[(usize, usize)] {
        match &self.source {
            Source::Mapped { mappings, .. } => mappings,
            Source::Streamed { .. } => &[],
        }
    }

    /// Record batches.
    pub fn num_batches(&self) -> usize {
        match &self.source {
            Source::Mapped { readers, .. } => readers.iter().map(SegmentReader::num_batches).sum(),
            Source::Streamed { batches, .. } => batches.len(),
        }
    }

    /// Batch `index`, decoded now. Its arrays keep the lease, and so may outlive the frame.
    ///
    /// # Errors
    /// [`ClientError::Ipc`]; [`ClientError::ForkedFrame`] in a forked child, which does not inherit what is mapped.
    ///
    /// # Panics
    /// If there is no such batch, as indexing a slice does.
    pub fn batch(&self, index: usize) -> Result<RecordBatch, ClientError> {
        match &self.source {
            Source::Streamed { batches, .. } => Ok(batches[index].clone()),
            Source::Mapped { process, .. } if *process != std::process::id() => {
                Err(ClientError::ForkedFrame { parent: *process, child: std::process::id() })
            }
            Source::Mapped { readers, .. } => {
                let mut within = index;
                for reader in readers {
                    if within < reader.num_batches() {
                        return Ok(reader.batch(within)?);
                    }
                    within -= reader.num_batches();
                }
                panic!("batch {index} of a frame with {}", self.num_batches())
            }
        }
    }

    /// All batches in row order, each decoded when it is asked for.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = Result<RecordBatch, ClientError>> + '_ {
        (0..self.num_batches()).map(|index| self.batch(index))
    }
}
