//! Arrow files of others beside the catalog's frames.

use std::sync::{Arc, MutexGuard, PoisonError};

use famfs_format::{FormatError, RelPath};

use super::View;
use super::frames::list;
use crate::error::{Result, StoreError};
use crate::foreign::{FollowedLog, ForeignFile, Unnamed};
use crate::frame::Version;
use crate::name::FrameName;

/// An entry of a listing.
#[derive(Clone, Debug)]
pub enum Listed {
    /// The latest version of a frame of the catalog.
    Version(Arc<Version>),
    /// An Arrow file that another program put into the famfs file system.
    Foreign(Arc<ForeignFile>),
}

impl Listed {
    /// The frame's name.
    pub fn name(&self) -> &FrameName {
        match self {
            Self::Version(version) => &version.name,
            Self::Foreign(file) => &file.name,
        }
    }
}

impl View {
    /// The Arrow file of another program that is the frame `name`; `version` is `None` or
    /// [its number](ForeignFile::version). `None` if the catalog has a frame of the name, which comes first, or if there
    /// is no such file.
    ///
    /// # Errors
    /// [`StoreError::VersionGone`] for another version; what the medium says.
    pub fn foreign(&self, name: &FrameName, version: Option<u64>) -> Result<Option<Arc<ForeignFile>>> {
        if self.state.look().frame(name).is_some() {
            return Ok(None);
        }
        let mut log = self.follow()?;
        let Some(file) = log.file(name, &self.state.look()) else { return Ok(None) };
        let only = file.version();
        match version {
            Some(version) if version != only => {
                let name = name.clone();
                Err(StoreError::VersionGone {
                    name,
                    version,
                    given: only,
                    oldest: only,
                    latest: only,
                    count: 1,
                })
            }
            _ => Ok(Some(file)),
        }
    }

    /// The Arrow file of another program whose entry has this index in the famfs log, a frame or not.
    ///
    /// # Errors
    /// As for [`follow_log`](Self::follow_log).
    pub fn foreign_at(&self, index: u32) -> Result<Option<Arc<ForeignFile>>> {
        Ok(self.follow()?.file_at(index).cloned())
    }

    /// As [`list`](Self::list), with the Arrow files of other programs among the catalog's frames. Where both have
    /// a name, it is the catalog's.
    ///
    /// # Errors
    /// As for [`follow_log`](Self::follow_log).
    pub fn list_all(&self, start: &str, after: Option<&FrameName>, limit: usize) -> Result<Vec<Listed>> {
        let (files, versions) = {
            let mut log = self.follow()?;
            let state = self.state.look();
            (log.list(start, after, limit, &state), list(&state, start, after, limit))
        };
        let mut listed: Vec<Listed> = versions.into_iter().map(Listed::Version).collect();
        listed.extend(files.into_iter().map(Listed::Foreign));
        // Stable: of two with one name the version comes first, and the file goes.
        listed.sort_by(|a, b| a.name().cmp(b.name()));
        listed.dedup_by(|second, first| second.name() == first.name());
        listed.truncate(limit);
        Ok(listed)
    }

    /// Reads what the famfs log has by now.
    ///
    /// # Errors
    /// [`StoreError::Replaced`], also if the log has fewer entries than it had; what the medium says.
    pub fn follow_log(&self) -> Result<()> {
        self.follow().map(drop)
    }

    /// Arrow files of other programs that cannot be frames.
    ///
    /// # Errors
    /// As for [`follow_log`](Self::follow_log).
    pub fn unnamed(&self) -> Result<Vec<Unnamed>> {
        Ok(self.follow()?.unnamed().to_vec())
    }

    /// Files of the famfs log, Arrow files or not, that are passed over because an earlier one has some of their memory:
    /// `famfs clone` makes such. By path, with what they share.
    ///
    /// # Errors
    /// As for [`follow_log`](Self::follow_log).
    pub fn passed_over(&self) -> Result<Vec<(RelPath, FormatError)>> {
        let log = self.follow()?;
        Ok(log.passed_over().map(|(path, why)| (path.clone(), why.clone())).collect())
    }

    /// Refuses to change what is a file of another program, as every commit does.
    ///
    /// # Errors
    /// [`StoreError::Foreign`], what the medium says.
    pub fn not_foreign(&self, name: &FrameName) -> Result<()> {
        match self.foreign(name, None)? {
            Some(file) => Err(StoreError::Foreign { name: file.name.clone() }),
            None => Ok(()),
        }
    }

    /// The famfs log with all that it has now. Never asked for while whoever asks has the state or the holds locked.
    pub(super) fn follow(&self) -> Result<MutexGuard<'_, FollowedLog>> {
        let mut log = self.followed();
        log.follow(&*self.media)?;
        Ok(log)
    }

    /// The famfs log as it was read last.
    pub(super) fn followed(&self) -> MutexGuard<'_, FollowedLog> {
        // Whoever panicked has left an entry unread, which is read the next time.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
