//! The destination of rows: stdout, or a file that is there complete or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use farrow_region::trust::follow;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tempfile::NamedTempFile;

use crate::exit::Failure;
use crate::output::Stdout;

/// The mode of a new file, before the umask.
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

/// Paths that are stdout. To write there by a path would begin a file anew to which others write as well.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

impl Destination {
    /// `None`, `-` and the names that the system has for it are stdout.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path.filter(|path| !STDOUT.iter().any(|stdout| path.as_os_str() == *stdout)) else {
            return Ok(Self::Stdout(Stdout));
        };
        let named = || path.display().to_string();
        // The code below knows paths by their components, and neither ending is one.
        let bytes = path.as_os_str().as_bytes();
        if (bytes.ends_with(b"/") || bytes.ends_with(b"/.")) && !path.is_dir() {
            return Err(
                Failure::usage(format!("{}: there is no such directory: name a file", named())).into()
            );
        }
        // Of a link, what it leads to is replaced: but not of another user's in a directory where everybody may make one.
        let path = follow(path)?;
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
        let part = removed_when_told_to_end()?;
        // An end by a signal that comes meanwhile waits for the path.
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        let file = tempfile::Builder::new()
            .prefix(".farrow-")
            .suffix(".part")
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(directory)
            .map_err(|error| unmade(directory, &error))
            .with_context(named)?;
        *part = Some(file.path().to_owned());
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

/// The error without the name of the file that nobody asked for.
fn unmade(directory: &Path, error: &io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::NotFound {
        return io::Error::new(error.kind(), format!("there is no directory {}", directory.display()));
    }
    let told = error.to_string();
    io::Error::new(error.kind(), told.split(" at path ").next().unwrap_or(&told).to_owned())
}

/// The file that is removed before a signal ends this process, as the signal would have.
fn removed_when_told_to_end() -> io::Result<Arc<Mutex<Option<PathBuf>>>> {
    // What was ignored when this process began (nohup, a job in a shell's background) stays so.
    let ignored = ignored_signals()?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP].iter().filter(|signal| !ignored(**signal)))?;
    let part = Arc::new(Mutex::new(None));
    let removed = Arc::clone(&part);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // It may be in its place already. Kept locked: nothing is made after this.
            let removed = removed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(part) = &*removed {
                let _ = std::fs::remove_file(part);
            }
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(part)
}

/// Returns a function that says whether this process ignores a signal: `SigIgn` of proc(5), bit 0 is signal 1.
fn ignored_signals() -> io::Result<impl Fn(i32) -> bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    Ok(move |signal: i32| mask & (1 << (signal - 1)) != 0)
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
