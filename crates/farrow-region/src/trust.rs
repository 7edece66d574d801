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
//! A **file with a secret or with rules** ([`read_file`]) must not be open to every user of the host.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{OFlags, statfs};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::shell::operand;

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// The type of a proc(5) file system in statfs(2).
const PROC: i64 = 0x9fa0;

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
    /// Somebody else has put a link or a pipe where everybody may.
    #[error(
        "{}: a link or pipe that user {owner} has put into a directory where everybody makes files: it is not followed. \
         Name another path, or what it leads to",
        path.display()
    )]
    Planted {
        /// The link.
        path: PathBuf,
        /// The owner.
        owner: u32,
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
    let directory = walk(path, |step| users.check_step(&step))?;
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
    let user = geteuid().as_raw();
    walk(path, |Step { directory, path, found }| {
        let (kind, owner) = (found.file_type(), found.uid());
        let planted = (kind.is_symlink() || kind.is_fifo())
            && directory.mode() & OTHERS_WRITE != 0
            && owner != user
            && owner != directory.uid();
        if planted { Err(Distrust::Planted { path: path.to_owned(), owner }) } else { Ok(()) }
    })
}

/// The content of a file of at most `limit` bytes, which other users of this host may not read or change as `guard` says.
///
/// # Errors
/// The fault of the file.
pub fn read_file(path: &Path, limit: u64, guard: Guard) -> Result<Vec<u8>, Distrust> {
    // Not to wait at a named pipe for who writes it.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(at(path))?;
    let found = file.metadata().map_err(at(path))?;
    let (path, mode) = (path.to_owned(), found.mode() & 0o777);
    if !found.is_file() {
        return Err(Distrust::Kind { path, expected: "regular file" });
    }
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
        // Root's group is root: so are the directories of containers that run as any user.
        let nobody = if found.gid() == 0 { nobody & !GROUP_WRITES } else { nobody };
        if mode & nobody != 0 && !(sticky && mode & STICKY != 0) {
            return Err(Distrust::Writable { path: path.to_owned(), mode });
        }
        Ok(())
    }

    fn check_owner(&self, path: &Path, found: &Metadata) -> Result<(), Distrust> {
        let owner = found.uid();
        if owner == 0 || owner == self.user || owner == self.system {
            return Ok(());
        }
        Err(Distrust::Owner { path: path.to_owned(), owner, user: self.user })
    }
}

/// One name on the way.
struct Step<'a> {
    /// The directory that it is in.
    directory: &'a Metadata,
    path: &'a Path,
    /// Of a link its own.
    found: &'a Metadata,
}

/// Goes from the root to `path`, name by name and link by link, as the kernel does; where it comes to.
fn walk(path: &Path, mut step: impl FnMut(Step<'_>) -> Result<(), Distrust>) -> Result<PathBuf, Distrust> {
    let absolute = std::path::absolute(path).map_err(at(path))?;
    let mut left = Vec::new();
    push(&mut left, &absolute);
    let (mut here, mut directory) = root()?;
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            here.pop();
            directory = fs::metadata(&here).map_err(at(&here))?;
            continue;
        }
        let entry = here.join(&name);
        let found = match fs::symlink_metadata(&entry) {
            // Nothing is there that could lead elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(left.iter().rev().fold(entry, |path, name| path.join(name)));
            }
            found => found.map_err(at(&entry))?,
        };
        step(Step { directory: &directory, path: &entry, found: &found })?;
        if found.is_symlink() && !is_proc(&here) {
            links += 1;
            if links > MAX_LINKS {
                return Err(at(path)(Errno::LOOP.into()));
            }
            let target = fs::read_link(&entry).map_err(at(&entry))?;
            if target.is_absolute() {
                (here, directory) = root()?;
            }
            push(&mut left, &target);
            continue;
        }
        // A link of proc leads to what has no name: it stays one.
        directory = if found.is_symlink() { fs::metadata(&entry).map_err(at(&entry))? } else { found };
        here = entry;
    }
    Ok(here)
}

fn root() -> Result<(PathBuf, Metadata), Distrust> {
    let root = PathBuf::from("/");
    let found = fs::metadata(&root).map_err(at(&root))?;
    Ok((root, found))
}

/// Puts the names of a path before those that are left.
fn push(left: &mut Vec<OsString>, path: &Path) {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    left.extend(names);
}

fn is_proc(directory: &Path) -> bool {
    statfs(directory).is_ok_and(|found| found.f_type == PROC)
}

/// Returns how to keep others from writing there. A sticky directory (/tmp) is everybody's, and stays open.
fn closing(path: &Path, mode: u32) -> String {
    if mode & STICKY != 0 {
        return "a directory of your own in it".into();
    }
    format!("`chmod go-w {}`", operand(path.display()))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Distrust + '_ {
    |source| Distrust::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
