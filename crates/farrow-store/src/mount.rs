//! A mounted famfs: a region that is reached through the files of a mount.
//!
//! From Linux 6.15 on, a device that famfs uses cannot be mapped by anybody else. What is left are the mount's
//! files: `.meta/.superblock` and `.meta/.log`, which famfs makes up, and one for each entry of the log. Put where
//! they lie on the device, they are a medium like any other, and the rest of the store does not know.
//!
//! # Writers and locks
//!
//! Superblock and log belong to famfs's tools there. Farrow opens them to be read, and has its files made by
//! `famfs mkdir` and `famfs creat` ([`FamfsTools`]), which take a lock on `.meta/.log` for each append. An agent
//! that held that lock would stop every `famfs cp`; so the lock that lets one agent at a time serve the region is
//! another one: on the directory `farrow`. A directory, because the kernel itself keeps its locks and gives them up
//! with the process, while locks on files of a famfs over FUSE are its daemon's (commit 5d0919f): that grants every
//! lock that is asked for without waiting, and drops one with the next close of the file by anybody.
//!
//! The log is read without a lock: it only grows, and one read during an append has the entry or has it not.

mod fault;
mod format;
mod tools;

pub use fault::MountFault;
pub use format::MountOptions;
pub use tools::FamfsTools;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use famfs_format::{FileEntry, LOG_OFFSET, Namespace, RelPath};
use farrow_region::{Access, AssembledMedia, FileMedia, FilePart, FileRange, Media, RegionError};

use crate::error::{Result, StoreError};
use crate::volume::{CATALOG_FILE, FARROW_DIR, HOSTS_FILE, POOL_DIR, Volume, pool_path, read_superblock};

/// The superblock under a mount.
const SUPERBLOCK_FILE: &str = ".meta/.superblock";
/// The log under a mount.
const LOG_FILE: &str = ".meta/.log";
/// f_type of FUSE (Linux include/uapi/linux/magic.h).
const FUSE_MAGIC: u32 = 0x6573_5546;

/// A famfs file system that is mounted on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The mount point, without symbolic links.
    root: PathBuf,
}

impl Mount {
    /// The famfs that is mounted at `path`. `None` if `path` is no directory, so that it may be a medium itself.
    ///
    /// # Errors
    /// [`MountFault::NoMount`] for a directory without famfs's files, [`MountFault::Io`] if that cannot be found out.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        if !path.is_dir() {
            return Ok(None);
        }
        for missing in [SUPERBLOCK_FILE, LOG_FILE] {
            let file = path.join(missing);
            if !file.try_exists().map_err(|source| MountFault::Io { file, source })? {
                return Err(MountFault::NoMount { path: path.into(), missing }.into());
            }
        }
        let root = path.canonicalize().map_err(|source| MountFault::Io { file: path.into(), source })?;
        Ok(Some(Self { root }))
    }

    /// The mount point.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that holds the superblock.
    pub fn superblock_path(&self) -> PathBuf {
        self.root.join(SUPERBLOCK_FILE)
    }

    /// The famfs that the file at `path` lies in, if it does.
    pub fn around(path: &Path) -> Option<Self> {
        let root = path.ancestors().skip(1).find(|directory| directory.join(SUPERBLOCK_FILE).is_file())?;
        Self::find(root).ok().flatten()
    }

    /// The file that holds the log.
    pub fn log_path(&self) -> PathBuf {
        self.root.join(LOG_FILE)
    }

    /// True if somebody has the log locked at this moment. famfs's tools have from before they name a file there until
    /// they have written it; but for `famfs cp -t N` with N threads, which gives the lock up before they have ended
    /// (commit 5d0919f).
    ///
    /// It takes a lock itself, shared, and gives it up at once: the tools wait for theirs. Over FUSE it touches nothing
    /// and says no. The daemon grants every such lock, says nothing of another one, and takes the next close of the log
    /// for the unlocking of whoever has it.
    ///
    /// # Errors
    /// [`MountFault::Io`].
    pub fn log_is_locked(&self) -> Result<bool> {
        let failed = |source| MountFault::Io { file: self.log_path(), source };
        let file_system = rustix::fs::statfs(&self.root).map_err(|e| failed(e.into()))?;
        if u32::try_from(file_system.f_type) == Ok(FUSE_MAGIC) {
            return Ok(false);
        }
        match File::open(self.log_path()).map_err(failed)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed(source).into()),
        }
    }

    /// Returns where a file of the log is found.
    pub fn path_of(&self, file: &RelPath) -> PathBuf {
        self.root.join(file.as_str())
    }

    /// Says why farrow adds no pool file here, and what does.
    pub fn refuse_to_grow(&self) -> StoreError {
        let mut pools = (0..=u32::MAX).map(|index| self.root.join(pool_path(index)));
        let next = pools.find(|pool| !pool.exists());
        MountFault::ToolsGrow { file: next.unwrap_or_else(|| self.root.join(POOL_DIR)) }.into()
    }

    /// Superblock and log, to be read: all that says what is in the file system. Nothing else is in the medium.
    ///
    /// What they say is not judged here, but if the superblock can be read, the log must be as long as that says.
    ///
    /// # Errors
    /// [`MountFault::Len`]; what [`FileMedia::open`] says.
    pub fn log(&self) -> Result<AssembledMedia> {
        let superblock = FileMedia::open(self.superblock_path(), Access::ReadOnly)?;
        check_len(superblock.path(), superblock.len(), LOG_OFFSET, "famfs gives it")?;
        let log = FileMedia::open(self.root.join(LOG_FILE), Access::ReadOnly)?;
        let mut len = LOG_OFFSET.saturating_add(log.len());
        if let Ok(found) = read_superblock(&superblock) {
            check_len(log.path(), log.len(), found.log_len, "the superblock says")?;
            len = len.max(found.device_len);
        }
        let log_len = log.len();
        let media = AssembledMedia::new(self.root.display().to_string(), len)
            .with(superblock, [whole(0, LOG_OFFSET)])?
            .with(log, [whole(LOG_OFFSET, log_len)])?;
        Ok(media)
    }

    /// Superblock, log and farrow's own files, each where it lies on the device. `access` is that to farrow's files;
    /// superblock and log are never written.
    ///
    /// For writing, the directory `farrow` is locked (flock, exclusive) for as long as the medium lives.
    /// A file system without farrow's files, or with a log that cannot be read, is opened too: with fewer parts.
    ///
    /// # Errors
    /// [`MountFault::NotThere`] and [`MountFault::Len`] for a file of farrow's that is not as the log says;
    /// what [`FileMedia::open`] says of each, [`InUse`](RegionError::InUse) among it.
    pub fn media(&self, access: Access) -> Result<AssembledMedia> {
        let mut media = self.log()?;
        let volume = match read_superblock(&media).and_then(|found| Volume::read_log(&media, found)) {
            Ok(volume) => volume,
            Err(StoreError::Famfs(_)) => return Ok(media),
            Err(error) => return Err(error),
        };
        let ours = RelPath::parse(FARROW_DIR)?;
        if access == Access::ReadWrite && volume.namespace.dir(&ours).is_some() {
            media = media.with_lock(self.lock(&ours)?);
        }
        for file in own_files(&volume.namespace)? {
            media = media.with(self.open(file, access)?, parts(file))?;
        }
        Ok(media)
    }

    /// Locks a directory for the one process of this host that may write.
    fn lock(&self, directory: &RelPath) -> Result<File> {
        let path = self.path_of(directory);
        let file = File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => MountFault::NotThere { file: path.clone(), mount: self.root.clone() },
            _ => MountFault::Io { file: path.clone(), source },
        })?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(RegionError::InUse { path }.into()),
            Err(TryLockError::Error(source)) => Err(MountFault::Io { file: path, source }.into()),
        }
    }

    /// Opens a file of the log, which must be there with all its bytes.
    fn open(&self, file: &FileEntry, access: Access) -> Result<FileMedia> {
        let path = self.path_of(&file.path);
        let media = FileMedia::open(&path, access).map_err(|error| match error {
            RegionError::Missing { path } => {
                MountFault::NotThere { file: path, mount: self.root.clone() }.into()
            }
            RegionError::TooShort { path, len, .. } => {
                MountFault::Len { file: path, found: len, expected: file.size, says: "the famfs log says" }
                    .into()
            }
            error => StoreError::Media(error),
        })?;
        check_len(&path, media.len(), file.size, "the famfs log says")?;
        Ok(media)
    }
}

/// Farrow's own files, as far as they are in the log.
fn own_files(namespace: &Namespace) -> Result<Vec<&FileEntry>> {
    let mut files = Vec::new();
    for path in [CATALOG_FILE, HOSTS_FILE] {
        files.extend(namespace.file(&RelPath::parse(path)?));
    }
    for index in 0_u32.. {
        let Some(pool) = namespace.file(&RelPath::parse(&pool_path(index))?) else { break };
        files.push(pool);
    }
    Ok(files)
}

/// Returns where the bytes of a file lie on the device.
fn parts(file: &FileEntry) -> impl Iterator<Item = FilePart> + '_ {
    let mut offset = 0;
    file.runs().map(move |(at, len)| {
        let range = FileRange { offset, len };
        offset += len;
        FilePart { at, range }
    })
}

fn whole(at: u64, len: u64) -> FilePart {
    FilePart { at, range: FileRange { offset: 0, len } }
}

fn check_len(file: &Path, found: u64, expected: u64, says: &'static str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(MountFault::Len { file: file.into(), found, expected, says }.into())
}
