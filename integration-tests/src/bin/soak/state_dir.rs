//! The agents' state directory on a file system of its own, so that it can be full, or not be written.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bytes of the file system: room for a few records of holders.
const SIZE: &str = "64k";

/// A directory on a tmpfs, mounted as long as this lives.
pub(crate) struct StateDir {
    path: PathBuf,
}

/// It is full, or cannot be written, as long as this lives.
pub(crate) enum Spoilt<'a> {
    Full { filler: PathBuf },
    ReadOnly { directory: &'a Path },
}

impl StateDir {
    /// Mounts one at `path`, which is made. An error where this process may not mount.
    pub(crate) fn at(path: &Path) -> Result<Self, String> {
        fs::create_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let size = format!("size={SIZE},mode=0700");
        mount(&["-t", "tmpfs", "-o", &size, "farrow-soak"], path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Fills it up.
    pub(crate) fn fill(&self) -> Spoilt<'_> {
        let filler = self.path.join("filler");
        let mut file = File::create(&filler).expect("a file can be made");
        let full = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        Spoilt::Full { filler }
    }

    /// Puts a file system in its place that nobody can write. (It cannot become one itself: the agent has its lock file
    /// open to be written.)
    pub(crate) fn forbid(&self) -> Spoilt<'_> {
        mount(&["-t", "tmpfs", "-o", "ro", "farrow-soak"], &self.path).expect("one was mounted before");
        Spoilt::ReadOnly { directory: &self.path }
    }
}

impl Drop for Spoilt<'_> {
    fn drop(&mut self) {
        match self {
            Self::Full { filler } => fs::remove_file(filler).expect("a file can be removed"),
            Self::ReadOnly { directory } => {
                run(Command::new("umount").arg(directory)).expect("nobody has anything open there");
            }
        }
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // An agent that is still there has it open.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.path));
    }
}

fn mount(args: &[&str], path: &Path) -> Result<(), String> {
    run(Command::new("mount").args(args).arg(path)).map_err(|error| error.to_string())
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
