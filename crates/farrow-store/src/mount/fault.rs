//! Faults of a mounted famfs.

use std::io;
use std::path::PathBuf;

use famfs_format::RelPath;
use farrow_region::shell::operand;
use thiserror::Error;
use uuid::Uuid;

use crate::catalog::CatalogFault;
use crate::size::Size;

/// A fault of a mounted famfs, or of what its tools made of it. Lengths are bytes.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MountFault {
    /// A directory, but no famfs is mounted there.
    #[error(
        "{} is a directory without {missing}, so no famfs is mounted there. Try: the mount point of `famfs mount DEVICE \
         MOUNT`, or a region's file or device",
        path.display()
    )]
    NoMount {
        /// The directory.
        path: PathBuf,
        /// The file that famfs would have put there.
        missing: &'static str,
    },
    /// The log has a file that is not under the mount.
    #[error("{} is in the famfs log, but not there. Try: `famfs logplay {}`", file.display(), operand(mount.display()))]
    NotThere {
        /// The file.
        file: PathBuf,
        /// The mount point.
        mount: PathBuf,
    },
    /// A file is not as long as it must be.
    #[error(
        "{} has {found} bytes, and {says} {expected}: it was cut off, or is another file system's. Try: `umount MOUNT`, \
         then `famfs mount DEVICE MOUNT`, which makes it anew from the log",
        file.display()
    )]
    Len {
        /// The file.
        file: PathBuf,
        /// Its length.
        found: u64,
        /// The length that it must have.
        expected: u64,
        /// The source of the statement.
        says: &'static str,
    },
    /// A pool file was to be made while the region is served or looked at: only its tools write the famfs log.
    #[error(
        "on a mounted famfs pool files are made by its tools. Try: `famfs creat -C 0 -N 0 -B 0 -m 0600 -s SIZE {}`, then \
         start the agent anew",
        operand(file.display())
    )]
    ToolsGrow {
        /// The next pool file.
        file: PathBuf,
    },
    /// Farrow's files are there already.
    #[error(
        "{} has farrow's files already, as region {region}: the frames in them would be lost. Try: --force, if they may be",
        mount.display()
    )]
    Occupied {
        /// The mount point.
        mount: PathBuf,
        /// The file system.
        region: Uuid,
    },
    /// Farrow's files are there already, and damaged.
    #[error(
        "{} has farrow's files already, and their catalog cannot be read ({fault}): the frames in them would be lost. \
         Try: --force, if they may be",
        mount.display()
    )]
    OccupiedUnreadable {
        /// The mount point.
        mount: PathBuf,
        /// The fault of the catalog.
        fault: CatalogFault,
    },
    /// A file that is there has another length than the one asked for, and famfs cannot change it.
    #[error(
        "{path} is there already with {}, and {} was asked for: famfs cannot change a file's size. Try: without {option}",
        Size(*found), Size(*asked)
    )]
    Resize {
        /// The file.
        path: RelPath,
        /// Its length.
        found: u64,
        /// The requested length.
        asked: u64,
        /// The option of `farrow mkfs` that asks for it.
        option: &'static str,
    },
    /// No room for a file.
    #[error(
        "no room for {path} in {}: need {}, largest free range {} of {} free. Try: a smaller --size, --catalog or --reserve",
        mount.display(), Size(*need), Size(*largest_free), Size(*free)
    )]
    NoRoom {
        /// The mount point.
        mount: PathBuf,
        /// The file.
        path: RelPath,
        /// Bytes needed in one piece, with what is to be left.
        need: u64,
        /// The largest free range.
        largest_free: u64,
        /// All free ranges.
        free: u64,
    },
    /// The famfs program cannot be started.
    #[error(
        "cannot run {}, which makes files on a mounted famfs: {source}. Try: --famfs with the path of the famfs program",
        program.display()
    )]
    NoTools {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The famfs program failed.
    #[error("{command} failed ({status}): {said}")]
    ToolFailed {
        /// The command that was run.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it wrote to stderr.
        said: String,
    },
    /// The famfs program ended well, and the log does not have what it was to make.
    #[error(
        "{command} ended well, but {path} is not in the famfs log with {len} bytes: what is under the mount does not \
         match the log. Try: `umount MOUNT`, then `famfs mount DEVICE MOUNT`, then this again"
    )]
    NotMade {
        /// The command that was run.
        command: String,
        /// The file that it was to make.
        path: RelPath,
        /// With how many bytes; 0 for a directory.
        len: u64,
    },
    /// Something of the mount cannot be looked at or locked.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}
