//! Paths that are believed: who could have put there what is found there.
//!
//! A **place of our own** ([`check_directory`]), where a program finds sockets or keeps state without being told, must
//! belong to its user or to root, as must every directory and link on the way, and nobody else may write it: the rule of
//! OpenSSH's StrictModes and of sudo. Directories on the way may be open to everybody if they are sticky (/tmp,
//! /dev/shm).
//!
//! A **path that was given** ([`follow`]) is followed, but not through a link that another user has planted in a directory
//! where everybody may make files. That is the kernel's fs.protected_symlinks, which a system need not have set, and which
//! realpath passes by. Likewise a named pipe.
//!
//! A **file with a secret or with rules** ([`read_file`]) must not be open to every user of the host. Nothing that leads to
//! it, and not the file itself, may be what another user has put into a directory where others may make files.

mod walk;

use std::fs::{self, DirBuilder, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::geteuid;

use self::walk::{Step, walk};
use crate::shell::operand;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// The reasons why a path is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// It cannot be looked at.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path, or a part of it.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is something else than it must be.
    #[error("{}: no {expected}", path.display())]
    Kind {
        /// The path, or a part of it.
        path: PathBuf,
        /// The kind of file that it must be.
        expected: &'static str,
    },
    /// Another user could change what is found there.
    #[error(
        "{}: belongs to user {owner}, who could change what is there: it must be user {user}'s or root's",
        path.display()
    )]
    Owner {
        /// The path, or a part of it.
        path: PathBuf,
        /// The owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// Other users could change what is found there.
    #[error(
        "{}: its mode {mode:04o} lets other users change what is there. Try: {}",
        path.display(), closing(path, *mode)
    )]
    Writable {
        /// The path, or a part of it.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Every user can read a secret.
    #[error("{}: its mode {mode:04o} lets every user of this host at it. Try: `chmod o= {}`", path.display(), operand(path.display()))]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is longer than what it should be.
    #[error("{}: longer than {limit} bytes", path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// The most that it may have.
        limit: u64,
    },
    /// Another user has put it where others make files.
    #[error(
        "{}: a {kind} that user {owner} has put into a directory where others may make files: it is not {}",
        path.display(), avoidance(kind)
    )]
    Planted {
        /// The link, pipe, file or directory.
        path: PathBuf,
        /// One of these words.
        kind: &'static str,
        /// The owner.
        owner: u32,
    },
    /// Between two looks at it, something else has been put there.
    #[error("{}: another file was put there meanwhile: it is not read. Try: again, once nobody writes it", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
}

/// The access to a file that nobody else may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It may be read by everybody, and written by its owner and group.
    Rules,
    /// It may be read by its owner and group.
    Secret,
}

/// Refuses a directory unless only this user and root can have put there what is in it, and can change it.
///
/// # Errors
/// The fault of the directory, or of a directory or link on the way to it.
pub fn check_directory(path: &Path) -> Result<(), Distrust> {
    let users = Trusted::now()?;
    let directory = walk(path, |step| users.check_step(&step))?.path;
    let found = fs::metadata(&directory).map_err(at(&directory))?;
    if !found.is_dir() {
        return Err(Distrust::Kind { path: directory, expected: "directory" });
    }
    // A sticky one is open to new files of others, who need not replace those that are there.
    users.check(&directory, &found, GROUP_WRITES | OTHERS_WRITE, false)
}

/// Makes a directory and those above it, which nobody else may write whatever the umask, and checks it.
///
/// # Errors
/// As [`check_directory`].
pub fn own_directory(path: &Path) -> Result<(), Distrust> {
    make_directory(path)?;
    check_directory(path)
}

/// Makes a directory and those above it, as far as they are not there. Nobody else may write them, whatever the umask.
///
/// # Errors
/// [`Distrust::Io`].
fn make_directory(path: &Path) -> Result<(), Distrust> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(at(path))
}

/// The path without links, to be opened or replaced. From where nothing is there any more, it is as it was given.
///
/// # Errors
/// [`Distrust::Planted`], [`Distrust::Io`].
pub fn follow(path: &Path) -> Result<PathBuf, Distrust> {
    let users = Trusted::now()?;
    let end = walk(path, |step| {
        let kind = step.found.file_type();
        if kind.is_symlink() || kind.is_fifo() { users.check_unplanted(&step, OTHERS_WRITE) } else { Ok(()) }
    })?;
    Ok(end.path)
}

/// The content of a file of at most `limit` bytes, which other users of this host may not read or change as `guard` says,
/// and have not put there.
///
/// # Errors
/// The fault of the file, or of what leads to it.
pub fn read_file(path: &Path, limit: u64, guard: Guard) -> Result<Vec<u8>, Distrust> {
    read_file_when(path, limit, guard, || {})
}

/// [`read_file`], with what a test does between the look at the file and its opening.
fn read_file_when(path: &Path, limit: u64, guard: Guard, looked: impl FnOnce()) -> Result<Vec<u8>, Distrust> {
    let users = Trusted::now()?;
    let end = walk(path, |step| users.check_unplanted(&step, GROUP_WRITES | OTHERS_WRITE))?;
    let path = end.path;
    let Some(there) = end.there else {
        let missing = |_| at(&path)(Errno::NOENT.into());
        return Err(fs::symlink_metadata(&path).map_or_else(missing, |_| no_file(&path)));
    };
    // Not opened: the opening of a device may act.
    if !there.found.is_file() {
        return Err(no_file(&path));
    }
    looked();
    let file = there.open().map_err(at(&path))?;
    let found = file.metadata().map_err(at(&path))?;
    if !there.is(&file).map_err(at(&path))? {
        return Err(Distrust::Replaced { path });
    }
    let mode = found.mode() & 0o777;
    if guard == Guard::Secret && mode & 0o007 != 0 {
        return Err(Distrust::Exposed { path, mode });
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(Distrust::Writable { path, mode });
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(at(&path))?;
    if bytes.len() as u64 > limit {
        return Err(Distrust::Long { path, limit });
    }
    Ok(bytes)
}

fn no_file(path: &Path) -> Distrust {
    Distrust::Kind { path: path.to_owned(), expected: "regular file" }
}

/// The users to whom a place of our own may belong.
struct Trusted {
    user: u32,
    /// Of `/`: root, or what root looks like in a namespace that does not know it.
    system: u32,
}

impl Trusted {
    fn now() -> Result<Self, Distrust> {
        let root = Path::new("/");
        let system = fs::metadata(root).map_err(at(root))?.uid();
        Ok(Self { user: geteuid().as_raw(), system })
    }

    fn check_step(&self, step: &Step<'_>) -> Result<(), Distrust> {
        if step.found.is_symlink() {
            return self.check_owner(step.path, step.found);
        }
        // The last one is looked at again, more closely.
        self.check(step.path, step.found, OTHERS_WRITE, true)
    }

    fn check(&self, path: &Path, found: &Metadata, nobody: u32, sticky: bool) -> Result<(), Distrust> {
        self.check_owner(path, found)?;
        let mode = found.mode() & 0o7777;
        if mode & of_others(nobody, found) != 0 && !(sticky && mode & STICKY != 0) {
            return Err(Distrust::Writable { path: path.to_owned(), mode });
        }
        Ok(())
    }

    fn check_owner(&self, path: &Path, found: &Metadata) -> Result<(), Distrust> {
        let owner = found.uid();
        if self.is_one(owner) {
            return Ok(());
        }
        Err(Distrust::Owner { path: path.to_owned(), owner, user: self.user })
    }

    /// Refuses what another user has put into a directory where `others` may make files, as the kernel's
    /// fs.protected_symlinks, protected_fifos and protected_regular do. A directory's owner may put anything there.
    fn check_unplanted(&self, step: &Step<'_>, others: u32) -> Result<(), Distrust> {
        let (directory, owner) = (step.directory, step.found.uid());
        let open = directory.mode() & of_others(others, directory) != 0;
        if !open || self.is_one(owner) || owner == directory.uid() {
            return Ok(());
        }
        Err(Distrust::Planted { path: step.path.to_owned(), kind: kind(step.found.file_type()), owner })
    }

    fn is_one(&self, owner: u32) -> bool {
        owner == 0 || owner == self.user || owner == self.system
    }
}

/// Returns which of these bits let others in: root's group is root, and so are the directories of containers that run as
/// any user.
fn of_others(bits: u32, found: &Metadata) -> u32 {
    if found.gid() == 0 { bits & !GROUP_WRITES } else { bits }
}

/// Returns how to keep others from writing there. A sticky directory (/tmp) is everybody's, and stays open.
fn closing(path: &Path, mode: u32) -> String {
    if mode & STICKY != 0 {
        return "a directory of your own in it".into();
    }
    format!("`chmod go-w {}`", operand(path.display()))
}

/// Returns how to do without what another user has put there.
fn avoidance(kind: &str) -> &'static str {
    match kind {
        LINK => "followed. Try: the path that it leads to, if that is the right one",
        _ => "read. Try: a file of your own, in a directory that only you can write",
    }
}

const LINK: &str = "link";

fn kind(found: FileType) -> &'static str {
    match found {
        _ if found.is_symlink() => LINK,
        _ if found.is_dir() => "directory",
        _ if found.is_fifo() => "named pipe",
        _ => "file",
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Distrust + '_ {
    |source| Distrust::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
