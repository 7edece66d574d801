//! Pages: files by which the kernel counts who may still read what a process has mapped.
//!
//! A process that maps has a page: an empty file of this directory, mapped. Its children inherit the mapping, as they
//! inherit what it has mapped to read. The agent has locked the file (flock, shared) through the one description that is
//! mapped, and that nobody else has; so the lock lasts as long as any process has the mapping, and what tells is an
//! attempt to lock the file through another description. **A page without lock is over for ever**, because nobody can map
//! that description any more, and the agent gives no page out twice.
//!
//! The directory outlives the agent, as the mappings do: its names say of which process each page is. A file that cannot
//! be opened or asked counts as locked.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use farrow_region::Family;
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, fstat, mkdir, open, openat, unlinkat};
use rustix::io::Errno;

use crate::error::AgentError;
use crate::process::ProcessId;

/// Pages of one process at a time: each of its clients has one, and its children may have others.
const PAGES_OF_PROCESS: usize = 256;

/// Pages of all processes of one user.
const PAGES_OF_USER: usize = 16 * PAGES_OF_PROCESS;

/// Pages of a process up to which those that are over need not be looked for.
const FEW: usize = 64;

/// The pages of a region's clients.
pub(crate) struct FamilyPages {
    path: PathBuf,
    directory: OwnedFd,
    /// The reason why none are given out, if none are.
    refused: Option<String>,
    next: u64,
    pages: BTreeMap<(ProcessId, u64), Page>,
    /// Processes of which a page was found to be over, since somebody asked for them last.
    fewer: BTreeSet<ProcessId>,
    /// Counts what happens: what happened earlier has a lower number.
    clock: u64,
}

struct Page {
    uid: u32,
    /// Set if children have it, as their parent says.
    shared: Option<Shared>,
}

/// The children that have a page.
struct Shared {
    /// The moment at which their parent said so first.
    since: u64,
    /// The highest number up to which they may have inherited their parent's leases.
    up_to: u64,
}

/// The shared pages of a process that were not over when this was made.
pub(crate) struct Inheritance {
    /// The moment from which each was shared, in order, and the highest number of it and of all before it.
    up_to: Vec<(u64, u64)>,
}

impl FamilyPages {
    /// Takes up the pages in the directory `path`, which is made if there is none. New ones are numbered from `first` on.
    ///
    /// # Errors
    /// The directory cannot be read: then nobody knows who still maps what.
    pub(crate) fn open(path: &Path, first: u64) -> anyhow::Result<Self> {
        let context = || format!("{}, which counts who may still map this region", path.display());
        match mkdir(path, Mode::RWXU) {
            Err(error) if error != Errno::EXIST => return Err(error).with_context(context),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = open(path, flags, Mode::empty()).with_context(context)?;
        let found = fstat(&directory).with_context(context)?;
        if found.st_uid != rustix::process::geteuid().as_raw() || found.st_mode & 0o077 != 0 {
            bail!(
                "{}: its owner is {}, its mode {:04o}: others could change it",
                context(),
                found.st_uid,
                found.st_mode & 0o7777
            );
        }
        let mut pages = BTreeMap::new();
        for entry in Dir::read_from(&directory).with_context(context)? {
            let entry = entry.with_context(context)?;
            let name = entry.file_name().to_string_lossy();
            if let Some((key, uid)) = parse(&name) {
                // What this agent grants, its children have only once their parent says so again.
                pages.insert(key, Page { uid, shared: Some(Shared { since: 0, up_to: 0 }) });
            } else if !name.starts_with('.') {
                bail!("{}: found {name:?}, which is no page. Remove it", context());
            }
        }
        let mut pages = Self {
            path: path.to_owned(),
            directory,
            refused: None,
            next: first,
            pages,
            fewer: BTreeSet::new(),
            clock: 0,
        };
        if let Err(error) = pages.try_out() {
            tracing::warn!(
                directory = %path.display(), error = format!("{error:#}"),
                "forked children cannot read what their parents map: give the agent another --state-dir"
            );
            pages.refused = Some(format!("{error:#}"));
        }
        Ok(pages)
    }

    /// Checks that the file system's locks do what this counts on: those of NFS do not.
    fn try_out(&mut self) -> anyhow::Result<()> {
        let me = std::process::id();
        let key = (ProcessId { pid: me, start_time: 0 }, self.number());
        let page = self.create(key, 0)?;
        let family = Family::new();
        let mapped = family.enter(&page, key.1);
        drop(page);
        let counted = mapped.map(|_| self.is_over(key));
        drop(family);
        let over = self.is_over(key);
        self.remove(key);
        match (counted?, over) {
            (false, true) => Ok(()),
            (counted, _) => bail!(
                "a lock (flock) on a file in {} {}",
                self.path.display(),
                if counted {
                    "ends while the file is still mapped"
                } else {
                    "lasts when nobody has it any more"
                }
            ),
        }
    }

    /// A new page for a process, and its number. Nothing else may have the descriptor, once it is sent.
    pub(crate) fn make(&mut self, process: ProcessId, uid: u32) -> Result<(OwnedFd, u64), AgentError> {
        if let Some(why) = &self.refused {
            return Err(AgentError::NoPages { why: why.clone() });
        }
        let of_process = self.of(process).len();
        let of_user = self.pages.values().filter(|page| page.uid == uid).count();
        for (what, count, limit) in [
            ("pages of one process", of_process, PAGES_OF_PROCESS),
            ("pages of one user", of_user, PAGES_OF_USER),
        ] {
            if count >= limit {
                return Err(AgentError::TooMany { what, count: count + 1, limit });
            }
        }
        let key = (process, self.number());
        let page = self.create(key, uid).map_err(|error| AgentError::NoPages { why: error.to_string() })?;
        // Only now: one that is not locked yet is none that is over.
        self.pages.insert(key, Page { uid, shared: None });
        Ok((page, key.1))
    }

    /// Notes that children of the process have this page of its, and may have inherited its leases up to the number
    /// `up_to`; false if it is none of its pages.
    pub(crate) fn share(&mut self, process: ProcessId, number: u64, up_to: u64) -> bool {
        let since = self.now();
        let Some(page) = self.pages.get_mut(&(process, number)) else { return false };
        let shared = page.shared.get_or_insert(Shared { since, up_to });
        shared.up_to = shared.up_to.max(up_to);
        true
    }

    /// Notes that anybody may have the pages of a process that has ended, with all that it had then.
    pub(crate) fn share_all(&mut self, process: ProcessId) {
        for number in self.of(process) {
            self.share(process, number, 0);
        }
    }

    /// Looks for pages that are over among those that children of the process have, and by which they may have inherited
    /// a lease of this number or a higher one.
    pub(crate) fn look_at_shared(&mut self, process: ProcessId, lease: u64) {
        let due = |page: &Page| page.shared.as_ref().is_some_and(|shared| shared.up_to >= lease);
        let due: Vec<_> = self.all_of(process).filter(|(_, page)| due(page)).map(|(key, _)| *key).collect();
        due.into_iter().for_each(|key| self.look(key));
    }

    /// The pages of a process that are not over.
    pub(crate) fn look_at_all_of(&mut self, process: ProcessId) -> BTreeSet<u64> {
        self.of(process).into_iter().for_each(|number| self.look((process, number)));
        self.of(process)
    }

    /// The pages by which children of the process have inherited something, as far as it is not known that they are over.
    pub(crate) fn inheritance(&self, process: ProcessId) -> Inheritance {
        let shared = self.all_of(process).filter_map(|(_, page)| page.shared.as_ref());
        let mut up_to: Vec<_> = shared.map(|shared| (shared.since, shared.up_to)).collect();
        up_to.sort_unstable();
        let mut most = 0;
        for (_, up_to) in &mut up_to {
            most = most.max(*up_to);
            *up_to = most;
        }
        Inheritance { up_to }
    }

    /// Returns of which processes pages were found to be over since this was asked last.
    pub(crate) fn take_fewer(&mut self) -> BTreeSet<ProcessId> {
        std::mem::take(&mut self.fewer)
    }

    /// The moment at which something happens. Each is another one.
    pub(crate) fn now(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Looks for pages that are over wherever one may be: at those that children have, those of processes that hold nothing
    /// (`holds` says which do), and those of processes that have many.
    pub(crate) fn look_around(&mut self, holds: impl Fn(ProcessId) -> bool) {
        let mut counts: BTreeMap<ProcessId, usize> = BTreeMap::new();
        self.pages.keys().for_each(|(process, _)| *counts.entry(*process).or_default() += 1);
        let many = |process| counts.get(&process).is_some_and(|count| *count > FEW);
        let due = |process, page: &Page| page.shared.is_some() || !holds(process) || many(process);
        let pages = self.pages.iter().filter(|((process, _), page)| due(*process, page));
        let due: Vec<_> = pages.map(|(key, _)| *key).collect();
        due.into_iter().for_each(|key| self.look(key));
    }

    /// The pages of a process, some of which may be over by now.
    pub(crate) fn of(&self, process: ProcessId) -> BTreeSet<u64> {
        self.all_of(process).map(|((_, number), _)| *number).collect()
    }

    fn all_of(&self, process: ProcessId) -> impl Iterator<Item = (&(ProcessId, u64), &Page)> {
        self.pages.range((process, 0)..=(process, u64::MAX))
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// A file, its only description, locked.
    fn create(&self, key: (ProcessId, u64), uid: u32) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let page = openat(&self.directory, name(key, uid), flags, Mode::RUSR)?;
        flock(&page, FlockOperation::NonBlockingLockShared)?;
        Ok(page)
    }

    fn look(&mut self, key: (ProcessId, u64)) {
        if self.pages.contains_key(&key) && self.is_over(key) {
            self.remove(key);
        }
    }

    fn is_over(&self, key: (ProcessId, u64)) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let uid = self.pages.get(&key).map_or(0, |page| page.uid);
        let locked = openat(&self.directory, name(key, uid), flags, Mode::empty())
            .and_then(|page| flock(page.as_fd(), FlockOperation::NonBlockingLockExclusive));
        match locked {
            Ok(()) => true,
            Err(Errno::WOULDBLOCK) => false,
            Err(error) => {
                tracing::debug!(pid = key.0.pid, page = key.1, %error, "a page that cannot be asked counts as held");
                false
            }
        }
    }

    fn remove(&mut self, key: (ProcessId, u64)) {
        let uid = self.pages.remove(&key).map_or(0, |page| page.uid);
        self.fewer.insert(key.0);
        if let Err(error) = unlinkat(&self.directory, name(key, uid), AtFlags::empty()) {
            tracing::warn!(directory = %self.path.display(), pid = key.0.pid, %error, "a page that is over stays there");
        }
    }
}

impl Inheritance {
    /// True if children may have inherited a lease of this number or a higher one, which their parent had until `until`.
    pub(crate) fn keeps(&self, lease: u64, until: u64) -> bool {
        let before = self.up_to.partition_point(|(since, _)| *since < until);
        let most = before.checked_sub(1).and_then(|last| self.up_to.get(last));
        most.is_some_and(|(_, up_to)| *up_to >= lease)
    }
}

/// `PID.START.UID.NUMBER`
fn name((ProcessId { pid, start_time }, number): (ProcessId, u64), uid: u32) -> String {
    format!("{pid}.{start_time}.{uid}.{number}")
}

fn parse(name: &str) -> Option<((ProcessId, u64), u32)> {
    let parts: Vec<&str> = name.split('.').collect();
    let &[pid, start_time, uid, number] = parts.as_slice() else { return None };
    let process = ProcessId { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? };
    Some(((process, number.parse().ok()?), uid.parse().ok()?))
}

#[cfg(test)]
mod tests;
