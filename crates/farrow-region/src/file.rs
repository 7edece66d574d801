//! A medium that has a path: a regular file (tmpfs, hugetlbfs, any file system), a device-dax node, a PCI
//! BAR.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use crate::denial::{Permission, denial};
use crate::identity::FileIdentity;
use crate::losses::Loss;
use crate::mapping::WholeMapping;
use crate::media::{Access, Coherency, Media, aligned, within};
use crate::medium::{Medium, MediumKind, SYSFS};
use crate::pages::{PageUse, is_direct};
use crate::trust::{Distrust, follow};
use crate::{RegionError, cache};

mod creation;

/// The shortest medium, in bytes: one page.
const LEAST: u64 = 4096;

/// A medium that has a path, a file or a device, all of it mapped: [`open`](Self::open) looks which.
///
/// Opened for writing, it is locked (flock, exclusive) for as long as this value lives. All of a file's
/// blocks are allocated and all pages faulted in: writing to it cannot fail for lack of memory. The lock
/// is on the file or node that was opened: it keeps out agents of this host, not those of another one
/// that shares the memory, nor one that opens a second node of the same device.
pub struct FileMedia {
    // Unmapped before the file, and with it the lock, is given up.
    mapping: WholeMapping,
    medium: Medium,
    file: File,
    path: PathBuf,
    access: Access,
    coherency: Coherency,
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
    /// [`TooShort`](RegionError::TooShort) below 4096 bytes, [`LenUnaligned`](RegionError::LenUnaligned) on
    /// hugetlbfs, [`AlreadyExists`](RegionError::AlreadyExists), [`InUse`](RegionError::InUse),
    /// [`NotAFile`](RegionError::NotAFile), [`IsADevice`](RegionError::IsADevice),
    /// [`NoPermission`](RegionError::NoPermission), [`NoDirectory`](RegionError::NoDirectory),
    /// [`NoSpace`](RegionError::NoSpace), [`Io`](RegionError::Io). No new file is left behind.
    pub fn create(path: impl AsRef<Path>, len: u64, overwrite: bool) -> Result<Self, RegionError> {
        Self::create_with(path.as_ref(), len, overwrite, allocate)
    }

    /// Opens the medium at `path`: a regular file, a device-dax node or a PCI BAR (`resource2`; its memory
    /// is uncached, that of `resource2_wc` write-combining).
    ///
    /// A device's size and alignment are read from sysfs and checked before it is opened and mapped.
    ///
    /// # Errors
    ///
    /// [`Missing`](RegionError::Missing), [`NoPermission`](RegionError::NoPermission),
    /// [`NotAFile`](RegionError::NotAFile), [`TooShort`](RegionError::TooShort) below 4096 bytes,
    /// [`Sysfs`](RegionError::Sysfs) if a device is not as a medium must be, [`Io`](RegionError::Io); for writing also [`InUse`](RegionError::InUse) and, if the file has holes
    /// that cannot be filled, [`NoSpace`](RegionError::NoSpace).
    pub fn open(path: impl AsRef<Path>, access: Access) -> Result<Self, RegionError> {
        Self::open_in(Path::new(SYSFS), path.as_ref(), access)
    }

    /// Sets who keeps the hosts' caches in step; [`Coherent`](Coherency::Coherent) if nothing is said.
    #[must_use]
    pub fn with_coherency(self, coherency: Coherency) -> Self {
        Self { coherency, ..self }
    }

    /// The file's path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what the medium was opened for.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Returns what the medium lies in.
    pub fn kind(&self) -> MediumKind {
        self.medium.kind
    }

    /// By which pages the medium is mapped, now: huge pages are asked for where the medium is opened, and
    /// this says what has come of it. Opened for reading, a page counts from its first access on.
    ///
    /// The kernel walks the mappings of the whole process to answer: for the start, not for the way of a
    /// request.
    ///
    /// # Errors
    ///
    /// [`Io`](RegionError::Io): /proc is not mounted.
    pub fn page_use(&self) -> Result<PageUse, RegionError> {
        PageUse::of(self.mapping.addresses(), is_direct(self.file.as_fd())).map_err(|source| {
            RegionError::Io { action: "find in /proc/self/smaps", what: self.describe(), source }
        })
    }

    /// Checks whether the file has all the bytes it had when it was opened. One system call (fstat).
    ///
    /// Somebody with the right to write it may have truncated it; what was in it is lost then (what comes
    /// of touching it, the crate's documentation says): to be asked before much is read, and from time to
    /// time. Devices do not shrink.
    ///
    /// # Errors
    ///
    /// [`Shrunk`](RegionError::Shrunk), [`Io`](RegionError::Io).
    pub fn check_len(&self) -> Result<(), RegionError> {
        if self.medium.kind != MediumKind::File {
            return Ok(());
        }
        let found =
            self.file.metadata().map_err(|e| path_error(&self.path, self.access, "look at", e))?.len();
        if found < self.medium.len {
            return Err(RegionError::Shrunk { what: self.describe(), len: self.medium.len, found });
        }
        Ok(())
    }

    /// Checks whether all accesses to `len` bytes at `offset` so far have reached the medium's own memory.
    ///
    /// # Errors
    ///
    /// [`Lost`](RegionError::Lost), or [`Shrunk`](RegionError::Shrunk) if that is why;
    /// [`OutOfBounds`](RegionError::OutOfBounds).
    pub fn check_intact(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        let at = self.check(offset, len)?;
        let len = usize::try_from(len).map_err(|_| RegionError::TooLarge { len })?;
        self.touched(at, len)
    }

    /// Puts the page around `offset` on record as poisoned, for tests on machines that cannot poison one. What is
    /// there stays.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](RegionError::OutOfBounds).
    #[cfg(any(test, feature = "testing"))]
    pub fn lose(&self, offset: u64) -> Result<(), RegionError> {
        self.mapping.lose(self.check(offset, 1)?);
        Ok(())
    }

    /// Returns which file or device it is, whatever its path means by now.
    ///
    /// # Errors
    ///
    /// [`Io`](RegionError::Io).
    pub fn identity(&self) -> Result<FileIdentity, RegionError> {
        FileIdentity::of(&self.file).map_err(|e| path_error(&self.path, self.access, "look at", e))
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

    /// [`open`](Self::open) with another sysfs, so that tests can make devices up.
    fn open_in(sysfs: &Path, path: &Path, access: Access) -> Result<Self, RegionError> {
        let target = &followed(path, access)?;
        // Looked at before it is opened: opening a pipe waits and opening a device may act.
        fs::metadata(target).map_err(|e| path_error(path, access, "look at", e))?;
        Medium::called(path, target, sysfs)?;
        let file = open_file(path, target, access)?;
        if access == Access::ReadWrite {
            lock(path, &file)?;
        }
        // Again, now that the path cannot come to mean something else.
        let medium = Medium::of(file.as_fd(), path.display().to_string(), sysfs)?;
        check_len(path, medium.len)?;
        if access == Access::ReadWrite && medium.kind == MediumKind::File {
            match allocate(&file, medium.len) {
                // No way to fill holes here; faulting the pages in will tell.
                Err(e) if is(&e, Errno::OPNOTSUPP) => {}
                Err(e) if is(&e, Errno::NOSPC) => {
                    return Err(no_space(path, medium.len, room(directory_of(path))));
                }
                result => result.map_err(|e| path_error(path, access, "allocate", e))?,
            }
        }
        Self::map(path, file, medium, access)
    }

    fn map(path: &Path, file: File, medium: Medium, access: Access) -> Result<Self, RegionError> {
        let bytes = usize::try_from(medium.len).map_err(|_| RegionError::TooLarge { len: medium.len })?;
        let mapping = WholeMapping::new(&file, bytes, medium.unit, access)
            .map_err(|e| path_error(path, access, "map", e))?;
        // A BAR's pages are all there from the beginning, and are no memory that could be faulted in.
        if access == Access::ReadWrite && medium.kind != MediumKind::PciBar {
            mapping.populate().map_err(|e| path_error(path, access, "fault in every page of", e))?;
        }
        Ok(Self { mapping, medium, file, path: path.to_owned(), access, coherency: Coherency::default() })
    }

    fn check(&self, offset: u64, len: u64) -> Result<usize, RegionError> {
        within(|| self.describe(), offset, len, self.medium.len)
    }

    /// Ends an access: checks whether the bytes that it has touched were there.
    fn touched(&self, at: usize, len: usize) -> Result<(), RegionError> {
        match self.mapping.lost(&(at..at + len)) {
            None => Ok(()),
            Some(loss) => Err(self.lost(loss)),
        }
    }

    #[cold]
    fn lost(&self, loss: Loss) -> RegionError {
        match self.check_len() {
            Err(shrunk @ RegionError::Shrunk { .. }) => shrunk,
            _ => RegionError::Lost {
                what: self.describe(),
                offset: loss.offset as u64,
                len: loss.len as u64,
                cause: loss.cause,
            },
        }
    }

    /// Refuses to write a medium that was opened for reading.
    pub(crate) fn check_writable(&self) -> Result<(), RegionError> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(RegionError::ReadOnly { what: self.describe() }),
        }
    }
}

impl Media for FileMedia {
    fn len(&self) -> u64 {
        self.medium.len
    }

    fn unit(&self) -> u64 {
        self.medium.unit as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError> {
        let at = self.check(offset, out.len() as u64)?;
        self.mapping.bytes().read(at, out);
        self.touched(at, out.len())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        self.check_writable()?;
        let at = self.check(offset, data.len() as u64)?;
        self.mapping.bytes().write(at, data);
        self.touched(at, data.len())
    }

    fn load_u64(&self, offset: u64) -> Result<u64, RegionError> {
        aligned(|| self.describe(), offset)?;
        let at = self.check(offset, 8)?;
        let value = self.mapping.bytes().load(at);
        self.touched(at, 8)?;
        Ok(value)
    }

    fn store_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        self.check_writable()?;
        aligned(|| self.describe(), offset)?;
        let at = self.check(offset, 8)?;
        self.mapping.bytes().store(at, value);
        self.touched(at, 8)
    }

    fn persist(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        self.check_writable()?;
        let at = self.check(offset, len)?;
        // `check` has found offset + len to be within memory, so `len` is a usize.
        let len = usize::try_from(len).map_err(|_| RegionError::TooLarge { len })?;
        cache::write_back(self.mapping.bytes().words(at, len), self.coherency);
        self.touched(at, len)
    }

    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        let at = self.check(offset, len)?;
        let len = usize::try_from(len).map_err(|_| RegionError::TooLarge { len })?;
        cache::invalidate(self.mapping.bytes().words(at, len), self.coherency);
        self.touched(at, len)
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

impl fmt::Debug for FileMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileMedia")
            .field("path", &self.path)
            .field("len", &self.medium.len)
            .field("access", &self.access)
            .field("coherency", &self.coherency)
            .finish_non_exhaustive()
    }
}

/// Returns where a path leads, not by another user's link.
fn followed(path: &Path, access: Access) -> Result<PathBuf, RegionError> {
    follow(path).map_err(|error| match error {
        Distrust::Io { source, .. } => path_error(path, access, "look at", source),
        error => error.into(),
    })
}

/// Opens `target`, to which `path` leads.
fn open_file(path: &Path, target: &Path, access: Access) -> Result<File, RegionError> {
    OpenOptions::new()
        .read(true)
        .write(access == Access::ReadWrite)
        .open(target)
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
        io::ErrorKind::PermissionDenied => {
            let wanted = match access {
                Access::ReadOnly => Permission::Read,
                Access::ReadWrite => Permission::ReadWrite,
            };
            RegionError::NoPermission { denial: denial(&path, wanted), path, access }
        }
        _ => RegionError::Io { action, what: path.display().to_string(), source },
    }
}

#[cfg(test)]
mod tests;
