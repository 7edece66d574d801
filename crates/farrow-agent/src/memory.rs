//! The bytes of a segment where they lie: memory that may go away, and that others may write, while it is read.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use farrow_ipc::Source;
use farrow_region::ReadMapping;

use crate::error::AgentError;

/// Pages of the medium that are asked for one by one. It takes 0.3 us for each: of 1 MiB in pages of 4 KiB, half
/// as long as copying it.
const ASKED: usize = 8;

/// Bytes of a mapping that belong to one segment. A process that may write the medium can change them at any moment,
/// also those of a version that was published.
///
/// So what the agent computes with it copies first ([`Source`]). The agent survives SIGBUS too: a page that is lost
/// turns to zeros when it is read, and the copy fails.
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

    /// The bytes, in place, for code that depends on none that it does not check where it depends on it. They are to be
    /// looked at within [`read`](Self::read).
    pub(crate) fn bytes(&self) -> Result<Bytes, AgentError> {
        Ok(Bytes::from_owner(self.mapping.sealed(self.offset, self.len, ())?))
    }

    /// Fails if some of the bytes are lost already.
    ///
    /// Returns where they lie in too many pages only the last one is asked for, which a file that was cut off does not
    /// have. A poisoned page among the others is found when it is read.
    pub(crate) fn expect_all(&self) -> Result<(), AgentError> {
        let asked = if self.len / self.mapping.page_size() < ASKED { self.len } else { self.len.min(1) };
        Ok(self.mapping.check_readable(self.offset + self.len - asked, asked)?)
    }

    /// Returns what `work` makes of the bytes in place, unless some were lost by its end: then that is the error,
    /// whatever came of it. A panic of `work`, to which bytes that change may lead, is an error too.
    pub(crate) fn read<T>(&self, work: impl FnOnce() -> Result<T, AgentError>) -> Result<T, AgentError> {
        // What a panic leaves half done is not used again: the caller gives up what it was at.
        let outcome = catch_unwind(AssertUnwindSafe(work));
        self.mapping.check_intact(self.offset, self.len)?;
        outcome.unwrap_or_else(|panic| Err(AgentError::Panicked { message: message_of(panic.as_ref()) }))
    }
}

impl Source for SegmentMemory {
    fn len(&self) -> u64 {
        self.len as u64
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let position = usize::try_from(position)?;
        if position.checked_add(out.len()).is_none_or(|end| end > self.len) {
            return Err(format!("{} bytes at {position} of a segment of {}", out.len(), self.len).into());
        }
        Ok(self.mapping.read_at(self.offset + position, out)?)
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests;
