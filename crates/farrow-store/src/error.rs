//! What can go wrong in the store.

use std::fmt;
use std::path::PathBuf;

use famfs_format::{FormatError, RelPath};
use farrow_region::RegionError;
use thiserror::Error;
use uuid::Uuid;

use crate::catalog::{CatalogFault, MAX_RECORD_LEN, MIN_CATALOG_LEN};
use crate::frame::Extent;
use crate::host::HostIdFault;
use crate::mount::MountFault;
use crate::name::{FrameName, NameFault};
use crate::size::Size;
use crate::state::StateFault;

/// What the store returns.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What can go wrong in the store. Lengths are bytes.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A text that is not the name of a frame, or not a reference to a version.
    #[error("bad frame name {name:?}: {fault}")]
    BadName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// No frame has this name.
    #[error("no frame `{name}`{}", Near(near))]
    FrameNotFound {
        /// What was asked for.
        name: FrameName,
        /// Names like it.
        near: Vec<FrameName>,
    },
    /// The frame is there, this version of it is not: dropped, or not committed yet.
    #[error(
        "version `{name}@{version}` {}; there {} from @{oldest} to @{latest}",
        if version > given { "is not committed yet" } else { "is gone: it was dropped" },
        if *count == 1 { "is 1".to_owned() } else { format!("are {count}") },
    )]
    VersionGone {
        /// The frame.
        name: FrameName,
        /// What was asked for.
        version: u64,
        /// The highest number that the frame has given.
        given: u64,
        /// The frame's oldest version.
        oldest: u64,
        /// The frame's latest version.
        latest: u64,
        /// How many versions it has.
        count: usize,
    },
    /// No frame's name begins so.
    #[error("no frame whose name begins with {prefix:?}. Try: farrow ls")]
    NoFrames {
        /// What was asked for.
        prefix: String,
    },
    /// A frame that is a famfs file of another program cannot be changed.
    #[error(
        "`{name}` is a famfs file that another program made: famfs can neither replace nor remove a file, and farrow \
         does not write it. To publish, use another name"
    )]
    Foreign {
        /// The file.
        name: FrameName,
    },
    /// Bytes past the end of a famfs file.
    #[error("{len} bytes at {offset} of famfs file `{name}` asked for, it has {size}")]
    PastEnd {
        /// The file.
        name: FrameName,
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// No such reservation: committed, aborted, or never taken.
    #[error("no reservation {id}: it was committed, aborted or never taken")]
    NoReservation {
        /// What was asked for.
        id: u64,
    },
    /// The reservation is being committed at this moment.
    #[error("reservation {id} is being committed; wait for the answer")]
    ReservationBusy {
        /// What was asked for.
        id: u64,
    },
    /// Reservations of several processes in one commit.
    #[error("reservation {id} is not of the process whose reservation {first} is committed with it")]
    OtherOwner {
        /// The first reservation of the commit.
        first: u64,
        /// The one of another owner.
        id: u64,
    },
    /// A reservation or version of no bytes.
    #[error("a length of 0 bytes was asked for, or a version of no segment; need at least 1")]
    NoLength,
    /// More bytes are committed than were reserved.
    #[error("{len} bytes committed into reservation {id}, which has {reserved}; reserve the exact length")]
    TooLong {
        /// The reservation.
        id: u64,
        /// What was to be committed.
        len: u64,
        /// What was reserved.
        reserved: u64,
    },
    /// Some checksums, but not one for each batch.
    #[error("{checksums} checksums for {batches} batches, need none, or one for each batch at least")]
    Checksums {
        /// How many were given.
        checksums: usize,
        /// How many batches there are.
        batches: u32,
    },
    /// Something is appended to a frame of another schema.
    #[error("schema fingerprint {found:#018x} appended to `{name}@{latest}`, which has {expected:#018x}")]
    SchemaMismatch {
        /// The frame.
        name: FrameName,
        /// Its latest version.
        latest: u64,
        /// That version's schema.
        expected: u64,
        /// The schema of what was to be appended.
        found: u64,
    },
    /// A version is released that nobody has acquired.
    #[error("`{name}@{version}` is released more often than it was acquired")]
    NotHeld {
        /// The frame.
        name: FrameName,
        /// The version.
        version: u64,
    },
    /// One user's versions and reservations would take more than it may have.
    #[error(
        "user {uid} has {} in versions and reservations, {} more are needed, and the limit is {} for each user. \
         Try: farrow rm of frames that are not needed, or ask whoever runs the agent for more (limits.bytes-per-user)",
        Size(*used), Size(*need), Size(*limit)
    )]
    Quota {
        /// The user.
        uid: u32,
        /// Extents that it has.
        used: u64,
        /// Extents of what was to be reserved.
        need: u64,
        /// The most it may have.
        limit: u64,
    },
    /// One process would have more reservations than it may have.
    #[error(
        "process {pid} has {limit} reservations, and the limit is {limit} for each process: commit or abort some first"
    )]
    ManyReservations {
        /// The process.
        pid: u32,
        /// The most it may have.
        limit: usize,
    },
    /// No free extents for a reservation.
    #[error(
        "region {}: need {}, largest free extent {} of {} free; {} in versions, {} held by {holds} leases{}, {} reserved{}. \
         Try: farrow leases, farrow rm",
        if free < need { "full" } else { "fragmented, and an allocation has at most 16 extents, of one pool file" },
        Size(*need), Size(*largest_free), Size(*free), Size(*used), Size(*held),
        if *quarantine { " and by the quarantine after the agent's start" } else { "" },
        Size(*reserved), Writers { count: *reservations, most: *most_reserved }
    )]
    RegionFull {
        /// Bytes asked for.
        need: u64,
        /// The longest free extent.
        largest_free: u64,
        /// All free extents.
        free: u64,
        /// Extents of versions.
        used: u64,
        /// Extents of dropped versions that wait for readers or the quarantine.
        held: u64,
        /// Holds of readers on those.
        holds: u64,
        /// Whether what was there before the start still waits: see
        /// [`lift_quarantine`](crate::Store::lift_quarantine).
        quarantine: bool,
        /// Extents of reservations.
        reserved: u64,
        /// How many reservations there are.
        reservations: usize,
        /// The process whose single reservation is the largest, and its extents.
        most_reserved: Option<(u32, u64)>,
    },
    /// The catalog has no room for what would be added, even after compaction.
    #[error(
        "catalog full: {} of {} are held by {versions} versions and {reservations} reservations, of which {} by \
         their {segments} segments with checksums; {} more are needed beside what is kept for dropping. Try: farrow rm, \
         farrow retain, or a region with a larger catalog",
        Size(*live), Size(*capacity), Size(*segments_len), Size(*need)
    )]
    CatalogFull {
        /// Bytes of the record.
        need: u64,
        /// Bytes that compaction cannot give back.
        live: u64,
        /// Bytes of a half of the catalog.
        capacity: u64,
        /// Versions in the catalog.
        versions: u64,
        /// Reservations in the catalog.
        reservations: usize,
        /// Segments in the catalog.
        segments: usize,
        /// Bytes that these need.
        segments_len: u64,
    },
    /// A version has so many segments or checksums that no record can hold it.
    #[error(
        "a record of {len} bytes is needed, the longest is {MAX_RECORD_LEN}; commit fewer batches or segments"
    )]
    RecordTooLong {
        /// Bytes of the record.
        len: u64,
    },
    /// An extent that is not within the pool files.
    #[error("extent {:#x}+{:#x} of pool {} is not within the region's pools", extent.offset, extent.len, extent.pool)]
    NoSuchExtent {
        /// What was asked for.
        extent: Extent,
    },
    /// This host may not write the region.
    #[error(
        "this host is {host}, the region's master is {master}; only the master's agent opens the region itself"
    )]
    NotMaster {
        /// This host.
        host: Uuid,
        /// The host in the superblock.
        master: Uuid,
    },
    /// A famfs file system without farrow's files.
    #[error("region {region} has no `{path}`: it is a famfs file system without farrow. Try: farrow mkfs")]
    NotFarrow {
        /// The file system.
        region: Uuid,
        /// The file that is missing.
        path: String,
    },
    /// Making a region would destroy the file system that is there.
    #[error("{place} holds the famfs file system {region}, which would be lost. Try: --force, if it may be")]
    Occupied {
        /// The medium.
        place: String,
        /// The file system.
        region: Uuid,
    },
    /// Making a region would destroy something that looks like a famfs file system, but cannot be read.
    #[error(
        "{place} holds a famfs file system that cannot be read and would be lost ({fault}). Try: --force, if it may be"
    )]
    OccupiedUnreadable {
        /// The medium.
        place: String,
        /// Why it cannot be read.
        fault: FormatError,
    },
    /// The medium is too small for what is to be made on it.
    #[error("{place} has {}, need at least {} for log, catalog, hosts and one unit of pool", Size(*len), Size(*need))]
    MediaTooSmall {
        /// The medium.
        place: String,
        /// What it has.
        len: u64,
        /// What is needed.
        need: u64,
    },
    /// A catalog of this length cannot be made.
    #[error("catalog of {len} bytes asked for, need a multiple of 4096 from {MIN_CATALOG_LEN}")]
    CatalogLen {
        /// What was asked for.
        len: u64,
    },
    /// A hosts file of this length cannot be made.
    #[error("hosts file of {len} bytes asked for, need a multiple of 4096")]
    HostsLen {
        /// What was asked for.
        len: u64,
    },
    /// A version of several Arrow IPC files cannot be one file.
    #[error(
        "`{name}@{version}` has {segments} segments, and a famfs file holds one. Try: farrow get -o, then farrow put"
    )]
    ManySegments {
        /// The frame.
        name: FrameName,
        /// The version.
        version: u64,
        /// Its segments.
        segments: usize,
    },
    /// Farrow's own directory is not for others' files.
    #[error("{path} is in `farrow`, which is for farrow's own files. Try: another path")]
    ExportPath {
        /// What was asked for.
        path: RelPath,
    },
    /// No free space outside the pool.
    #[error(
        "no space for the file outside the pool: need {}, largest free range {} of {} free. The pool takes all that \
         mkfs does not leave out. Try: farrow get -o, or a region made with farrow mkfs --reserve",
        Size(*need), Size(*largest_free), Size(*free)
    )]
    NoSpaceToExport {
        /// Bytes asked for, in whole allocation units.
        need: u64,
        /// The largest free range.
        largest_free: u64,
        /// All free ranges.
        free: u64,
    },
    /// No free space outside the pool for one more pool file.
    #[error(
        "no space for a pool file: need {}, largest range in no famfs file {} of {}. The pool takes all that mkfs does \
         not leave out with --reserve. Try: farrow rm, or a larger region",
        Size(*need), Size(*largest_free), Size(*free)
    )]
    NoSpaceToGrow {
        /// Bytes asked for, in whole allocation units.
        need: u64,
        /// The largest range.
        largest_free: u64,
        /// All such ranges.
        free: u64,
    },
    /// Another master has written the catalog since this one did.
    #[error(
        "epoch lost, another master took over: commit word at {at:#x} is {found:#018x} (epoch {:#x} in its low 16 \
         bits), this store wrote {expected:#018x} (epoch {:#x}). This agent must stop",
        found >> 48, expected >> 48
    )]
    Fenced {
        /// Where the word stands on the medium.
        at: u64,
        /// What it says.
        found: u64,
        /// What this store wrote last.
        expected: u64,
    },
    /// The catalog was rewritten again and again while it was read.
    #[error("the master rewrote the catalog in each of {attempts} attempts to read it. Try: again")]
    Overtaken {
        /// How often it was read.
        attempts: usize,
    },
    /// An earlier error left it open whether the last record exists.
    #[error(
        "the store stopped after an earlier error of its catalog. Try: restart the agent, then farrow fsck"
    )]
    Stopped,
    /// The store was about to write a record that replay would refuse: a defect of farrow.
    #[error("refused to write a record that could not be read back, please report: {fault}")]
    Unreadable {
        /// Why replay would refuse it.
        fault: StateFault,
    },
    /// The store has miscalculated: a defect of farrow.
    #[error("internal error, please report: {what}")]
    Internal {
        /// What does not hold.
        what: &'static str,
    },
    /// The host's identity cannot be found out.
    #[error("no identity of this host in {}: {fault}", path.display())]
    HostId {
        /// The file that was read last.
        path: PathBuf,
        /// What is wrong with it.
        fault: HostIdFault,
    },
    /// The catalog's bytes are not a catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogFault),
    /// The famfs superblock or log is not one.
    #[error(transparent)]
    Famfs(#[from] FormatError),
    /// A mounted famfs is not as it should be, or its tools failed.
    #[error(transparent)]
    Mount(#[from] MountFault),
    /// The medium failed.
    #[error(transparent)]
    Media(#[from] RegionError),
}

/// Shows names that may have been meant.
struct Near<'a>(&'a [FrameName]);

/// Shows who has reserved something.
struct Writers {
    count: usize,
    most: Option<(u32, u64)>,
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.count, self.most) {
            (1, Some((pid, _))) => write!(f, " by pid {pid}"),
            (count, Some((pid, len))) => {
                write!(f, " by {count} reservations, the largest {} by pid {pid}", Size(len))
            }
            (_, None) => Ok(()),
        }
    }
}

impl fmt::Display for Near<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            write!(f, "{}`{name}`", if i == 0 { "; there is " } else { ", " })?;
        }
        Ok(())
    }
}
