//! The leases that there are, for people and for counters, looked up some at a time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use farrow_store::Version;

use super::{Lease, Leases, Table};
use crate::process::ProcessId;

/// Leases that are looked up at a time.
const PAGE: usize = 256;

/// A lease, for people to look at.
#[derive(Debug)]
pub(crate) struct LeaseView {
    /// Its number.
    pub(crate) id: u64,
    /// The process that holds it.
    pub(crate) process: ProcessId,
    /// The user of that process.
    pub(crate) uid: u32,
    /// The version that it keeps.
    pub(crate) version: Arc<Version>,
    /// The time of the grant.
    pub(crate) granted: Instant,
    /// True if the process has it no more, but children that it forked may.
    pub(crate) inherited: bool,
}

impl Leases {
    /// The leases that there are when they are looked up, of those that had been granted before this was called: oldest
    /// first.
    pub(crate) fn list(self: &Arc<Self>) -> impl Iterator<Item = LeaseView> + Send + use<> {
        let leases = self.clone();
        let mut left = 0..self.table().next_lease;
        let mut page = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if page.len() == 0 {
                page = leases.table().page(left.clone()).into_iter();
                left.start = page.as_slice().last()?.id + 1;
            }
            page.next()
        })
    }
}

impl Table {
    /// The first leases with these numbers, in their order.
    fn page(&self, numbers: Range<u64>) -> Vec<LeaseView> {
        let mut first: BTreeMap<u64, (&Lease, ProcessId, bool)> = BTreeMap::new();
        // Numbers of a process grow: false says that it has no more among the first.
        let mut offer = |id, lease, process, inherited| {
            if first.len() == PAGE && first.last_key_value().is_some_and(|(last, _)| *last < id) {
                return false;
            }
            first.insert(id, (lease, process, inherited));
            if first.len() > PAGE {
                first.pop_last();
            }
            true
        };
        for (process, leases) in &self.held {
            leases.range(numbers.clone()).all(|(id, lease)| offer(*id, lease, *process, false));
        }
        for (process, waiting) in self.inherited.waiting() {
            waiting.range(numbers.clone()).all(|(id, waiting)| offer(*id, &waiting.lease, process, true));
        }
        let view = |(id, (lease, process, inherited)): (u64, (&Lease, ProcessId, bool))| {
            let (version, uid) = (lease.on.version.clone(), lease.on.uid);
            LeaseView { id, process, uid, version, granted: lease.granted, inherited }
        };
        first.into_iter().map(view).collect()
    }
}
