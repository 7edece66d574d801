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
}

struct Page {
    uid: u32,
    /// True if children have it, as their parent says.
    shared: bool,
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
                pages.insert(key, Page { uid, shared: true });
            } else if !name.starts_with('.') {
                bail!("{}: found {name:?}, which is no page. Remove it", context());
            }
        }
        let mut pages = Self { path: path.to_owned(), directory, refused: None, next: first, pages };
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
        self.pages.insert(key, Page { uid, shared: false });
        Ok((page, key.1))
    }

    /// Notes that children of the process have this page of its; false if it is none of its pages.
    pub(crate) fn share(&mut self, process: ProcessId, number: u64) -> bool {
        self.pages.get_mut(&(process, number)).map(|page| page.shared = true).is_some()
    }

    /// True if this may still be somebody's page: one that is over is not, once it was looked for.
    pub(crate) fn has(&self, process: ProcessId, number: u64) -> bool {
        self.pages.contains_key(&(process, number))
    }

    /// Looks for pages that are over among these of a process.
    pub(crate) fn look_at(&mut self, process: ProcessId, numbers: &BTreeSet<u64>) {
        for number in numbers {
            self.look((process, *number));
        }
    }

    /// The pages of a process that are not over.
    pub(crate) fn look_at_all_of(&mut self, process: ProcessId) -> BTreeSet<u64> {
        self.look_at(process, &self.of(process));
        self.of(process)
    }

    /// Looks for pages that are over wherever one may be: at those that children have, those of processes that hold nothing
    /// (`holds` says which do), and those of processes that have many.
    pub(crate) fn look_around(&mut self, holds: impl Fn(ProcessId) -> bool) {
        let mut counts: BTreeMap<ProcessId, usize> = BTreeMap::new();
        self.pages.keys().for_each(|(process, _)| *counts.entry(*process).or_default() += 1);
        let many = |process| counts.get(&process).is_some_and(|count| *count > FEW);
        let due = |process, page: &Page| page.shared || !holds(process) || many(process);
        let pages = self.pages.iter().filter(|((process, _), page)| due(*process, page));
        let due: Vec<_> = pages.map(|(key, _)| *key).collect();
        due.into_iter().for_each(|key| self.look(key));
    }

    /// The pages of a process, some of which may be over by now.
    pub(crate) fn of(&self, process: ProcessId) -> BTreeSet<u64> {
        self.pages.range((process, 0)..=(process, u64::MAX)).map(|((_, number), _)| *number).collect()
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
        if let Err(error) = unlinkat(&self.directory, name(key, uid), AtFlags::empty()) {
            tracing::warn!(directory = %self.path.display(), pid = key.0.pid, %error, "a page that is over stays there");
        }
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
