//! Holds on bytes that somebody reads or writes.

use std::collections::{BTreeSet, HashMap};

use crate::frame::{Segment, Version};
use crate::state::total_len;

/// Holds of readers on segments, and the quarantine after a start.
///
/// They are not in the catalog: after a restart the agent says who still holds what, and until then the
/// quarantine holds everything.
pub(super) struct Holds {
    /// Segments that somebody holds.
    held: HashMap<u64, Held>,
    /// Bytes of segments in no version, by user.
    users: HashMap<u32, OfDropped>,
    /// Segments whose extents were given out up to this sequence number may be mapped by processes of which
    /// this store does not know.
    quarantined_up_to: u64,
    /// Segments in no version of which a hold was taken back, to be freed by whoever writes next.
    released: BTreeSet<u64>,
}

/// Holds on one segment.
#[derive(Default)]
struct Held {
    /// Users, or nobody in particular, and how often each holds it. They are few.
    by: Vec<(Option<u32>, u64)>,
    /// Once it is in no version: its bytes, and for whom it counts.
    orphan: Option<(u64, u32)>,
}

/// Bytes of extents of segments in no version, as they concern one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OfDropped {
    /// Held by the user.
    pub(super) held: u64,
    /// Held by the user, of its own.
    pub(super) own: u64,
    /// Of its own, held by others alone.
    pub(super) of_others: u64,
}

impl Holds {
    /// Nobody holds anything, and all that was given out up to `seq` is in quarantine.
    pub(super) fn new(seq: u64) -> Self {
        let (held, users) = (HashMap::new(), HashMap::new());
        Self { held, users, quarantined_up_to: seq, released: BTreeSet::new() }
    }

    pub(super) fn lift_quarantine(&mut self) {
        self.quarantined_up_to = 0;
    }

    /// True if it has not been lifted yet.
    pub(super) fn quarantine(&self) -> bool {
        self.quarantined_up_to > 0
    }

    /// True if the segment's extents must not be given out again.
    pub(super) fn keep(&self, segment: &Segment) -> bool {
        segment.generation <= self.quarantined_up_to || self.held.contains_key(&segment.id)
    }

    /// Holds of readers on a segment.
    pub(super) fn count(&self, segment: u64) -> u64 {
        self.held.get(&segment).map_or(0, |held| held.by.iter().map(|(_, count)| count).sum())
    }

    /// Dropped bytes as they concern a user.
    pub(super) fn dropped(&self, user: u32) -> OfDropped {
        self.users.get(&user).copied().unwrap_or_default()
    }

    /// A hold for a user, or for nobody in particular. The version is there.
    pub(super) fn acquire(&mut self, user: Option<u32>, version: &Version) {
        for segment in &version.segments {
            let by = &mut self.held.entry(segment.id).or_default().by;
            match by.iter_mut().find(|(of, _)| *of == user) {
                Some((_, count)) => *count += 1,
                None => by.push((user, 1)),
            }
        }
    }

    /// A segment that was published by a user is in no version any more. Can be said again.
    pub(super) fn orphan(&mut self, segment: &Segment, publisher: u32) {
        if let Some(held) = self.held.get_mut(&segment.id)
            && held.orphan.is_none()
        {
            held.orphan = Some((total_len(&segment.extents), publisher));
            held.tell(&mut self.users, |sum, len| *sum += len);
        }
    }

    /// These segments, which are in no version, are freed as soon as somebody writes, unless they are still held.
    pub(super) fn add_released(&mut self, segments: impl IntoIterator<Item = u64>) {
        self.released.extend(segments);
    }

    /// True if there are any.
    pub(super) fn any_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// All of them, each once, for the one who frees them.
    pub(super) fn take_released(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.released).into_iter().collect()
    }

    /// Takes one hold of a user back. False, and nothing changes, if there is none on one of the segments.
    pub(super) fn release(&mut self, user: Option<u32>, version: &Version) -> bool {
        let has = |held: &Held| held.by.iter().any(|(of, _)| *of == user);
        if !version.segments.iter().all(|segment| self.held.get(&segment.id).is_some_and(has)) {
            return false;
        }
        for segment in &version.segments {
            let Some(held) = self.held.get_mut(&segment.id) else { continue };
            let Some(at) = held.by.iter().position(|(of, _)| *of == user) else { continue };
            held.by[at].1 -= 1;
            if held.by[at].1 == 0 {
                held.tell(&mut self.users, |sum, len| *sum -= len);
                held.by.swap_remove(at);
                held.tell(&mut self.users, |sum, len| *sum += len);
                if held.by.is_empty() {
                    self.held.remove(&segment.id);
                }
            }
        }
        true
    }
}

impl Held {
    /// Adds its bytes, if it is in no version, to what concerns users; or takes them away again.
    fn tell(&self, users: &mut HashMap<u32, OfDropped>, change: impl Fn(&mut u64, u64)) {
        let Some((len, publisher)) = self.orphan else { return };
        let mut change = |user: u32, sum: fn(&mut OfDropped) -> &mut u64| {
            let dropped = users.entry(user).or_default();
            change(sum(dropped), len);
            if *dropped == OfDropped::default() {
                users.remove(&user);
            }
        };
        let holders = self.by.iter().filter_map(|(user, _)| *user);
        let (mut others, mut own) = (false, false);
        for user in holders {
            change(user, |dropped| &mut dropped.held);
            (others, own) = (others || publisher != user, own || publisher == user);
        }
        if own {
            change(publisher, |dropped| &mut dropped.own);
        } else if others {
            change(publisher, |dropped| &mut dropped.of_others);
        }
    }
}
