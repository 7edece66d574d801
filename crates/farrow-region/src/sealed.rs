//! Bytes that nobody writes any more.
#![expect(unsafe_code, reason = "a slice of mapped memory")]

use std::fmt;
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use crate::read::ReadMapping;

/// Bytes of a published version, in place: see [`ReadMapping::sealed`].
///
/// They live as long as this value, and so does the holder (a lease) they were made with. It suits
/// owner-keeping buffers (`Bytes::from_owner`): when the last array over the bytes is gone, so are this
/// value's reference to the mapping and then the holder, in that order: a lease ends after the bytes can
/// no longer be reached through it.
pub struct SealedBytes {
    // Fields are dropped in the order of their declaration.
    mapping: Arc<ReadMapping>,
    _holder: Box<dyn Send + Sync>,
    range: Range<usize>,
}

impl SealedBytes {
    /// `range` must be within the mapping.
    pub(crate) fn new(mapping: Arc<ReadMapping>, range: Range<usize>, holder: Box<dyn Send + Sync>) -> Self {
        assert!(
            range.start <= range.end && range.end <= mapping.len(),
            "sealed bytes lie within their mapping"
        );
        Self { mapping, _holder: holder, range }
    }
}

impl SealedBytes {
    /// The mapping that they lie in.
    pub fn mapping(&self) -> &Arc<ReadMapping> {
        &self.mapping
    }
}

impl AsRef<[u8]> for SealedBytes {
    fn as_ref(&self) -> &[u8] {
        let mapping = self.mapping.mapping();
        // SAFETY: `new` has checked that the range is within the mapping's `len` bytes, so that the
        // result is within its reservation.
        let start = unsafe { mapping.start().byte_add(self.range.start) };
        // SAFETY:
        // - Readable: `StitchedMapping::new` has mapped the mapping's `len` bytes with PROT_READ, one
        //   contiguous reservation of at most isize::MAX bytes, all within the file when it was mapped.
        //   Where a page goes away later (a file that shrinks, poison), an access ends the process, or,
        //   in one that survives it, finds zeros. `start` is not null, and bytes need no alignment.
        // - Alive: munmap is called when the last Arc of the mapping is dropped; `self` has one, and the
        //   slice borrows `self`. A forked child has the same pages at the same addresses, or no access to any of
        //   them: `ReadMapping::is_here` tells, and who does not ask is ended by the first access.
        // - Initialized: pages of a file always are, and every byte is a valid u8.
        // - Not mutated while the slice lives: the mapping is not writable and no other view of it leads
        //   to a write (`ReadMapping` stores nothing). Writes through other mappings, here or on another
        //   host, are what the obligation of `ReadMapping::sealed` excludes: the bytes are published,
        //   published bytes are never changed in place, and their extents are not reused before `holder`,
        //   which `self` keeps, is gone. The zeros in the place of a lost page are a mutation all the same:
        //   they come only where `survive_bus_errors` was called, and whoever called it took on the
        //   obligation that is written there.
        unsafe { slice::from_raw_parts(start.as_ptr(), self.range.len()) }
    }
}

impl fmt::Debug for SealedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedBytes")
            .field("addr", &format_args!("{:#x}", self.mapping.addr() + self.range.start))
            .field("len", &self.range.len())
            .finish_non_exhaustive()
    }
}
