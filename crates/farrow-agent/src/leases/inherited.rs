//! Leases that outlast their release, or their process: children that it forked may read on.
//!
//! A lease belongs to a process. A child that the process forks inherits what it has mapped, and the page beside it (see
//! [`FamilyPages`]). So
//!
//! - a process that has forked says under which page, before it releases, and up to which number its leases may have been
//!   inherited. Each of those waits, when it is released, until the pages are over of which that was said by then;
//! - of a process that ends, all leases wait until all of its pages are over, because it may have forked last;
//! - what an earlier agent granted waits until its processes have ended and their pages are over.
//!
//! The number is kept with the page, one for each: a process that says any number keeps leases of its own, and takes no
//! memory by it.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::OwnedFd;

use super::Lease;
use crate::error::AgentError;
use crate::family_pages::FamilyPages;
use crate::process::ProcessId;

/// Leases that wait for pages.
pub(crate) struct Inherited {
    pages: FamilyPages,
    /// Of each process, by number. None of these is empty.
    waiting: BTreeMap<ProcessId, BTreeMap<u64, Waiting>>,
    /// Processes that held something of an earlier agent's and have ended, while their pages have not.
    earlier: HashSet<ProcessId>,
}

/// A lease that its process has no more.
pub(super) struct Waiting {
    pub(super) lease: Lease,
    /// Its own number, or the lowest one: a process that ends may have said nothing of its last fork.
    from: u64,
    /// The moment until which its process had it.
    until: u64,
}

impl Inherited {
    /// Nothing is inherited yet of what was mapped with these pages.
    pub(crate) fn new(pages: FamilyPages) -> Self {
        Self { pages, waiting: BTreeMap::new(), earlier: HashSet::new() }
    }

    /// A page for a process, and its number.
    pub(super) fn page(&mut self, process: ProcessId, uid: u32) -> Result<(OwnedFd, u64), AgentError> {
        self.pages.make(process, uid)
    }

    /// Notes that a process has forked under this page when it had leases up to the number `up_to`.
    pub(super) fn mark(&mut self, process: ProcessId, page: u64, up_to: u64) -> Result<(), AgentError> {
        match self.pages.share(process, page, up_to) {
            true => Ok(()),
            false => Err(AgentError::NotHeld { what: "page", id: page, pid: process.pid }),
        }
    }

    /// Takes leases that a process has released. Returns those that nobody has inherited.
    pub(super) fn release(&mut self, process: ProcessId, leases: Vec<(u64, Lease)>) -> Vec<Lease> {
        let Some(first) = leases.iter().map(|(id, _)| *id).min() else { return Vec::new() };
        self.pages.look_at_shared(process, first);
        self.keep(process, leases, |id| id)
    }

    /// Takes the leases of a process that has ended. Returns those that nobody has inherited.
    pub(super) fn end(&mut self, process: ProcessId, leases: BTreeMap<u64, Lease>) -> Vec<Lease> {
        self.pages.look_at_all_of(process);
        self.pages.share_all(process);
        self.keep(process, leases, |_| 0)
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
        let mut all_over = Vec::new();
        for process in self.pages.take_fewer() {
            let Some(waiting) = self.waiting.get_mut(&process) else { continue };
            let inheritance = self.pages.inheritance(process);
            let is_over = |waiting: &Waiting| !inheritance.keeps(waiting.from, waiting.until);
            let over: Vec<u64> =
                waiting.iter().filter(|(_, lease)| is_over(lease)).map(|(id, _)| *id).collect();
            all_over.extend(over.iter().filter_map(|id| waiting.remove(id)).map(|waiting| waiting.lease));
            if waiting.is_empty() {
                self.waiting.remove(&process);
            }
        }
        all_over
    }

    /// True if nothing is inherited of what an earlier agent granted, by children of processes that have ended.
    pub(super) fn nothing_of_earlier(&self) -> bool {
        self.earlier.is_empty()
    }

    /// The processes of which something is inherited: they stay on record, also when they have ended.
    pub(super) fn processes(&self) -> HashSet<ProcessId> {
        self.waiting.keys().chain(&self.earlier).copied().collect()
    }

    /// The leases that wait, of each process, by number.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (ProcessId, &BTreeMap<u64, Waiting>)> {
        self.waiting.iter().map(|(process, waiting)| (*process, waiting))
    }

    /// Keeps those of a process's leases that children may have; `from` says for a number which numbers they may have
    /// inherited it by.
    fn keep(
        &mut self,
        process: ProcessId,
        leases: impl IntoIterator<Item = (u64, Lease)>,
        from: impl Fn(u64) -> u64,
    ) -> Vec<Lease> {
        let (until, inheritance) = (self.pages.now(), self.pages.inheritance(process));
        let mut over = Vec::new();
        let mut waiting = Vec::new();
        for (id, lease) in leases {
            let from = from(id);
            if inheritance.keeps(from, until) {
                waiting.push((id, Waiting { lease, from, until }));
            } else {
                over.push(lease);
            }
        }
        if !waiting.is_empty() {
            self.waiting.entry(process).or_default().extend(waiting);
        }
        over
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests;
