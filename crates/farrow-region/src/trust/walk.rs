//! The way to a file, one name at a time. Each name is looked up in the directory that was looked at before it, so nobody
//! can put another directory or link on the way meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstatfs, openat, readlinkat};
use rustix::io::Errno;

use super::{Distrust, at};
use crate::FileIdentity;

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// The type of a proc(5) file system in statfs(2).
const PROC: i64 = 0x9fa0;

/// Goes from the root to `path`, name by name and link by link, as the kernel does, and has `check` look at each step.
pub(super) fn walk(
    path: &Path,
    mut check: impl FnMut(Step<'_>) -> Result<(), Distrust>,
) -> Result<End, Distrust> {
    let absolute = std::path::absolute(path).map_err(at(path))?;
    let mut left = Vec::new();
    push(&mut left, &absolute);
    let mut here = Node::root()?;
    let mut last = None;
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            let (mut above, node) = (here.path.clone(), here.enter(OsStr::new(".."), OFlags::DIRECTORY));
            above.pop();
            here = Node { path: above, ..node.map_err(at(&here.path))? };
            last = None;
            continue;
        }
        let entry = match here.look_at(&name) {
            // Nothing is there that could lead elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = left.iter().rev().fold(here.path.join(&name), |path, name| path.join(name));
                return Ok(End { path, there: None });
            }
            entry => entry.map_err(at(&here.path.join(&name)))?,
        };
        check(Step { directory: &here.found, path: &entry.path, found: &entry.found })?;
        if !entry.found.is_symlink() {
            last = Some(Way {
                directory: std::mem::replace(&mut here, entry).file,
                name,
                flags: OFlags::NOFOLLOW,
            });
        } else if here.is_proc() {
            // A link of proc leads to what has no name: it stays one.
            let led = here.enter(&name, OFlags::empty()).map_err(at(&entry.path))?;
            last =
                Some(Way { directory: std::mem::replace(&mut here, led).file, name, flags: OFlags::empty() });
        } else {
            links += 1;
            if links > MAX_LINKS {
                return Err(at(path)(Errno::LOOP.into()));
            }
            let target = entry.target().map_err(at(&entry.path))?;
            last = None;
            if target.is_absolute() {
                here = Node::root()?;
            }
            push(&mut left, &target);
        }
    }
    let Node { path, file, found } = here;
    Ok(End { path, there: last.map(|way| There { way, file, found }) })
}

/// One name on the way.
pub(super) struct Step<'a> {
    /// The directory that it is in.
    pub(super) directory: &'a Metadata,
    pub(super) path: &'a Path,
    /// Of a link its own.
    pub(super) found: &'a Metadata,
}

/// The end of a path.
pub(super) struct End {
    /// Without links. From where nothing is there any more, as it was given.
    pub(super) path: PathBuf,
    /// `None` of the root, and of what is not there.
    pub(super) there: Option<There>,
}

/// The file at the end of a path: looked at and held, not opened.
pub(super) struct There {
    way: Way,
    file: File,
    pub(super) found: Metadata,
}

impl There {
    /// Opens it for reading, whatever it is by now, without a wait for who writes a pipe.
    pub(super) fn open(&self) -> io::Result<File> {
        let Way { directory, name, flags } = &self.way;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | *flags;
        Ok(openat(directory, name.as_os_str(), flags, Mode::empty())?.into())
    }

    /// Checks whether an open file is the one that was looked at.
    pub(super) fn is(&self, file: &File) -> io::Result<bool> {
        Ok(FileIdentity::of(file)? == FileIdentity::of(&self.file)?)
    }
}

/// A way to open the end of a path.
struct Way {
    directory: File,
    name: OsString,
    flags: OFlags,
}

/// A file that is held, but not open for reading.
struct Node {
    path: PathBuf,
    file: File,
    found: Metadata,
}

impl Node {
    fn root() -> Result<Self, Distrust> {
        let path = PathBuf::from("/");
        let flags = OFlags::PATH.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).map_err(at(&path))?;
        let found = file.metadata().map_err(at(&path))?;
        Ok(Self { path, file, found })
    }

    /// Returns what has this name here: a link itself.
    fn look_at(&self, name: &OsStr) -> io::Result<Self> {
        // To ask for a directory has it mounted where that is done on demand.
        match self.enter(name, OFlags::NOFOLLOW | OFlags::DIRECTORY) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => self.enter(name, OFlags::NOFOLLOW),
            entry => entry,
        }
    }

    fn enter(&self, name: &OsStr, flags: OFlags) -> io::Result<Self> {
        let file = openat(&self.file, name, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty())?;
        let file = File::from(file);
        let found = file.metadata()?;
        Ok(Self { path: self.path.join(name), file, found })
    }

    /// Returns what a link says.
    fn target(&self) -> io::Result<PathBuf> {
        Ok(OsString::from_vec(readlinkat(&self.file, c"", Vec::new())?.into_bytes()).into())
    }

    fn is_proc(&self) -> bool {
        fstatfs(&self.file).is_ok_and(|found| found.f_type == PROC)
    }
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
