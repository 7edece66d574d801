//! Frames: versions, their segments, and where the bytes lie.

use uuid::Uuid;

use crate::name::FrameName;
use crate::segments::Segments;

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

/// The extent to which the bytes of a segment were checked before its commit.
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
    /// Names the segment in its region. It is the sequence number of the record that reserved its extents, as is the
    /// generation.
    pub id: u64,
    /// Exact bytes of the file. The extents hold this, rounded up to 4096.
    pub len: u64,
    /// Grows each time bytes of a pool are given out again: a reader that knows another generation for these
    /// extents must not trust what it has cached of them.
    pub generation: u64,
    /// The place where the bytes lie, in order.
    pub extents: Vec<Extent>,
    /// Rows of all batches.
    pub rows: u64,
    /// Record batches of the file.
    pub batches: u32,
    /// The check before the commit.
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
    /// Counts the frame's versions. A number is never given twice, neither while the frame has a version nor after it was
    /// dropped and is put again: together with the name it means the same bytes for ever. A name begins with 1 as long as
    /// the region remembers the numbers of all names that were dropped, and with a higher number afterwards (`FORMAT.md`,
    /// *Numbers*).
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
    pub segments: Segments,
    /// The process that reserved and wrote what this version added.
    pub owner: Owner,
    /// The time of the commit, in microseconds since the Unix epoch, as the caller of the commit said.
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
    /// The time at which the process started, in the unit of its host's kernel; compared, never calculated with.
    pub start_time: u64,
}

/// A version to be committed: segments that one process has written, in order.
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

/// The description of the bytes that a writer has written into a reservation.
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
    /// The check that was made.
    pub validation: Validation,
    /// A digest of the file's metadata.
    pub metadata_digest: u64,
    /// Checksums, at least one for each batch, or empty: see [`Segment::checksums`].
    pub checksums: Vec<u64>,
}

/// The result of a drop.
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
