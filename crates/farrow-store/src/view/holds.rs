//! Holds on bytes that somebody reads or writes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{View, find};
use crate::error::{Result, StoreError};
use crate::frame::{Segment, Version};
use crate::name::{FrameName, FrameRef};
use crate::state::total_len;

impl View {
    /// A version of a frame, its bytes held until [`release`](crate::Store::release). Holds count: each needs its own
    /// release. They end with this store; after a restart everything is in quarantine instead.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn acquire(&self, name: &FrameName, version: Option<u64>) -> Result<Arc<Version>> {
        self.acquire_as(None, name, version)
    }

    /// As [`acquire`](Self::acquire), for a user, if there is one: what is dropped while it is held counts for the user
    /// (see [`Charge`](crate::Charge)).
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn acquire_as(
        &self,
        user: Option<u32>,
        name: &FrameName,
        version: Option<u64>,
    ) -> Result<Arc<Version>> {
        // Until the hold is counted nobody can drop the version.
        let state = self.state.state()?;
        let version = find(&state, name, version)?;
        self.holds().acquire(user, &version);
        Ok(version)
    }

    /// As [`acquire_as`](Self::acquire_as), of several frames as of one moment; and the sequence number of the last
    /// change before it.
    ///
    /// # Errors
    /// [`StoreError::Stopped`]; of each frame those of [`get`](Self::get).
    pub fn acquire_all(
        &self,
        user: Option<u32>,
        frames: &[FrameRef],
    ) -> Result<(Vec<Result<Arc<Version>>>, u64)> {
        let state = self.state.state()?;
        let found: Vec<_> = frames.iter().map(|frame| find(&state, &frame.name, frame.version)).collect();
        let mut holds = self.holds();
        found.iter().flatten().for_each(|version| holds.acquire(user, version));
        Ok((found, state.seq()))
    }

    /// Refuses a user who holds more of dropped versions than `most`, whoever published them: each hold that is let go
    /// frees some.
    ///
    /// # Errors
    /// [`StoreError::HoldsDropped`].
    pub fn check_holds(&self, uid: u32, most: u64) -> Result<()> {
        let held = self.holds().dropped(uid).held;
        if held > most { Err(StoreError::HoldsDropped { uid, held, limit: most }) } else { Ok(()) }
    }

    /// Takes back one hold of a user. Of segments that are in no version any more it is noted that they may be
    /// free.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] if it was not acquired so; [`StoreError::Stopped`].
    pub(crate) fn let_go(&self, user: Option<u32>, version: &Version) -> Result<()> {
        let state = self.state.state()?;
        let mut holds = self.holds();
        if !holds.release(user, version) {
            return Err(StoreError::NotHeld { name: version.name.clone(), version: version.number });
        }
        // Most often there is none, and nothing to write.
        let waiting = version.segments.iter().map(|segment| segment.id);
        holds.add_released(waiting.filter(|id| state.orphans().contains_key(id)));
        Ok(())
    }
}

/// Holds of readers on segments, and the quarantine after a start.
///
/// They are not in the catalog: after a restart the agent says who still holds what, and until then the
/// quarantine holds everything.
pub(crate) struct Holds {
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
pub(crate) struct OfDropped {
    /// Held by the user.
    pub(crate) held: u64,
    /// Held by the user, of its own.
    pub(crate) own: u64,
    /// Of its own, held by others alone.
    pub(crate) of_others: u64,
}

impl Holds {
    /// Nobody holds anything, and all that was given out up to `seq` is in quarantine.
    pub(crate) fn new(seq: u64) -> Self {
        let (held, users) = (HashMap::new(), HashMap::new());
        Self { held, users, quarantined_up_to: seq, released: BTreeSet::new() }
    }

    pub(crate) fn lift_quarantine(&mut self) {
        self.quarantined_up_to = 0;
    }

    /// True if it has not been lifted yet.
    pub(crate) fn quarantine(&self) -> bool {
        self.quarantined_up_to > 0
    }

    /// True if the segment's extents must not be given out again.
    pub(crate) fn keep(&self, segment: &Segment) -> bool {
        segment.generation <= self.quarantined_up_to || self.held.contains_key(&segment.id)
    }

    /// Holds of readers on a segment.
    pub(crate) fn count(&self, segment: u64) -> u64 {
        self.held.get(&segment).map_or(0, |held| held.by.iter().map(|(_, count)| count).sum())
    }

    /// Dropped bytes as they concern a user.
    pub(crate) fn dropped(&self, user: u32) -> OfDropped {
        self.users.get(&user).copied().unwrap_or_default()
    }

    /// A hold for a user, or for nobody in particular. The version is there.
    pub(crate) fn acquire(&mut self, user: Option<u32>, version: &Version) {
        for segment in &version.segments {
            let by = &mut self.held.entry(segment.id).or_default().by;
            match by.iter_mut().find(|(of, _)| *of == user) {
                Some((_, count)) => *count += 1,
                None => by.push((user, 1)),
            }
        }
    }

    /// A segment that was published by a user is in no version any more. Can be said again.
    pub(crate) fn orphan(&mut self, segment: &Segment, publisher: u32) {
        if let Some(held) = self.held.get_mut(&segment.id)
            && held.orphan.is_none()
        {
            held.orphan = Some((total_len(&segment.extents), publisher));
            held.tell(&mut self.users, |sum, len| *sum += len);
        }
    }

    /// These segments, which are in no version, are freed as soon as somebody writes, unless they are still held.
    pub(crate) fn add_released(&mut self, segments: impl IntoIterator<Item = u64>) {
        self.released.extend(segments);
    }

    /// True if there are any.
    pub(crate) fn any_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// All of them, each once, for the one who frees them.
    pub(crate) fn take_released(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.released).into_iter().collect()
    }

    /// Takes one hold of a user back. False, and nothing changes, if there is none on one of the segments.
    pub(crate) fn release(&mut self, user: Option<u32>, version: &Version) -> bool {
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
