//! Bytes by user.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Bytes of each user that has some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owned(HashMap<u32, u64>);

impl Owned {
    /// What a user has.
    pub(super) fn of(&self, uid: u32) -> u64 {
        self.0.get(&uid).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, uid: u32, len: u64) {
        *self.0.entry(uid).or_default() += len;
    }

    /// Takes away what was added before. Who has nothing any more is forgotten.
    pub(super) fn take(&mut self, uid: u32, len: u64) {
        if let Entry::Occupied(mut owned) = self.0.entry(uid) {
            *owned.get_mut() -= len;
            if *owned.get() == 0 {
                owned.remove();
            }
        }
    }
}
