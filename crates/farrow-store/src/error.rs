//! Errors of the store.

use std::fmt;
use std::path::PathBuf;

use famfs_format::{FormatError, RelPath};
use farrow_region::RegionError;
use farrow_region::counted;
use farrow_region::shell::operand;
use thiserror::Error;
use uuid::Uuid;

use crate::catalog::{CatalogFault, MAX_CATALOG_LEN, MAX_RECORD_LEN, MIN_CATALOG_LEN};
use crate::frame::Extent;
use crate::host::HostIdFault;
use crate::identity::Replacement;
use crate::mount::MountFault;
use crate::name::{FrameName, NameFault};
use crate::old_versions::OldVersions;
use crate::prefix::Prefix;
use crate::quota::Charge;
use crate::retention::RetentionTarget;
use crate::size::Size;
use crate::state::StateFault;

/// The results of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The errors of the store. Lengths are bytes.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A text that is not the name of a frame, or not a reference to a version.
    #[error("bad frame name {name:?}: {fault}")]
    BadName {
        /// The given text.
        name: String,
        /// The fault.
        fault: NameFault,
    },
    /// A prefix that no name can begin with.
    #[error("bad prefix {prefix:?}: {fault}")]
    BadPrefix {
        /// The prefix, or as much of it as a name may have.
        prefix: String,
        /// The problem with it.
        fault: NameFault,
    },
    /// A prefix with wildcards that farrow does not have.
    #[error(
        "pattern {pattern:?}: `*` stands for any text, and only at the end; there are no other wildcards. Try: {}",
        operand(format_args!("{start}*"))
    )]
    BadPattern {
        /// The prefix.
        pattern: String,
        /// The part of it that stands before the first wildcard.
        start: String,
    },
    /// No frame has this name.
    #[error("no frame `{name}`{}", Near(near))]
    FrameNotFound {
        /// The requested frame.
        name: FrameName,
        /// Names like it.
        near: Vec<FrameName>,
    },
    /// The frame is there, this version of it is not: dropped, or not committed yet.
    #[error(
        "version `{name}@{version}` {}; {}",
        if version > given { "is not committed yet" } else { "is gone: it was dropped" },
        match count {
            1 => format!("the only one is @{latest}"),
            count => format!("there are {count} from @{oldest} to @{latest}"),
        },
    )]
    VersionGone {
        /// The frame.
        name: FrameName,
        /// The requested version.
        version: u64,
        /// The highest number that the frame has given.
        given: u64,
        /// The frame's oldest version.
        oldest: u64,
        /// The frame's latest version.
        latest: u64,
        /// The number of versions that it has.
        count: usize,
    },
    /// No frame is in a prefix.
    #[error("{}", Nothing(prefix))]
    NoFrames {
        /// The requested prefix.
        prefix: Prefix,
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
    /// The medium has another file system than the one that was opened, or none.
    #[error(
        "{place}: region {region} is gone: {found}. mkfs was run there, or something wrote over it; its frames cannot be \
         trusted any more. Try: `farrow fsck {}`, and `farrow mkfs --force {}` if it is to be a region again",
        operand(place),
        operand(place)
    )]
    Replaced {
        /// The medium.
        place: String,
        /// The region that was opened.
        region: Uuid,
        /// The sign that was found.
        found: Replacement,
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
        /// The requested reservation.
        id: u64,
    },
    /// The reservation is being committed at this moment.
    #[error("reservation {id} is being committed; wait for the answer")]
    ReservationBusy {
        /// The requested reservation.
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
        /// The length that was to be committed.
        len: u64,
        /// The length that was reserved.
        reserved: u64,
    },
    /// Some checksums, but not one for each batch.
    #[error(
        "{} for {}, need none, or one for each batch at least",
        counted(*checksums, "checksum"), counted(*batches, "batch")
    )]
    Checksums {
        /// The number that was given.
        checksums: usize,
        /// The number of batches.
        batches: u32,
    },
    /// Something is appended to a frame of another schema.
    #[error("schema fingerprint {found:#018x} appended to `{name}@{latest}`, which has {expected:#018x}")]
    SchemaMismatch {
        /// The frame.
        name: FrameName,
        /// Its latest version.
        latest: u64,
        /// The schema of that version.
        expected: u64,
        /// The schema of what was to be appended.
        found: u64,
    },
    /// A version was to be committed onto another one than the latest.
    #[error("{}", Conflict { name, expected: *expected, latest: *latest })]
    VersionConflict {
        /// The frame.
        name: FrameName,
        /// The version that was to be the latest; 0: there was to be no such frame.
        expected: u64,
        /// The version that is the latest; 0: there is no such frame.
        latest: u64,
    },
    /// A version is released that nobody has acquired.
    #[error("`{name}@{version}` is released more often than it was acquired")]
    NotHeld {
        /// The frame.
        name: FrameName,
        /// The version.
        version: u64,
    },
    /// One user would have more than it may have.
    #[error(
        "user {uid} has {} in versions, {} in reservations, {} in versions that it has dropped and that are still held, \
         and holds {} of what others have dropped; {} more are needed, and the limit is {} for each user. Try: `farrow rm \
         NAME` of frames that are not needed, `farrow leases` for the processes that hold dropped ones and must let them go, \
         or ask whoever runs the agent for more (limits.bytes-per-user)",
        Size(charge.published), Size(charge.reserved), Size(charge.dropped), Size(charge.held), Size(*need), Size(*limit)
    )]
    Quota {
        /// The user.
        uid: u32,
        /// The bytes that count for it.
        charge: Charge,
        /// Extents of what was to be reserved.
        need: u64,
        /// The most it may have.
        limit: u64,
    },
    /// One user holds more of what was dropped than it may have, and is not given more to hold.
    #[error(
        "processes of user {uid} hold {} of versions that were dropped, and the limit is {} for each user \
         (limits.bytes-per-user): nothing more is mapped before they let some go. Try: `farrow leases`, which tells \
         the processes"
        , Size(*held), Size(*limit)
    )]
    HoldsDropped {
        /// The user.
        uid: u32,
        /// Extents of dropped versions that it holds.
        held: u64,
        /// The most it may have.
        limit: u64,
    },
    /// One process would have more reservations than it may have.
    #[error(
        "process {pid} has {}, and the limit is {limit} for each process: commit or abort some first",
        counted(*limit, "reservation")
    )]
    ManyReservations {
        /// The process.
        pid: u32,
        /// The most it may have.
        limit: usize,
    },
    /// No free extents for a reservation.
    #[error(
        "region {}: need {}, largest free extent {} of {} free; {} in versions, {} held by {}{}, {} reserved{}. \
         {}",
        if free < need { "full" } else { "fragmented, and an allocation has at most 16 extents, of one pool file" },
        Size(*need), Size(*largest_free), Size(*free), Size(*used), Size(*held), counted(*holds, "lease"),
        if *quarantine { " and by the quarantine after the agent's start" } else { "" },
        Size(*reserved), Writers { count: *reservations, most: *most_reserved },
        Remedies { need: *need, pool: free + used + held + reserved, growable: *growable, old: old.as_deref(), holds: *holds, used: *used }
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
        /// True if bytes that were freed before the start still wait: see
        /// [`lift_quarantine`](crate::Store::lift_quarantine).
        quarantine: bool,
        /// Extents of reservations.
        reserved: u64,
        /// The number of reservations.
        reservations: usize,
        /// The process whose single reservation is the largest, and its extents.
        most_reserved: Option<(u32, u64)>,
        /// The frame whose old versions hold most, of those that whoever asked may know of and drop: see
        /// [`most_old`](crate::View::most_old). The store says none.
        old: Option<Box<OldVersions>>,
        /// The largest pool file that can be added. The store, which does not know who may, says 0.
        growable: u64,
    },
    /// The catalog has no room for what would be added, even after compaction.
    #[error(
        "catalog full: {} of {} are held by {}, {} and {}, of which {} by {} with checksums; {} more are needed beside what \
         is kept for dropping. Try: `farrow rm NAME`, `farrow retain NAME --last N`, or a region made with a larger catalog \
         (`farrow mkfs --catalog SIZE PATH`)",
        Size(*live), Size(*capacity), counted(*versions, "version"), counted(*reservations, "reservation"),
        counted(*retentions, "retention"), Size(*segments_len), counted(*segments, "segment"), Size(*need)
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
        /// Retentions in the catalog.
        retentions: usize,
        /// Segments in the catalog.
        segments: usize,
        /// Bytes that these need.
        segments_len: u64,
    },
    /// More retentions would be set than there may be.
    #[error(
        "a retention for {target} would be one too many: {} of prefixes and of names without a frame, which is the limit. \
         Try: `farrow retain --list`, and `farrow retain NAME --unset` for one that is not needed",
        match uid {
            Some(uid) => format!("user {uid} has set {limit}"),
            None => format!("the region has {limit}"),
        }
    )]
    ManyRetentions {
        /// For which frames.
        target: RetentionTarget,
        /// The user that has set as many as one may; `None`: the region has as many as it may.
        uid: Option<u32>,
        /// The most.
        limit: usize,
    },
    /// A retention for names that begin with a text which does not end with a component.
    #[error(
        "a retention is for a prefix of whole components, and {:?} goes on within one. Try: the same without its `*`, or \
         a prefix that ends with `/`",
        prefix.to_string()
    )]
    RetentionWithin {
        /// The prefix.
        prefix: Prefix,
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
        /// The requested extent.
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
    #[error(
        "region {region} has no `{path}`: it is a famfs file system without farrow. Where it is mounted, `farrow mkfs MOUNT` \
         adds farrow's files; `farrow mkfs --force PATH` makes a region of the file or device, whose files are lost"
    )]
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
        /// The reason why it cannot be read.
        fault: FormatError,
    },
    /// The medium is too small for what is to be made on it.
    #[error(
        "{place} has {}, need at least {}: for a famfs log of {}, a catalog of {}, the hosts' file, one unit of pool, and \
         {} outside it",
        Size(*len), Size(*need), Size(*log), Size(*catalog), Size(*reserve)
    )]
    MediaTooSmall {
        /// The medium.
        place: String,
        /// The length that it has.
        len: u64,
        /// The length that is needed.
        need: u64,
        /// Of which for the famfs log.
        log: u64,
        /// Of which for the catalog.
        catalog: u64,
        /// Of which for others, outside the pool.
        reserve: u64,
    },
    /// A catalog of this length cannot be made.
    #[error(
        "catalog of {len} bytes asked for, need a multiple of 4096 from {MIN_CATALOG_LEN} to {MAX_CATALOG_LEN}"
    )]
    CatalogLen {
        /// The requested length.
        len: u64,
    },
    /// A hosts file of this length cannot be made.
    #[error("hosts file of {len} bytes asked for, need a multiple of 4096")]
    HostsLen {
        /// The requested length.
        len: u64,
    },
    /// A version of several Arrow IPC files cannot be one file.
    #[error(
        "`{name}@{version}` has {segments} segments, and a famfs file holds one. Try: `farrow get -o FILE {}@{version}`, \
         then `farrow put {} FILE`",
        operand(name),
        operand(name)
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
        /// The requested path.
        path: RelPath,
    },
    /// No free space outside the pool.
    #[error(
        "no space for the file outside the pool: need {}, largest free range {} of {} free. The pool takes all that \
         mkfs does not leave out. Try: `farrow get NAME -o FILE`, or a region made with `farrow mkfs --reserve SIZE PATH`",
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
         not leave out with --reserve. `farrow rm NAME` frees room in the pool; more takes a larger region",
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
        /// The place of the word on the medium.
        at: u64,
        /// The value that it has.
        found: u64,
        /// The value that this store wrote last.
        expected: u64,
    },
    /// The catalog was rewritten again and again while it was read.
    #[error("the master rewrote the catalog in each of {attempts} attempts to read it. Try: again")]
    Overtaken {
        /// The number of times that it was read.
        attempts: usize,
    },
    /// An earlier error left it open whether the last record exists.
    #[error(
        "the store stopped after an earlier error of its catalog. Try: restart the agent, then `farrow fsck PATH`"
    )]
    Stopped,
    /// The store was about to write a record that replay would refuse: a defect of farrow.
    #[error("refused to write a record that could not be read back, please report: {fault}")]
    Unreadable {
        /// The reason why replay would refuse it.
        fault: StateFault,
    },
    /// The store has miscalculated: a defect of farrow.
    #[error("internal error, please report: {what}")]
    Internal {
        /// The invariant that does not hold.
        what: &'static str,
    },
    /// The host's identity cannot be found out.
    #[error("no identity of this host in {}: {fault}", path.display())]
    HostId {
        /// The file that was read last.
        path: PathBuf,
        /// The fault.
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

/// Shows what a prefix means that means no frame.
struct Nothing<'a>(&'a Prefix);

impl fmt::Display for Nothing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.0.start();
        match self.0.itself() {
            Some(name) => write!(
                f,
                "no frame `{name}`, and none below it. Names that only begin so: `farrow ls {}`",
                operand(format_args!("{name}*"))
            ),
            None if start.is_empty() => f.write_str("no frame at all"),
            None if start.ends_with('/') => write!(f, "no frame below `{start}`. Try: `farrow ls`"),
            None => write!(f, "no frame whose name begins with `{start}`. Try: `farrow ls`"),
        }
    }
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

/// The advice about a full region: each command that gives room to what is asked for, and no other.
struct Remedies<'a> {
    need: u64,
    /// All bytes of the pool.
    pool: u64,
    growable: u64,
    old: Option<&'a OldVersions>,
    holds: u64,
    used: u64,
}

impl fmt::Display for Remedies<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grow = (self.growable >= self.need)
            .then(|| format!("`farrow grow`, which adds up to {}", Size(self.growable)));
        if grow.is_none() && self.need > self.pool {
            return write!(f, "All of the pool has {}. Try: `farrow mkfs --size SIZE PATH`", Size(self.pool));
        }
        let remedies = [
            grow,
            self.old.map(ToString::to_string),
            (self.holds > 0).then(|| "`farrow leases`".to_owned()),
            (self.used > 0).then(|| "`farrow rm NAME`".to_owned()),
        ];
        let remedies: Vec<String> = remedies.into_iter().flatten().collect();
        if remedies.is_empty() {
            return f.write_str(
                "It is free again once writers, or processes that map what was dropped, have ended",
            );
        }
        write!(f, "Try: {}", remedies.join(", "))
    }
}

/// Shows what a commit expected, what there is, and what to do.
struct Conflict<'a> {
    name: &'a FrameName,
    expected: u64,
    latest: u64,
}

impl fmt::Display for Conflict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, expected, latest } = *self;
        match latest {
            0 => write!(f, "there is no frame `{name}`")?,
            latest => write!(f, "the latest version of `{name}` is @{latest}")?,
        }
        match expected {
            0 => f.write_str(", and the rows were to be a new frame")?,
            expected => write!(f, ", and the rows were to be published onto @{expected}")?,
        }
        f.write_str(". Nothing was published. Try: ")?;
        match latest {
            0 => f.write_str("publish it as a new frame, onto version 0"),
            latest => write!(f, "get @{latest}, change what is there, and publish that onto @{latest}"),
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
