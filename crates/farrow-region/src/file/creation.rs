//! Making a new file, and what happens to the one that was there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::io::Errno;

use super::{FileMedia, check_len, directory_of, followed, is, lock, no_space, open_file, path_error, room};
use crate::RegionError;
use crate::media::Access;
use crate::medium::{Medium, MediumKind, SYSFS, page_of};

impl FileMedia {
    /// [`create`](Self::create) with another way to allocate, so that tests can see it fail.
    pub(super) fn create_with(
        path: &Path,
        len: u64,
        overwrite: bool,
        allocate: impl FnOnce(&File, u64) -> io::Result<()>,
    ) -> Result<Self, RegionError> {
        check_len(path, len)?;
        // Through a symbolic link the file it names is replaced, not the link.
        let target = &*followed(path, Access::ReadWrite)?;
        let old = Old::find(path, target, overwrite)?;
        let directory = directory_of(target);
        let failed = |action| move |e| path_error(path, Access::ReadWrite, action, e);

        // Asked before anything is lost.
        if let Ok(file_system) = rustix::fs::statfs(directory) {
            check_pages(path, len, page_of(&file_system))?;
        }
        // Likewise, and before some file systems fill themselves up to find out.
        let available = room(directory).map(|free| free.saturating_add(old.as_ref().map_or(0, Old::bytes)));
        if available.is_some_and(|available| available < len) {
            return Err(no_space(path, len, available));
        }
        if let Some(old) = old {
            fs::remove_file(target).map_err(failed("replace"))?;
            // Its bytes are free once nobody has it open, and may be needed for the new one.
            drop(old);
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
        let medium = Medium::of(file.as_fd(), path.display().to_string(), Path::new(SYSFS))?;
        let media = Self::map(path, file, Medium { len, ..medium }, Access::ReadWrite)?;
        unfinished.keep();
        Ok(media)
    }
}

/// A file that is to be replaced, locked so that no agent opens it meanwhile.
struct Old {
    file: File,
}

impl Old {
    /// Returns what is at `target`, to which `path` leads.
    fn find(path: &Path, target: &Path, overwrite: bool) -> Result<Option<Self>, RegionError> {
        let error = |e| path_error(path, Access::ReadWrite, "look at", e);
        match fs::metadata(target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(error(e)),
            Ok(_) => match Medium::called(path, target, Path::new(SYSFS))?.kind {
                MediumKind::File => {}
                kind => return Err(RegionError::IsADevice { path: path.to_owned(), kind }),
            },
        }
        if !overwrite {
            return Err(RegionError::AlreadyExists { path: path.to_owned() });
        }
        let file = open_file(path, target, Access::ReadWrite)?;
        lock(path, &file)?;
        Ok(Some(Self { file }))
    }

    /// Bytes that are free once the file is gone (and mapped by nobody).
    fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.blocks().saturating_mul(512))
    }
}

/// Refuses a length that large pages do not add up to; files with pages of the machine's size end anywhere.
pub(super) fn check_pages(path: &Path, len: u64, page: usize) -> Result<(), RegionError> {
    let unit = page as u64;
    if page > rustix::param::page_size() && !len.is_multiple_of(unit) {
        return Err(RegionError::LenUnaligned { path: path.to_owned(), len, unit });
    }
    Ok(())
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

/// Does what [`allocate`] does, where the file system cannot: for new files.
fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), len), &mut &*file).map(drop)
}
