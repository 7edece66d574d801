//! Where rows are written: stdout, or a file that is there complete or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use crate::exit::Failure;
use crate::output::Stdout;

/// What a new file may be, before the umask.
const MODE: u32 = 0o666;

pub(crate) enum Destination {
    Stdout(Stdout),
    /// Becomes the file at the path when it is finished; dropped before, it leaves nothing.
    New {
        file: NamedTempFile,
        path: PathBuf,
    },
    /// A pipe or a device: there is nothing to replace.
    There(File),
}

impl Destination {
    /// `None` and `-` are stdout.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
            return Ok(Self::Stdout(Stdout));
        };
        let named = || path.display().to_string();
        // Of a link, what it leads to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                return Err(Failure::usage(format!("{}: a directory: name a file", named())).into());
            }
            Ok(metadata) if !metadata.is_file() => {
                return Ok(Self::There(File::options().write(true).open(&path).with_context(named)?));
            }
            _ => {}
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".farrow-")
            .suffix(".part")
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(directory)
            .with_context(named)?;
        Ok(Self::New { file, path })
    }

    /// Puts the file in its place.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        if let Self::New { file, path } = self {
            file.persist(&path).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::New { file, .. } => file.write(bytes),
            Self::There(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::New { file, .. } => file.flush(),
            Self::There(file) => file.flush(),
        }
    }
}
