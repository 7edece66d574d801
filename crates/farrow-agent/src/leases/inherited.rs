//! Leases that outlast their release, or their process: children that it forked may read on.
//!
//! A lease belongs to a process. A child that the process forks inherits what it has mapped, and the page beside it (see
//! [`FamilyPages`]). So
//!
//! - a process that has forked says under which page, before it releases: each lease that a child may have inherited is
//!   marked with that page, and when it is released waits until its pages are over;
//! - of a process that ends, all leases wait until all of its pages are over, because it may have forked last;
//! - what an earlier agent granted waits until its processes have ended and their pages are over.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::fd::OwnedFd;

use super::Lease;
use crate::error::AgentError;
use crate::family_pages::FamilyPages;
use crate::process::ProcessId;

/// Leases that wait for pages.
pub(crate) struct Inherited {
    pages: FamilyPages,
    leases: BTreeMap<u64, Waiting>,
    /// Processes that held something of an earlier agent's and have ended, while their pages have not.
    earlier: HashSet<ProcessId>,
}

/// A lease that its process has no more.
pub(super) struct Waiting {
    pub(super) lease: Lease,
    pub(super) process: ProcessId,
}

impl Inherited {
    /// Nothing is inherited yet of what was mapped with these pages.
    pub(crate) fn new(pages: FamilyPages) -> Self {
        Self { pages, leases: BTreeMap::new(), earlier: HashSet::new() }
    }

    /// A page for a process, and its number.
    pub(super) fn page(&mut self, process: ProcessId, uid: u32) -> Result<(OwnedFd, u64), AgentError> {
        self.pages.make(process, uid)
    }

    /// Notes that a process has forked under this page when it had those of its `leases` up to the number `up_to`.
    pub(super) fn mark(
        &mut self,
        process: ProcessId,
        page: u64,
        up_to: u64,
        leases: &mut BTreeMap<u64, Lease>,
    ) -> Result<(), AgentError> {
        if !self.pages.share(process, page) {
            return Err(AgentError::NotHeld { what: "page", id: page, pid: process.pid });
        }
        for lease in leases.range_mut(..=up_to).map(|(_, lease)| lease) {
            // Those that are over need not be kept in mind.
            lease.pages.retain(|page| self.pages.has(process, *page));
            lease.pages.insert(page);
        }
        Ok(())
    }

    /// Takes leases that a process has released. Returns those that nobody has inherited.
    pub(super) fn release(&mut self, process: ProcessId, leases: Vec<(u64, Lease)>) -> Vec<Lease> {
        let pages: BTreeSet<u64> = leases.iter().flat_map(|(_, lease)| &lease.pages).copied().collect();
        self.pages.look_at(process, &pages);
        self.keep(process, leases)
    }

    /// Takes the leases of a process that has ended. Returns those that nobody has inherited.
    pub(super) fn end(&mut self, process: ProcessId, leases: BTreeMap<u64, Lease>) -> Vec<Lease> {
        let pages = self.pages.look_at_all_of(process);
        let leases = leases.into_iter().map(|(id, lease)| (id, Lease { pages: pages.clone(), ..lease }));
        self.keep(process, leases.collect())
    }

    /// Notes that a process which held something of an earlier agent's has ended. False if nobody has inherited that.
    pub(super) fn end_of_earlier(&mut self, process: ProcessId) -> bool {
        let outlived = !self.pages.look_at_all_of(process).is_empty();
        if outlived {
            self.earlier.insert(process);
        }
        outlived
    }

    /// Looks which pages are over by now. Returns the leases that nobody has any more. `holds` says which processes hold
    /// something themselves.
    pub(super) fn settle(&mut self, holds: impl Fn(ProcessId) -> bool) -> Vec<Lease> {
        self.pages.look_around(holds);
        self.earlier.retain(|process| !self.pages.of(*process).is_empty());
        let over: Vec<u64> = self
            .leases
            .iter_mut()
            .filter_map(|(id, Waiting { lease, process, .. })| {
                lease.pages.retain(|page| self.pages.has(*process, *page));
                lease.pages.is_empty().then_some(*id)
            })
            .collect();
        over.iter().filter_map(|id| self.leases.remove(id)).map(|waiting| waiting.lease).collect()
    }

    /// True if nothing is inherited of what an earlier agent granted, by children of processes that have ended.
    pub(super) fn nothing_of_earlier(&self) -> bool {
        self.earlier.is_empty()
    }

    /// The processes of which something is inherited: they stay on record, also when they have ended.
    pub(super) fn processes(&self) -> HashSet<ProcessId> {
        self.leases.values().map(|waiting| waiting.process).chain(self.earlier.iter().copied()).collect()
    }

    /// The leases that wait, by number.
    pub(super) fn leases(&self) -> impl Iterator<Item = (u64, &Waiting)> {
        self.leases.iter().map(|(id, waiting)| (*id, waiting))
    }

    fn keep(&mut self, process: ProcessId, leases: Vec<(u64, Lease)>) -> Vec<Lease> {
        let mut over = Vec::new();
        for (id, mut lease) in leases {
            lease.pages.retain(|page| self.pages.has(process, *page));
            if lease.pages.is_empty() {
                over.push(lease);
            } else {
                self.leases.insert(id, Waiting { lease, process });
            }
        }
        over
    }
}

#[cfg(test)]
mod model;
