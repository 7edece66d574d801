//! Who must not lose the bytes below their hands.

use std::collections::{BTreeSet, HashMap};

use crate::frame::{Segment, Version};

/// Holds of readers on segments, and the quarantine after a start.
///
/// They are not in the catalog: after a restart the agent says who still holds what, and until then the
/// quarantine holds everything.
pub(super) struct Holds {
    counts: HashMap<u64, u64>,
    /// Segments whose extents were given out up to this sequence number may be mapped by processes of which
    /// this store does not know.
    quarantined_up_to: u64,
    /// Segments in no version of which a hold was taken back, to be freed by whoever writes next.
    released: BTreeSet<u64>,
}

impl Holds {
    /// Nobody holds anything, and all that was given out up to `seq` is in quarantine.
    pub(super) fn new(seq: u64) -> Self {
        Self { counts: HashMap::new(), quarantined_up_to: seq, released: BTreeSet::new() }
    }

    pub(super) fn lift_quarantine(&mut self) {
        self.quarantined_up_to = 0;
    }

    /// Whether it has not been lifted yet.
    pub(super) fn quarantine(&self) -> bool {
        self.quarantined_up_to > 0
    }

    /// Whether the segment's extents must not be given out again.
    pub(super) fn keep(&self, segment: &Segment) -> bool {
        segment.generation <= self.quarantined_up_to || self.counts.contains_key(&segment.id)
    }

    /// Holds of readers on a segment.
    pub(super) fn count(&self, segment: u64) -> u64 {
        self.counts.get(&segment).copied().unwrap_or(0)
    }

    pub(super) fn acquire(&mut self, version: &Version) {
        for segment in &version.segments {
            *self.counts.entry(segment.id).or_default() += 1;
        }
    }

    /// These segments, which are in no version, are freed as soon as somebody writes, unless they are still held.
    pub(super) fn add_released(&mut self, segments: impl IntoIterator<Item = u64>) {
        self.released.extend(segments);
    }

    /// Whether there are any.
    pub(super) fn any_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// All of them, each once, for the one who frees them.
    pub(super) fn take_released(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.released).into_iter().collect()
    }

    /// Takes one hold back. False, and nothing changes, if there is none on one of the segments.
    pub(super) fn release(&mut self, version: &Version) -> bool {
        if !version.segments.iter().all(|segment| self.counts.contains_key(&segment.id)) {
            return false;
        }
        for segment in &version.segments {
            if let Some(count) = self.counts.get_mut(&segment.id) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&segment.id);
                }
            }
        }
        true
    }
}
