//! The famfs program, which alone makes files on a mounted famfs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::MountFault;

/// Characters of what the program says that an error repeats: its last ones.
const SAID: usize = 400;

/// The `famfs` program of the famfs tools (commands and options as of commit 5d0919f).
///
/// It waits for as long as another process has the lock on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamfsTools {
    program: PathBuf,
}

impl FamfsTools {
    /// The program of that path, or of that name on PATH.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Makes a directory and those it lies in, where they are missing. Returns what was run.
    pub(super) fn mkdir(&self, directory: &Path) -> Result<String, MountFault> {
        self.run(&["mkdir", "-p", "-m", "0755"].map(OsStr::new), directory)
    }

    /// Makes a file of `len` bytes, in one piece, which only its owner may open. Returns what was run.
    ///
    /// A file of that length that is there stays as it is.
    pub(super) fn creat(&self, file: &Path, len: u64) -> Result<String, MountFault> {
        let len = OsString::from(len.to_string());
        // Short options alone: the program loses its place among long ones. The zeros are for no interleaving,
        // whatever `.meta/.alloc.cfg` says: a catalog is one piece.
        let options = ["creat", "-C", "0", "-N", "0", "-B", "0", "-m", "0600", "-s"].map(OsStr::new);
        self.run(&[&options[..], &[&len]].concat(), file)
    }

    fn run(&self, args: &[&OsStr], path: &Path) -> Result<String, MountFault> {
        let mut command = Command::new(&self.program);
        command.args(args).arg(path).stdin(Stdio::null());
        let told = std::iter::once(self.program.as_os_str())
            .chain(args.iter().copied())
            .chain([path.as_os_str()])
            .map(OsStr::to_string_lossy)
            .collect::<Vec<_>>()
            .join(" ");
        let output = command
            .output()
            .map_err(|source| MountFault::NoTools { program: self.program.clone(), source })?;
        if !output.status.success() {
            let said = last(&String::from_utf8_lossy(&output.stderr));
            return Err(MountFault::ToolFailed { command: told, status: output.status.to_string(), said });
        }
        Ok(told)
    }
}

/// The end of a text in one line, without what a terminal would take for more than text.
fn last(text: &str) -> String {
    let text = text.trim();
    let skip = text.chars().count().saturating_sub(SAID);
    let end = text.chars().skip(skip);
    end.map(|character| if character.is_control() { ' ' } else { character }).collect()
}
