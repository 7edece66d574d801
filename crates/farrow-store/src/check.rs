//! Checking a region without an agent, and without changing it.

use famfs_format::{FormatError, RelPath, Superblock};
use farrow_region::Media;
use thiserror::Error;

use crate::catalog::CatalogFault;
use crate::error::{Result, StoreError};
use crate::foreign::{FollowedLog, Unnamed};
use crate::ledger::{ATTEMPTS, Ledger, replay_beside};
use crate::name::FrameName;
use crate::view::Usage;
use crate::volume::{CATALOG_FILE, Volume, read_superblock};

/// The findings of a check.
#[derive(Debug)]
pub struct Report {
    /// The superblock, if it can be read.
    pub superblock: Option<Superblock>,
    /// Entries that the famfs log counts.
    pub log_entries: u64,
    /// Entries that it can hold.
    pub log_capacity: u64,
    /// Files in the famfs name space, farrow's own included.
    pub files: u64,
    /// Directories in the famfs name space.
    pub dirs: u64,
    /// Arrow files that other programs put there and that are served as frames.
    pub foreign: u64,
    /// Those that are not served, because their path is no name of a frame.
    pub unnamed: Vec<Unnamed>,
    /// Those that are not served, because the catalog has a frame of that name.
    pub hidden: Vec<FrameName>,
    /// Farrow's part, if there is one and it can be read.
    pub catalog: Option<CatalogSummary>,
    /// Everything that is wrong. Empty means clean.
    pub problems: Vec<Problem>,
}

/// The content of a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogSummary {
    /// The use of the region's space.
    pub usage: Usage,
    /// The last master's epoch.
    pub epoch: u64,
    /// Sequence number of the last record.
    pub seq: u64,
    /// The number of times that the catalog was compacted.
    pub compactions: u64,
    /// Segments, in versions or waiting.
    pub segments: u64,
    /// Segments in no version, whose extents an agent frees when no reader is left.
    pub waiting: u64,
    /// Reservations. Without an agent they belong to nobody; the next one ends those whose writers are gone.
    pub reservations: u64,
}

/// Something that is wrong with a region.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The superblock cannot be read, or does not fit the medium. Nothing else is looked at.
    #[error("superblock: {0}")]
    Superblock(FormatError),
    /// The famfs log's header cannot be read. Nothing behind it is looked at.
    #[error("famfs log: {0}")]
    LogHeader(FormatError),
    /// An entry of the famfs log cannot be read.
    #[error("famfs log: {fault}; {unread} of {entries} entries are not served")]
    LogEntry {
        /// The fault.
        fault: FormatError,
        /// Entries from it on.
        unread: u64,
        /// Entries that the log counts.
        entries: u64,
    },
    /// A file of the famfs log has memory that an earlier one has too.
    #[error("famfs log: {path} is not served, what follows it is: {shared}")]
    PassedOver {
        /// The file.
        path: RelPath,
        /// The memory that it shares, and the file that it shares it with.
        shared: FormatError,
    },
    /// Some of farrow's files are there, others are not.
    #[error(transparent)]
    Files(StoreError),
    /// The catalog's bytes are not a catalog.
    #[error(transparent)]
    Catalog(CatalogFault),
}

impl Report {
    /// True if nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Reads superblock, famfs log and catalog as an agent would on any host, and says what is wrong.
///
/// A famfs file system without farrow's files can be clean, too. Frames' own bytes are not read. An agent may
/// run meanwhile.
///
/// # Errors
/// Those of reading the medium; faults of its bytes are in the report. [`StoreError::Overtaken`] if an agent compacts
/// the catalog again and again while it is read.
pub fn check(media: &dyn Media) -> Result<Report> {
    let mut report = Report {
        superblock: None,
        log_entries: 0,
        log_capacity: 0,
        files: 0,
        dirs: 0,
        foreign: 0,
        unnamed: Vec::new(),
        hidden: Vec::new(),
        catalog: None,
        problems: Vec::new(),
    };
    match report.fill(media) {
        Ok(()) => Ok(report),
        Err(Stop::Found(problem)) => {
            report.problems.push(problem);
            Ok(report)
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// The reasons why a check ends early.
enum Stop {
    /// What comes next cannot be read without this.
    Found(Problem),
    /// The medium failed.
    Failed(StoreError),
}

impl Stop {
    fn superblock(error: StoreError) -> Self {
        match error {
            StoreError::Famfs(fault) => Self::Found(Problem::Superblock(fault)),
            error => Self::Failed(error),
        }
    }

    fn log_header(error: StoreError) -> Self {
        match error {
            StoreError::Famfs(fault) => Self::Found(Problem::LogHeader(fault)),
            error => Self::Failed(error),
        }
    }

    fn catalog(error: StoreError) -> Self {
        match error {
            StoreError::Media(_) | StoreError::Overtaken { .. } => Self::Failed(error),
            StoreError::Catalog(fault) => Self::Found(Problem::Catalog(fault)),
            error => Self::Found(Problem::Files(error)),
        }
    }
}

impl Report {
    fn fill(&mut self, media: &dyn Media) -> Result<(), Stop> {
        let superblock = read_superblock(media).map_err(Stop::superblock)?;
        self.superblock = Some(superblock.clone());
        superblock.check_media_len(media.len()).map_err(|fault| Stop::Found(Problem::Superblock(fault)))?;

        let volume = Volume::read_log(media, superblock).map_err(Stop::log_header)?;
        self.log_entries = volume.log.next_index();
        self.log_capacity = volume.log.capacity();
        self.files = volume.namespace.files().len() as u64;
        self.dirs = volume.namespace.dirs().len() as u64;
        if let Some(fault) = volume.log_fault.clone() {
            let entries = self.log_entries;
            let unread = entries.saturating_sub(volume.namespace.stopped_at().unwrap_or(entries));
            self.problems.push(Problem::LogEntry { fault, unread, entries });
        }

        let passed_over = volume.namespace.passed_over();
        self.problems.extend(
            passed_over
                .map(|(path, shared)| Problem::PassedOver { path: path.clone(), shared: shared.clone() }),
        );

        let files = match volume.farrow_files() {
            Ok(files) => files,
            // Without any of farrow's files it is a plain famfs file system.
            Err(StoreError::NotFarrow { path, .. }) if path == CATALOG_FILE => return Ok(()),
            // A file that stands behind the entry that cannot be read: that has been said.
            Err(StoreError::Famfs(fault)) if volume.log_fault.as_ref() == Some(&fault) => return Ok(()),
            Err(error) => return Err(Stop::catalog(error)),
        };
        let region = volume.superblock.uuid;
        let mut attempts = (0..ATTEMPTS).map(|_| replay_beside(media, files.catalog, region, &files.pools));
        let settled = attempts.find_map(Result::transpose);
        let (state, catalog) =
            settled.unwrap_or(Err(StoreError::Overtaken { attempts: ATTEMPTS })).map_err(Stop::catalog)?;
        let ledger = Ledger::new(state, catalog);
        let state = ledger.state();
        let followed = FollowedLog::read(media, &volume.superblock).map_err(Stop::Failed)?;
        let hidden = followed.names().filter(|name| state.frame(name).is_some());
        self.hidden = hidden.cloned().collect();
        self.foreign = followed.names().len() as u64 - self.hidden.len() as u64;
        self.unnamed = followed.unnamed().to_vec();
        self.catalog = Some(CatalogSummary {
            usage: Usage::new(ledger.shared_state(), &files.pools, &volume.log, &volume.namespace),
            epoch: state.epoch(),
            seq: state.seq(),
            compactions: ledger.catalog().serial(),
            segments: state.segments() as u64,
            waiting: state.orphans().len() as u64,
            reservations: state.reservations().len() as u64,
        });
        Ok(())
    }
}
