//! Frames: versions, their segments, and where the bytes lie.

use std::sync::Arc;

use uuid::Uuid;

use crate::name::FrameName;

/// Bytes of a pool file that belong to one segment or reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// The pool file: `farrow/pool/NNNN`.
    pub pool: u32,
    /// First byte within the pool file, a multiple of 4096.
    pub offset: u64,
    /// Bytes, a multiple of 4096.
    pub len: u64,
}

/// How far the bytes of a segment were checked before it was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Validation {
    /// Not at all: a reader validates them itself.
    #[default]
    None,
    /// The structure of the file: metadata, blocks and buffers in bounds.
    Structure,
    /// The structure and every value: a reader may skip validation.
    Values,
}

/// Immutable bytes: one complete Arrow IPC file in one or more extents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Names the segment in its region. It is the sequence number of the record that reserved its extents.
    pub id: u64,
    /// Exact bytes of the file. The extents hold this, rounded up to 4096.
    pub len: u64,
    /// Grows each time bytes of a pool are given out again: a reader that knows another generation for these
    /// extents must not trust what it has cached of them.
    pub generation: u64,
    /// Where the bytes lie, in order.
    pub extents: Vec<Extent>,
    /// Rows of all batches.
    pub rows: u64,
    /// Record batches of the file.
    pub batches: u32,
    /// What was checked before the commit.
    pub validation: Validation,
    /// A digest of the file's metadata, as the validator computed it.
    pub metadata_digest: u64,
    /// Checksums of the file's blocks as the committer computed them: one for each record batch, then more for
    /// what else it covers; or empty.
    pub checksums: Vec<u64>,
}

/// One version of a frame: sealed, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The frame.
    pub name: FrameName,
    /// Counts the frame's versions, from 1. A number is not given twice as long as the frame has a version;
    /// once all are dropped, the frame is forgotten and a new one counts from 1: dropped names would else be
    /// kept for ever. [`Version::seq`] is never given twice and tells the two apart.
    pub number: u64,
    /// The sequence number of the commit in the region's catalog.
    pub seq: u64,
    /// A fingerprint of the schema, equal for equal schemas.
    pub schema_fingerprint: u64,
    /// Rows of all segments.
    pub rows: u64,
    /// Exact bytes of all segments.
    pub bytes: u64,
    /// The segments, in order; versions may share them.
    pub segments: Vec<Arc<Segment>>,
    /// Who reserved and wrote what this version added.
    pub owner: Owner,
    /// When it was committed, in microseconds since the Unix epoch, as the caller of the commit said.
    pub committed_at_micros: i64,
}

/// A process on a host, told apart from later ones with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The host's system UUID.
    pub host: Uuid,
    /// The user.
    pub uid: u32,
    /// The process, as its host numbers it.
    pub pid: u32,
    /// When the process started, in the unit of its host's kernel; compared, never calculated with.
    pub start_time: u64,
}

/// What is to be committed: segments that one process has written, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersion {
    /// The frame to which the version is added.
    pub name: FrameName,
    /// A fingerprint of the schema.
    pub schema_fingerprint: u64,
    /// Microseconds since the Unix epoch.
    pub committed_at_micros: i64,
    /// At least one, each in a reservation of its own, all of one owner.
    pub segments: Vec<NewSegment>,
}

/// What a writer says of the bytes it has written into a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSegment {
    /// The reservation, which ends with the commit. The segment gets its id.
    pub reservation: u64,
    /// Exact bytes written, from 1 up to the reservation's length.
    pub len: u64,
    /// Rows of all batches.
    pub rows: u64,
    /// Record batches.
    pub batches: u32,
    /// What was checked.
    pub validation: Validation,
    /// A digest of the file's metadata.
    pub metadata_digest: u64,
    /// Checksums, at least one for each batch, or empty: see [`Segment::checksums`].
    pub checksums: Vec<u64>,
}

/// What dropping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Frames that have no version left.
    pub frames: u64,
    /// Versions dropped.
    pub versions: u64,
    /// Bytes of extents that are free again.
    pub bytes_freed: u64,
    /// Bytes of extents that wait: a reader holds them, or the quarantine after the start does. Bytes that
    /// other versions share count as neither.
    pub bytes_held: u64,
}
