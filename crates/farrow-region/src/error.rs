//! Everything that can go wrong with a medium or a mapping.

use std::io;
use std::path::{Path, PathBuf};

use crate::losses::LossCause;
use crate::media::Access;
use crate::medium::MediumKind;
use crate::shell::operand;
use crate::trust::Distrust;

/// The reasons why a medium could not be opened, mapped, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// An access past the end of a medium or mapping.
    #[error("{len} bytes at offset {offset:#x} are not within {what}, which has {size} bytes")]
    OutOfBounds {
        /// The medium or mapping.
        what: String,
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Bytes there are.
        size: u64,
    },

    /// A mapping to be written was used by a forked child.
    #[error(
        "the mapping at {addr:#x} is of the process that forked {process}: what is to be written is not inherited.          Reserve again in the child"
    )]
    NotInherited {
        /// The place where the parent has it.
        addr: usize,
        /// The child.
        process: u32,
    },

    /// An access to what no part of an assembled medium has.
    #[error(
        "{len} bytes at offset {offset:#x} of {what} were asked for, and no part of it has the byte at {at:#x}"
    )]
    NoPart {
        /// The medium.
        what: String,
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// The first byte that is in no part.
        at: u64,
    },

    /// A path that another user may have bent.
    #[error(transparent)]
    Distrusted(#[from] Distrust),

    /// Two parts of an assembled medium for the same bytes.
    #[error("two parts of {what} have the byte at {offset:#x}")]
    PartsOverlap {
        /// The medium.
        what: String,
        /// The first byte in both.
        offset: u64,
    },

    /// An atomic access to a word that is not aligned.
    #[error(
        "offset {offset:#x} in {what} is not a multiple of {align}: one load or store needs an aligned word"
    )]
    Unaligned {
        /// The medium or mapping.
        what: String,
        /// Offset asked for.
        offset: u64,
        /// The number of bytes that it has to be a multiple of.
        align: u64,
    },

    /// A write to a medium that was opened to be read.
    #[error("{what} is open for reading only. Try: open it for reading and writing")]
    ReadOnly {
        /// The medium.
        what: String,
    },

    /// No file of that name.
    #[error("{} does not exist: see that the path is right{}", path.display(), making(path))]
    Missing {
        /// The file asked for.
        path: PathBuf,
    },

    /// No directory to make the file in.
    #[error("directory {} does not exist. Try: `mkdir -p {}`", path.display(), operand(path.display()))]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },

    /// A file of that name is there already.
    #[error("{} exists already and would be overwritten. Try: another name, or say that it may be overwritten", path.display())]
    AlreadyExists {
        /// The file asked for.
        path: PathBuf,
    },

    /// The file system refuses access.
    #[error("no permission to open {} for {access}: {denial}", path.display())]
    NoPermission {
        /// The file asked for.
        path: PathBuf,
        /// The access that it was to be opened for.
        access: Access,
        /// The owner, those who are let in, and advice.
        denial: String,
    },

    /// Something that is no medium.
    #[error(
        "{what} is {kind}, and a medium is a regular file, a device-dax node (/dev/dax0.0) or a PCI BAR (resource2)"
    )]
    NotAFile {
        /// The file or descriptor.
        what: String,
        /// Its kind, with the article.
        kind: &'static str,
    },

    /// A device, where a file was to be made.
    #[error("{} is {kind}: it has its size and cannot be made anew. Try: without a size", path.display())]
    IsADevice {
        /// The device.
        path: PathBuf,
        /// Its kind.
        kind: MediumKind,
    },

    /// A length that the file system's pages do not add up to.
    #[error("{} would have {len} bytes, and its file system has pages of {unit} bytes. Try: a multiple", path.display())]
    LenUnaligned {
        /// The file.
        path: PathBuf,
        /// Bytes asked for.
        len: u64,
        /// Page size of the file system, in bytes.
        unit: u64,
    },

    /// The kernel's description of a device is not what a medium's must be.
    #[error("{} says {found:?}, and should say {expected}", path.display())]
    Sysfs {
        /// The file or link in sysfs.
        path: PathBuf,
        /// Its content.
        found: String,
        /// The expected content.
        expected: &'static str,
    },

    /// A file that is shorter than when it was opened.
    #[error(
        "{what} had {len} bytes and has {found} now: somebody has cut it off. A file of a mounted famfs is made anew, with all \
         its bytes, by `umount MOUNT` and `famfs mount DEVICE MOUNT`; any other has lost them: `farrow mkfs --force PATH` \
         makes a new region there"
    )]
    Shrunk {
        /// The medium.
        what: String,
        /// Bytes when it was opened.
        len: u64,
        /// Bytes now.
        found: u64,
    },

    /// Bytes whose memory went away below a mapping, in a process that survives it
    /// ([`survive_bus_errors`](crate::survive_bus_errors)), or asked for beforehand.
    #[error("{what} has lost {len} bytes at offset {offset:#x}: {cause}")]
    Lost {
        /// The medium.
        what: String,
        /// The first byte, counted from the beginning of the medium.
        offset: u64,
        /// Number of bytes: those that go together, a page or what the medium has for one; more if too many
        /// pages were lost to be told apart.
        len: u64,
        /// The reason why they are lost, and what to do.
        cause: LossCause,
    },

    /// Too few bytes for a medium.
    #[error("{} has {len} bytes, and a medium needs at least {least}", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its length in bytes, found or asked for.
        len: u64,
        /// The least length in bytes.
        least: u64,
    },

    /// Another agent has the medium open for writing.
    #[error("{} is in use by another agent. Try: stop that agent first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },

    /// The file system cannot hold the medium.
    #[error(
        "no space for {}: need {needed} bytes, {} available. Try: a smaller region, or a file system with more room",
        path.display(),
        available.map_or_else(|| "an unknown number".to_owned(), |bytes| bytes.to_string())
    )]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// Bytes asked for.
        needed: u64,
        /// Bytes the file system has, where it tells.
        available: Option<u64>,
    },

    /// A mapping of no ranges, or of a range of no bytes.
    #[error("nothing to map: there are {ranges} ranges, and each needs at least one byte")]
    NothingToMap {
        /// Ranges asked for.
        ranges: usize,
    },

    /// A range that does not begin or end on a page.
    #[error(
        "range {index} ({len} bytes at offset {offset:#x}) does not lie on pages of {unit} bytes (only the last range may end within one)"
    )]
    RangeUnaligned {
        /// The range, counted from 0.
        index: usize,
        /// Its first byte in the file.
        offset: u64,
        /// Its length in bytes.
        len: u64,
        /// Page size of the file, in bytes.
        unit: u64,
    },

    /// A range past the end of the file: reading there would end in SIGBUS.
    #[error(
        "range {index} ({len} bytes at offset {offset:#x}) is not within {what}, which has {file_len} bytes"
    )]
    RangePastEnd {
        /// The file or descriptor.
        what: String,
        /// The range, counted from 0.
        index: usize,
        /// Its first byte in the file.
        offset: u64,
        /// Its length in bytes.
        len: u64,
        /// The file's length in bytes.
        file_len: u64,
    },

    /// More bytes than this machine has addresses for.
    #[error("{len} bytes do not fit the address space")]
    TooLarge {
        /// Bytes asked for.
        len: u64,
    },

    /// A system call failed.
    #[error("cannot {action} {what}")]
    Io {
        /// The attempt: a verb.
        action: &'static str,
        /// The file or descriptor it was tried on.
        what: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// Returns how to make a medium where there is none; a device is not made by a command of farrow's.
fn making(path: &Path) -> String {
    let is_device =
        path.starts_with("/dev") && !path.starts_with("/dev/shm") && !path.starts_with("/dev/hugepages");
    if is_device || path.starts_with("/sys") {
        return ", and that the device's driver has made it".to_owned();
    }
    format!(", or make a region there: `farrow mkfs --size SIZE {}`", operand(path.display()))
}
