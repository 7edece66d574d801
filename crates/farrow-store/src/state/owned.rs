//! Bytes by user.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Bytes of extents that count for one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfUser {
    /// Of segments in versions.
    pub(crate) published: u64,
    /// Of reservations.
    pub(crate) reserved: u64,
    /// Of segments in no version any more.
    pub(crate) dropped: u64,
}

/// Bytes of each user that has some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owned(HashMap<u32, OfUser>);

impl Owned {
    /// Returns what counts for a user.
    pub(super) fn of(&self, uid: u32) -> OfUser {
        self.0.get(&uid).copied().unwrap_or_default()
    }

    /// Adds something, or takes away what was added before. A user who has nothing any more is forgotten.
    pub(super) fn change(&mut self, uid: u32, change: impl FnOnce(&mut OfUser)) {
        let mut of = self.of(uid);
        change(&mut of);
        match self.0.entry(uid) {
            Entry::Occupied(there) if of == OfUser::default() => drop(there.remove()),
            Entry::Occupied(mut there) => drop(there.insert(of)),
            Entry::Vacant(vacant) => drop(vacant.insert(of)),
        }
    }
}
