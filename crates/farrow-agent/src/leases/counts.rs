//! The number of leases on each version, by user. A listing asks for each of its versions, so nothing is looked through.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farrow_store::Version;

use super::Leases;

/// The number of leases on each version (by the sequence number of its commit) that each user has. None is 0.
type ByVersion = BTreeMap<(u64, u32), u64>;

#[derive(Default)]
pub(super) struct Counts(Mutex<ByVersion>);

/// A lease on a version, for a user; it counts until this is dropped.
pub(super) struct Counted {
    counts: Arc<Counts>,
    pub(super) version: Arc<Version>,
    /// The user for whom the version counts once it is dropped.
    pub(super) uid: u32,
}

impl Leases {
    /// Returns how many leases on a version those users have whom `whose` takes.
    pub(crate) fn on(&self, version: &Version, whose: impl Fn(u32) -> bool) -> u64 {
        let counts = self.counts.by_version();
        let users = counts.range((version.seq, 0)..=(version.seq, u32::MAX));
        users.filter(|((_, uid), _)| whose(*uid)).map(|(_, count)| count).sum()
    }
}

impl Counts {
    /// One more lease.
    pub(super) fn add(self: &Arc<Self>, version: &Arc<Version>, uid: u32) -> Counted {
        *self.by_version().entry((version.seq, uid)).or_default() += 1;
        Counted { counts: self.clone(), version: version.clone(), uid }
    }

    pub(super) fn by_version(&self) -> MutexGuard<'_, ByVersion> {
        // No invariant spans a panic: each change is of one number.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.counts.by_version().entry((self.version.seq, self.uid)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
