//! A medium in a regular file: tmpfs, hugetlbfs, any file system.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FileType, FlockOperation};
use rustix::io::Errno;

use crate::mapping::{WholeMapping, name_of};
use crate::media::{Access, Coherency, Media, aligned, within};
use crate::{RegionError, cache};

/// The shortest medium, in bytes: one page.
const LEAST: u64 = 4096;

/// A medium in a regular file, all of it mapped.
///
/// Opened for writing, the file is locked (flock, exclusive) for as long as this value lives, all of its
/// blocks are allocated and all of its pages faulted in: writing to it cannot fail for lack of memory.
pub struct FileMedia {
    // Unmapped before the file, and with it the lock, is given up.
    mapping: WholeMapping,
    file: File,
    path: PathBuf,
    access: Access,
    coherency: Coherency,
    len: u64,
}

impl FileMedia {
    /// Makes a file of `len` zero bytes, owned by the user and open to nobody else (mode 0600), and opens
    /// it for writing.
    ///
    /// With `overwrite` a file that is there is removed first, unless an agent has it open for writing.
    /// It is not truncated: whoever has it mapped keeps the old bytes.
    ///
    /// # Errors
    ///
    /// [`TooShort`](RegionError::TooShort) below 4096 bytes, [`AlreadyExists`](RegionError::AlreadyExists),
    /// [`InUse`](RegionError::InUse), [`NotAFile`](RegionError::NotAFile),
    /// [`NoPermission`](RegionError::NoPermission), [`NoDirectory`](RegionError::NoDirectory),
    /// [`NoSpace`](RegionError::NoSpace), [`Io`](RegionError::Io). No new file is left behind.
    pub fn create(path: impl AsRef<Path>, len: u64, overwrite: bool) -> Result<Self, RegionError> {
        Self::create_with(path.as_ref(), len, overwrite, allocate)
    }

    /// Opens the medium at `path`.
    ///
    /// # Errors
    ///
    /// [`Missing`](RegionError::Missing), [`NoPermission`](RegionError::NoPermission),
    /// [`NotAFile`](RegionError::NotAFile), [`TooShort`](RegionError::TooShort) below 4096 bytes,
    /// [`Io`](RegionError::Io); for writing also [`InUse`](RegionError::InUse) and, if the file has holes
    /// that cannot be filled, [`NoSpace`](RegionError::NoSpace).
    pub fn open(path: impl AsRef<Path>, access: Access) -> Result<Self, RegionError> {
        let path = path.as_ref();
        // Looked at before it is opened: opening a pipe waits and opening a device may act.
        let found = fs::metadata(path).map_err(|e| path_error(path, access, "look at", e))?;
        check_kind(path, &found)?;
        let file = open_file(path, access)?;
        if access == Access::ReadWrite {
            lock(path, &file)?;
        }
        let metadata = file.metadata().map_err(|e| path_error(path, access, "look at", e))?;
        check_kind(path, &metadata)?;
        check_len(path, metadata.len())?;
        if access == Access::ReadWrite {
            match allocate(&file, metadata.len()) {
                // No way to fill holes here; faulting the pages in will tell.
                Err(e) if is(&e, Errno::OPNOTSUPP) => {}
                Err(e) if is(&e, Errno::NOSPC) => {
                    return Err(no_space(path, metadata.len(), room(directory_of(path))));
                }
                result => result.map_err(|e| path_error(path, access, "allocate", e))?,
            }
        }
        Self::map(path, file, metadata.len(), access)
    }

    /// Who keeps the hosts' caches in step; [`Coherent`](Coherency::Coherent) if nothing is said.
    #[must_use]
    pub fn with_coherency(self, coherency: Coherency) -> Self {
        Self { coherency, ..self }
    }

    /// The file's path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the medium was opened for.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The open file, with the rights of [`access`](Self::access).
    ///
    /// Not to be given to another process: a copy of this descriptor keeps the lock for as long as it is
    /// open anywhere. [`reopen`](Self::reopen) makes one without.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// A new descriptor of the same file, without the lock: what may be passed on to applications. It is
    /// the file that is mapped here, whatever its path means by now.
    ///
    /// # Errors
    ///
    /// [`Io`](RegionError::Io): no right to it, or /proc is not mounted.
    pub fn reopen(&self, access: Access) -> Result<OwnedFd, RegionError> {
        OpenOptions::new()
            .read(true)
            .write(access == Access::ReadWrite)
            .open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
            .map(OwnedFd::from)
            .map_err(|source| RegionError::Io {
                action: "open again through /proc",
                what: self.describe(),
                source,
            })
    }

    /// [`create`](Self::create) with another way to allocate, so that tests can see it fail.
    fn create_with(
        path: &Path,
        len: u64,
        overwrite: bool,
        allocate: impl FnOnce(&File, u64) -> io::Result<()>,
    ) -> Result<Self, RegionError> {
        check_len(path, len)?;
        let old = Old::find(path, overwrite)?;
        // Through a symbolic link the file it names is replaced, not the link.
        let target = old.as_ref().map_or(path, |old| &old.target);
        let directory = directory_of(target);
        let failed = |action| move |e| path_error(path, Access::ReadWrite, action, e);

        // Asked before anything is lost, and before some file systems fill themselves up to find out.
        let available = room(directory).map(|free| free.saturating_add(old.as_ref().map_or(0, Old::bytes)));
        if available.is_some_and(|available| available < len) {
            return Err(no_space(path, len, available));
        }
        if old.is_some() {
            fs::remove_file(target).map_err(failed("replace"))?;
        }

        let created = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(target);
        let file = created.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => RegionError::NoDirectory { path: directory.to_owned() },
            _ => failed("create")(e),
        })?;
        let unfinished = RemoveOnDrop(Some(target));
        lock(path, &file)?;
        let allocated = match allocate(&file, len) {
            Err(e) if is(&e, Errno::OPNOTSUPP) => write_zeros(&file, len),
            result => result,
        };
        if let Err(e) = allocated {
            // Closed and removed first, so that what is free is counted without it.
            drop(unfinished);
            drop(file);
            let full = is(&e, Errno::NOSPC);
            return Err(if full { no_space(path, len, room(directory)) } else { failed("allocate")(e) });
        }
        let media = Self::map(path, file, len, Access::ReadWrite)?;
        unfinished.keep();
        Ok(media)
    }

    fn map(path: &Path, file: File, len: u64, access: Access) -> Result<Self, RegionError> {
        let bytes = usize::try_from(len).map_err(|_| RegionError::TooLarge { len })?;
        let mapping =
            WholeMapping::new(&file, bytes, access).map_err(|e| path_error(path, access, "map", e))?;
        if access == Access::ReadWrite {
            mapping.populate().map_err(|e| path_error(path, access, "fault in every page of", e))?;
        }
        Ok(Self { mapping, file, path: path.to_owned(), access, coherency: Coherency::default(), len })
    }

    fn check(&self, offset: u64, len: u64) -> Result<usize, RegionError> {
        within(|| self.describe(), offset, len, self.len)
    }

    fn check_writable(&self) -> Result<(), RegionError> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(RegionError::ReadOnly { what: self.describe() }),
        }
    }
}

impl Media for FileMedia {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError> {
        let at = self.check(offset, out.len() as u64)?;
        self.mapping.bytes().read(at, out);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        self.check_writable()?;
        let at = self.check(offset, data.len() as u64)?;
        self.mapping.bytes().write(at, data);
        Ok(())
    }

    fn load_u64(&self, offset: u64) -> Result<u64, RegionError> {
        aligned(|| self.describe(), offset)?;
        let at = self.check(offset, 8)?;
        Ok(self.mapping.bytes().load(at))
    }

    fn store_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        self.check_writable()?;
        aligned(|| self.describe(), offset)?;
        let at = self.check(offset, 8)?;
        self.mapping.bytes().store(at, value);
        Ok(())
    }

    fn persist(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        self.check_writable()?;
        let at = self.check(offset, len)?;
        // `check` has found offset + len to be within memory, so `len` is a usize.
        let len = usize::try_from(len).map_err(|_| RegionError::TooLarge { len })?;
        cache::write_back(self.mapping.bytes().words(at, len), self.coherency);
        Ok(())
    }

    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        let at = self.check(offset, len)?;
        let len = usize::try_from(len).map_err(|_| RegionError::TooLarge { len })?;
        cache::invalidate(self.mapping.bytes().words(at, len), self.coherency);
        Ok(())
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

impl fmt::Debug for FileMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileMedia")
            .field("path", &self.path)
            .field("len", &self.len)
            .field("access", &self.access)
            .field("coherency", &self.coherency)
            .finish_non_exhaustive()
    }
}

/// A file that is to be replaced, locked so that no agent opens it meanwhile.
struct Old {
    /// Its path, without symbolic links.
    target: PathBuf,
    file: File,
}

impl Old {
    fn find(path: &Path, overwrite: bool) -> Result<Option<Self>, RegionError> {
        let error = |e| path_error(path, Access::ReadWrite, "look at", e);
        match fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(error(e)),
            Ok(metadata) => check_kind(path, &metadata)?,
        }
        if !overwrite {
            return Err(RegionError::AlreadyExists { path: path.to_owned() });
        }
        let file = open_file(path, Access::ReadWrite)?;
        lock(path, &file)?;
        Ok(Some(Self { target: fs::canonicalize(path).map_err(error)?, file }))
    }

    /// Bytes that are free once the file is gone (and mapped by nobody).
    fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.blocks().saturating_mul(512))
    }
}

/// Removes a file that has not become a medium.
struct RemoveOnDrop<'a>(Option<&'a Path>);

impl RemoveOnDrop<'_> {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // Whatever stopped the creation is the error to report, not this.
            let _ = fs::remove_file(path);
        }
    }
}

fn open_file(path: &Path, access: Access) -> Result<File, RegionError> {
    OpenOptions::new()
        .read(true)
        .write(access == Access::ReadWrite)
        .open(path)
        .map_err(|e| path_error(path, access, "open", e))
}

/// One writer at a time. The lock goes with the open file: the kernel gives it up when the process ends.
fn lock(path: &Path, file: &File) -> Result<(), RegionError> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(RegionError::InUse { path: path.to_owned() }),
        Err(e) => Err(path_error(path, Access::ReadWrite, "lock", e.into())),
    }
}

/// Makes the file at least `len` bytes long and leaves no hole in it.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len)?)
}

/// What [`allocate`] does, where the file system cannot: for new files.
fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), len), &mut &*file).map(drop)
}

/// Bytes that an unprivileged user may still allocate in `directory`, where the file system tells.
fn room(directory: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    // File systems without a limit of their own (ramfs, hugetlbfs) report 0 blocks in all.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn check_kind(path: &Path, metadata: &fs::Metadata) -> Result<(), RegionError> {
    if metadata.is_file() {
        return Ok(());
    }
    let kind = name_of(FileType::from_raw_mode(metadata.mode()));
    Err(RegionError::NotAFile { what: path.display().to_string(), kind })
}

fn check_len(path: &Path, len: u64) -> Result<(), RegionError> {
    if len < LEAST { Err(RegionError::TooShort { path: path.to_owned(), len, least: LEAST }) } else { Ok(()) }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

fn no_space(path: &Path, needed: u64, available: Option<u64>) -> RegionError {
    RegionError::NoSpace { path: path.to_owned(), needed, available }
}

fn path_error(path: &Path, access: Access, action: &'static str, source: io::Error) -> RegionError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => RegionError::Missing { path },
        io::ErrorKind::AlreadyExists => RegionError::AlreadyExists { path },
        io::ErrorKind::PermissionDenied => RegionError::NoPermission { path, access },
        _ => RegionError::Io { action, what: path.display().to_string(), source },
    }
}

#[cfg(test)]
mod tests;
