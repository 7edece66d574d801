//! The bytes of a segment where they lie: memory that may go away while it is read.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use farrow_ipc::{Layout, SegmentReader, Trust};
use farrow_region::ReadMapping;

use crate::error::AgentError;

/// Bytes at the end of a segment that are asked for before its footer is read. A longer footer is read too;
/// what is lost of it shows afterwards.
const FOOTER: usize = 4 << 10;

/// Pages of the medium that are asked for one by one. It takes 0.3 us for each: of 1 MiB in pages of 4 KiB, half
/// as long as copying it.
const ASKED: usize = 8;

/// Bytes of a mapping that belong to one segment.
///
/// The agent survives SIGBUS: a page that is lost turns to zeros when it is read. So what is about to be read is
/// asked for first ([`expect`](Self::expect)), and what was made of it is believed only if nothing was lost
/// until then ([`read`](Self::read)).
///
/// Zeros under Arrow's hands, meanwhile, do no more than make it panic: it cuts bytes by the offsets it has read with
/// bounds checks, and what it follows unchecked (the views and indices that [`farrow_ipc::slices`] copies by) it reads
/// once, where 0 is a valid one.
pub(crate) struct SegmentMemory {
    mapping: Arc<ReadMapping>,
    offset: usize,
    len: usize,
}

impl SegmentMemory {
    /// `len` bytes at `offset`.
    pub(crate) fn new(mapping: Arc<ReadMapping>, offset: usize, len: usize) -> Self {
        Self { mapping, offset, len }
    }

    /// The bytes, in place. They are to be looked at within [`read`](Self::read).
    pub(crate) fn bytes(&self) -> Result<Bytes, AgentError> {
        Ok(Bytes::from_owner(self.mapping.sealed(self.offset, self.len, ())?))
    }

    /// Fails if some of the `len` bytes at `offset` are lost already.
    ///
    /// Where they lie in too many pages only the last one is asked for, which a file that was cut off does not
    /// have. A poisoned page among the others is found when it is read.
    pub(crate) fn expect(&self, offset: usize, len: usize) -> Result<(), AgentError> {
        let offset = offset.min(self.len);
        let len = len.min(self.len - offset);
        let asked = if len / self.mapping.page_size() < ASKED { len } else { len.min(1) };
        Ok(self.mapping.check_readable(self.offset + offset + len - asked, asked)?)
    }

    /// As [`expect`](Self::expect), of where the footer lies.
    pub(crate) fn expect_footer(&self) -> Result<(), AgentError> {
        self.expect(self.len.saturating_sub(FOOTER), FOOTER)
    }

    /// As [`expect`](Self::expect), of everything.
    pub(crate) fn expect_all(&self) -> Result<(), AgentError> {
        self.expect(0, self.len)
    }

    /// What `work` makes of the bytes, unless some were lost by its end: then that is the error, whatever came
    /// of it. A panic of `work`, to which bytes that change may lead, is an error too.
    pub(crate) fn read<T>(&self, work: impl FnOnce() -> Result<T, AgentError>) -> Result<T, AgentError> {
        // What a panic leaves half done is not used again: the caller gives up what it was at.
        let outcome = catch_unwind(AssertUnwindSafe(work));
        self.mapping.check_intact(self.offset, self.len)?;
        outcome.unwrap_or_else(|panic| Err(AgentError::Panicked { message: message_of(panic.as_ref()) }))
    }
}

/// A segment opened to be read by the agent itself.
pub(crate) struct OpenSegment {
    reader: SegmentReader,
    memory: SegmentMemory,
}

impl OpenSegment {
    /// Checks the structure and decodes the dictionaries.
    pub(crate) fn open(memory: SegmentMemory, trust: Trust) -> Result<Self, AgentError> {
        memory.expect_footer()?;
        let bytes = memory.bytes()?;
        let reader = memory.read(|| Ok(SegmentReader::open(bytes, trust)?))?;
        Ok(Self { reader, memory })
    }

    /// The schema of every batch.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.reader.schema()
    }

    /// Where everything lies.
    pub(crate) fn layout(&self) -> &Layout {
        self.reader.layout()
    }

    /// Batch `index`, in place: to be looked at within [`read`](Self::read).
    pub(crate) fn batch(&self, index: usize) -> Result<RecordBatch, AgentError> {
        let layout = self.layout();
        // The first batch is sent behind the dictionaries.
        let dictionaries = if index == 0 { layout.dictionaries() } else { &[] };
        for block in dictionaries.iter().chain(layout.batches().get(index)) {
            let len = block.metadata_len.saturating_add(block.body_len);
            let in_memory = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            self.memory.expect(in_memory(block.position), in_memory(len))?;
        }
        self.read(|| Ok(self.reader.batch(index)?))
    }

    /// As [`SegmentMemory::read`].
    pub(crate) fn read<T>(&self, work: impl FnOnce() -> Result<T, AgentError>) -> Result<T, AgentError> {
        self.memory.read(work)
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests;
