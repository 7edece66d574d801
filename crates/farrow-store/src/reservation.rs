//! Extents given to a writer that has not committed yet.

use crate::frame::{Extent, Owner};

/// Extents given to a writer that has not committed yet. They survive a restart of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Names the reservation. It is the sequence number of the record that took it, never given twice.
    pub id: u64,
    /// The writing process.
    pub owner: Owner,
    /// Bytes asked for. The extents hold this, rounded up to 4096.
    pub len: u64,
    /// The generation that the extents carry from now on.
    pub generation: u64,
    /// The place where to write, in order.
    pub extents: Vec<Extent>,
}
