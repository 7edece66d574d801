//! The reasons why a record cannot follow the ones before it.

use thiserror::Error;

use crate::frame::Extent;
use crate::name::FrameName;
use crate::prefix::Prefix;
use crate::retention::RetentionTarget;

/// The reasons why a record cannot follow the ones before it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateFault {
    /// The sequence numbers have a gap.
    #[error("sequence number {found}, expected {expected}")]
    Seq {
        /// The record's.
        found: u64,
        /// In a log exactly this, in a checkpoint from 1 up to this.
        expected: u64,
    },
    /// The record was written by another master than the one that had started.
    #[error("epoch {found} while epoch {current} is current")]
    Epoch {
        /// The record's.
        found: u64,
        /// Of the records before it.
        current: u64,
    },
    /// A record in a part of the half where its type or form does not belong.
    #[error("a record of this kind does not belong into this part of the catalog")]
    Misplaced,
    /// A version, or a frame's highest number, that does not follow the last number.
    #[error("version `{name}@{number}` does not follow @{highest}")]
    Number {
        /// The frame.
        name: FrameName,
        /// The version's number.
        number: u64,
        /// The highest that the frame has given.
        highest: u64,
    },
    /// A version that is not there is dropped.
    #[error("`{name}` has no version {number:?} to drop")]
    NoVersion {
        /// The frame.
        name: FrameName,
        /// The version, or all.
        number: Option<u64>,
    },
    /// A retention that is not there is removed.
    #[error("no retention of {target} to remove")]
    NoRetention {
        /// For which frames.
        target: RetentionTarget,
    },
    /// The retention of a frame that is not there is set, by a record that needs one.
    #[error("no frame `{name}` to keep versions of")]
    NoFrame {
        /// The frame.
        name: FrameName,
    },
    /// No version is among those that are dropped.
    #[error("no version to drop in the frames of prefix `{prefix}`")]
    NothingMeant {
        /// The frames.
        prefix: Prefix,
    },
    /// A version has the segments of the one before it, and there is none.
    #[error("version `{name}@{number}` extends a version that is not there")]
    NoBase {
        /// The frame.
        name: FrameName,
        /// The version's number.
        number: u64,
    },
    /// A segment's extents are freed while a version has it, or it is not there.
    #[error("segment {id} does not wait to be freed")]
    NotWaiting {
        /// The segment.
        id: u64,
    },
    /// A reservation that is not there is committed or ended.
    #[error("no reservation {id}")]
    NoReservation {
        /// The reservation.
        id: u64,
    },
    /// A segment or reservation that is there already.
    #[error("segment or reservation {id} twice")]
    Twice {
        /// Its number.
        id: u64,
    },
    /// A committed segment has other extents, generation or owner than its reservation.
    #[error("the segment is not what reservation {id} gave")]
    NotAsReserved {
        /// The reservation.
        id: u64,
    },
    /// An extent that something else owns, or that lies outside the pools.
    #[error("extent {:#x}+{:#x} of pool {} is not free", extent.offset, extent.len, extent.pool)]
    NotFree {
        /// The extent.
        extent: Extent,
    },
    /// Rows or bytes of a version do not fit 64 bits.
    #[error("the rows or bytes of the version do not fit 64 bits")]
    Overflow,
}
