//! The agent's answers about frames, leases, space and itself.

use std::time::Duration;

use farrow_proto::v1;

use crate::retention::max_age;

/// A version of a frame, as a listing tells it.
///
/// A publisher that may not read the frame is told the name and number of its version alone: `rows` is `None` then, and
/// [`segments`](Self::segments) 0, which a version never has, as are the other numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The frame's name, without version.
    pub name: String,
    /// The version's number, from 1.
    pub version: u64,
    /// Rows; `None` if they are not told (see above), or the agent has not looked: a listing does not look into foreign files, and
    /// [`stat`](crate::Client::stat) finds none in bytes that are no Arrow file, or not yet.
    pub rows: Option<u64>,
    /// Bytes of its Arrow IPC files.
    pub bytes: u64,
    /// Segments: one for each put or append that it consists of, or more if that was long.
    pub segments: u32,
    /// Microseconds since the Unix epoch, by the agent's clock; 0 for a foreign file.
    pub committed_at_micros: i64,
    /// The checks that the agent has made.
    pub validation: v1::Validation,
    /// True if it is an Arrow file that another program put into famfs: it has one version, and can be neither
    /// replaced nor removed.
    pub foreign: bool,
    /// The number of latest versions that the frame keeps, by its own retention or that of a prefix; 0: all.
    pub retention: u64,
    /// The time that it keeps each version but the latest, by the same retention; `None`: for ever.
    pub max_age: Option<Duration>,
    /// Of a put: why its rows were streamed to the agent and not written in place, if they were.
    pub why: Option<String>,
}

/// A version in the list of its frame's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInfo {
    /// The version.
    pub info: Info,
    /// Bytes of the region that no other version has: what dropping this one alone gives up. Versions that were appended
    /// to share the rest. 0 for a foreign file.
    pub own_bytes: u64,
    /// The user of the process that committed it, as the agent's host numbers users; 65534 for one that came over TCP,
    /// and for a foreign file.
    pub uid: u32,
    /// Leases on it, of those that [`leases`](crate::Client::leases) tells this client.
    pub leases: u64,
}

/// The outcome of a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Frames that have no version left.
    pub frames: u64,
    /// Versions removed.
    pub versions: u64,
    /// Bytes free again.
    pub bytes_freed: u64,
    /// Bytes that somebody still maps; they are free with the last lease.
    pub bytes_held: u64,
}

/// The progress of the agent's comparison of a version with what was recorded at its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The frame's name, without version.
    pub name: String,
    /// The version's number.
    pub version: u64,
    /// Bytes of its Arrow IPC files.
    pub bytes: u64,
    /// Bytes done.
    pub bytes_done: u64,
    /// Record and dictionary batches that were found as they were committed.
    pub batches: u64,
    /// Segments that were committed without checksums, of which only the metadata could be compared.
    pub without_checksums: u32,
}

/// A lease of some process on a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseInfo {
    /// Its number.
    pub lease: u64,
    /// The process that holds it, as the agent's host numbers it.
    pub pid: u32,
    /// That process's user.
    pub uid: u32,
    /// The frame.
    pub name: String,
    /// The version.
    pub version: u64,
    /// Bytes of the version.
    pub bytes: u64,
    /// Time since the grant.
    pub age: Duration,
    /// True if the process has released it, or has ended, and children that it forked may read on.
    pub inherited: bool,
}

/// The use of the region's space; bytes of its pool files, where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// All pool files.
    pub pool_bytes: u64,
    /// Live versions.
    pub used: u64,
    /// Dropped versions that somebody still maps.
    pub held: u64,
    /// Reservations of writers.
    pub reserved: u64,
    /// Free.
    pub free: u64,
    /// The longest free extent.
    pub largest_free: u64,
    /// Frames (a count).
    pub frames: u64,
    /// Versions (a count).
    pub versions: u64,
    /// Leases (a count).
    pub leases: u64,
    /// Room in one half of the catalog.
    pub catalog_bytes: u64,
    /// Bytes written into the half in use. It is compacted when it is full.
    pub catalog_committed: u64,
    /// Bytes that compaction leaves of them: what versions, reservations and dropped names take. New versions are refused
    /// before they are seven eighths of the room.
    pub catalog_live: u64,
    /// Entries in the famfs log (a count).
    pub log_entries: u64,
    /// Entries that the famfs log can hold (a count).
    pub log_capacity: u64,
    /// Bytes that a further pool file can have at most: see [`grow`](crate::Client::grow). 0 where famfs is mounted, whose
    /// own tools make files.
    pub growable: u64,
}

/// The state of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// True if it answers requests for frames.
    pub serving: bool,
    /// If not, what stands in the way.
    pub why: Option<String>,
    /// The agent's release.
    pub version: String,
    /// UUID of its region.
    pub region: String,
    /// Time since it began to serve.
    pub uptime: Duration,
}

impl From<v1::DropResult> for Dropped {
    fn from(result: v1::DropResult) -> Self {
        let v1::DropResult { versions, bytes_freed, bytes_held, frames } = result;
        Self { frames, versions, bytes_freed, bytes_held }
    }
}

impl From<v1::VerifyProgress> for Verified {
    fn from(progress: v1::VerifyProgress) -> Self {
        let v1::VerifyProgress { name, version, bytes, bytes_done, batches, without_checksums } = progress;
        Self { name, version, bytes, bytes_done, batches, without_checksums }
    }
}

impl From<v1::FrameInfo> for Info {
    fn from(info: v1::FrameInfo) -> Self {
        let validation = info.validation();
        Self {
            name: info.name,
            version: info.version,
            rows: info.rows,
            bytes: info.bytes,
            segments: info.segments,
            committed_at_micros: info.committed_at_micros,
            validation,
            foreign: info.foreign,
            retention: info.retention,
            max_age: max_age(info.max_age_seconds),
            why: None,
        }
    }
}

impl From<v1::VersionInfo> for VersionInfo {
    fn from(version: v1::VersionInfo) -> Self {
        let v1::VersionInfo { info, own_bytes, uid, leases } = version;
        Self { info: info.unwrap_or_default().into(), own_bytes, uid, leases }
    }
}

impl From<v1::LeaseInfo> for LeaseInfo {
    fn from(lease: v1::LeaseInfo) -> Self {
        let v1::LeaseInfo { lease, pid, uid, name, version, bytes, age_millis, inherited } = lease;
        Self { lease, pid, uid, name, version, bytes, age: Duration::from_millis(age_millis), inherited }
    }
}

impl From<v1::Usage> for Usage {
    fn from(usage: v1::Usage) -> Self {
        Self {
            pool_bytes: usage.pool_bytes,
            used: usage.used,
            held: usage.held,
            reserved: usage.reserved,
            free: usage.free,
            largest_free: usage.largest_free,
            frames: usage.frames,
            versions: usage.versions,
            leases: usage.leases,
            catalog_bytes: usage.catalog_bytes,
            catalog_committed: usage.catalog_committed,
            catalog_live: usage.catalog_live,
            log_entries: usage.log_entries,
            log_capacity: usage.log_capacity,
            growable: usage.growable,
        }
    }
}

/// A UUID as it is written; empty, where the agent sent none.
pub(crate) fn region(uuid: &[u8]) -> String {
    uuid::Uuid::from_slice(uuid).map_or_else(|_| String::new(), |uuid| uuid.to_string())
}

impl From<v1::HealthInfo> for Health {
    fn from(info: v1::HealthInfo) -> Self {
        let v1::HealthInfo { serving, why, agent_version, region_uuid, uptime_millis, .. } = info;
        Self {
            serving,
            why: (!serving).then_some(why),
            version: agent_version,
            region: region(&region_uuid),
            uptime: Duration::from_millis(uptime_millis),
        }
    }
}
