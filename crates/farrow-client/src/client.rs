//! The client: one connection to the agent of this host, or to one over TCP.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use farrow_proto::{Action, v1};

use crate::address::Address;
use crate::connection::Connection;
use crate::credentials::Credentials;
use crate::error::ClientError;
use crate::frame::Frame;
use crate::lease::Releases;
use crate::put::Mode;
use crate::regions::Regions;
use crate::session::Sessions;
use crate::watch::Watch;

/// A connection to an agent. Clones share it, and what it maps.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) connection: Connection,
    pub(crate) regions: Arc<Regions>,
    pub(crate) releases: Releases,
    pub(crate) sessions: Sessions,
}

/// A version of a frame, as a listing tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The frame's name, without version.
    pub name: String,
    /// The version's number, from 1.
    pub version: u64,
    /// Rows; `None` if the agent has not looked: a listing does not look into foreign files, and [`Client::stat`]
    /// finds none in bytes that are no Arrow file, or not yet.
    pub rows: Option<u64>,
    /// Bytes of its Arrow IPC files.
    pub bytes: u64,
    /// Segments: one for each put or append that it consists of.
    pub segments: u32,
    /// Microseconds since the Unix epoch, by the agent's clock; 0 for a foreign file.
    pub committed_at_micros: i64,
    /// How far the agent has checked it.
    pub validation: v1::Validation,
    /// Whether it is an Arrow file that another program put into famfs: it has one version, and can be neither
    /// replaced nor removed.
    pub foreign: bool,
    /// How many of its latest versions the frame keeps; 0: all.
    pub retention: u64,
    /// Of a put: why its rows were streamed to the agent and not written in place, if they were.
    pub why: Option<String>,
}

/// What dropping did.
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

/// How far the agent has compared a version with what was recorded at its commit.
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
}

/// What holds the space of the region; bytes of its pool files, where nothing else is said.
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
    /// Of which is taken.
    pub catalog_committed: u64,
    /// Entries in the famfs log (a count).
    pub log_entries: u64,
    /// Entries that the famfs log can hold (a count).
    pub log_capacity: u64,
}

impl Client {
    /// Connects to the agent at `address`, with the credentials that the environment names (see
    /// [`Credentials::from_environment`]).
    ///
    /// # Errors
    /// [`ClientError::NoAgent`] if nobody serves there.
    pub async fn connect(address: Address) -> Result<Self, ClientError> {
        Self::connect_with(address, &Credentials::from_environment()?).await
    }

    /// Connects to the agent at `address`, with `credentials` and none other.
    ///
    /// # Errors
    /// [`ClientError::NoAgent`] if nobody serves there; [`ClientError::Tls`] if the two cannot agree.
    pub async fn connect_with(address: Address, credentials: &Credentials) -> Result<Self, ClientError> {
        let connection = Connection::open(address, credentials).await?;
        let sessions = Sessions::new(connection.clone());
        let releases = Releases::start(connection.clone(), sessions.clone());
        let regions = Regions::of_agent(connection.address());
        Ok(Self { connection, regions: Arc::new(regions), releases, sessions })
    }

    /// A frame by its name, or one version of it by `name@version`: mapped where that is possible, else streamed.
    pub async fn get(&self, name: &str) -> Result<Frame, ClientError> {
        crate::get::get(self, name).await
    }

    /// A frame as soon as it is there: at once, or when somebody puts it. What other programs put into famfs is only
    /// found if it is there at the first look.
    ///
    /// ```no_run
    /// # async fn example(client: farrow_client::Client) -> Result<(), farrow_client::ClientError> {
    /// let frame = client.wait_for("sales/orders", std::time::Duration::from_secs(60)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::NotYet`] if it is not there after `timeout`; else as [`get`](Self::get), and
    /// [`Reason::NeedsUnixSocket`](crate::Reason::NeedsUnixSocket) where it would have to wait over TCP.
    pub async fn wait_for(&self, name: &str, timeout: Duration) -> Result<Frame, ClientError> {
        crate::watch::wait_for(self, name, timeout).await
    }

    /// Watches the frames whose names begin with `prefix`: what is committed and dropped from now on. Over the unix
    /// socket only, and each watch has a connection of its own.
    ///
    /// ```no_run
    /// # async fn example(client: farrow_client::Client) -> Result<(), farrow_client::ClientError> {
    /// let mut watch = client.watch("sales/").await?;
    /// loop {
    ///     if let farrow_client::Event::Committed(info) = watch.next().await? {
    ///         println!("{}@{}", info.name, info.version);
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Refused`] over TCP, or by an agent that does not offer it.
    pub async fn watch(&self, prefix: &str) -> Result<Watch, ClientError> {
        self.connection.check_process()?;
        Watch::prefix(self.connection.clone(), prefix).await
    }

    /// Publishes `batches` as the next version of the frame `name`. The buffers are copied once, straight into the
    /// shared memory; nobody sees any of it before all of it is there. Where this process cannot write there, the rows
    /// are streamed to the agent, which does, and [`Info::why`] says so.
    ///
    /// # Errors
    /// [`ClientError::Refused`], with [`Reason::RegionFull`](crate::Reason::RegionFull) where there is no room;
    /// [`ClientError::Ipc`] for batches that do not fit the schema or that farrow does not store.
    pub async fn put(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Info, ClientError> {
        crate::put::put(self, name, schema, batches, Mode::Replace).await
    }

    /// As [`put`](Self::put), but the next version begins with the rows of the latest one, which are not copied. A frame
    /// that does not exist yet begins with `batches`.
    ///
    /// # Errors
    /// As [`put`](Self::put), and [`Reason::InvalidData`](crate::Reason::InvalidData) unless the schemas are the same,
    /// metadata included.
    pub async fn append(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Info, ClientError> {
        crate::put::put(self, name, schema, batches, Mode::Append).await
    }

    /// The latest version of each frame whose name begins with `prefix`, by name.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Info>, ClientError> {
        let mut infos: Vec<Info> = Vec::new();
        loop {
            let after = infos.last().map(|info| info.name.clone()).unwrap_or_default();
            let request = v1::ListRequest { prefix: prefix.to_owned(), after, limit: 0 };
            let page: Vec<v1::FrameInfo> = self.connection.action(Action::List, &request).await?;
            if page.is_empty() {
                return Ok(infos);
            }
            infos.extend(page.into_iter().map(Info::from));
        }
    }

    /// What is known of a frame's latest version, or of `name@version`, without mapping it.
    pub async fn stat(&self, name: &str) -> Result<Info, ClientError> {
        let request = v1::StatRequest { name: name.to_owned(), version: 0 };
        Ok(self.connection.action_result::<v1::FrameInfo>(Action::Stat, &request).await?.into())
    }

    /// Has the agent read a frame's latest version, or `name@version`, and compare every batch with the checksum
    /// recorded at its commit. `progress` is told now and then how far it is.
    ///
    /// # Errors
    /// [`ClientError::Refused`], with [`Reason::Corrupt`](crate::Reason::Corrupt) and the first batch that differs.
    pub async fn verify(
        &self,
        name: &str,
        mut progress: impl FnMut(&Verified),
    ) -> Result<Verified, ClientError> {
        let request = v1::VerifyRequest { name: name.to_owned() };
        let mut last = None;
        let each = |result: v1::VerifyProgress| progress(last.insert(result.into()));
        self.connection.action_each(Action::Verify, &request, each).await?;
        last.filter(|last| last.bytes_done == last.bytes)
            .ok_or_else(|| ClientError::Answer { what: "farrow.Verify ended before the version did".into() })
    }

    /// Removes a frame, or one version of it (`name@version`), from all look-ups at once. Who has it mapped keeps it.
    pub async fn drop(&self, name: &str) -> Result<Dropped, ClientError> {
        // The agent parses names; only the version has to be told apart here.
        let (name, version) = match name.rsplit_once('@') {
            Some((frame, version)) => match version.parse::<u64>() {
                Ok(version @ 1..) => (frame, version),
                _ => (name, 0),
            },
            None => (name, 0),
        };
        let request = v1::DropRequest { name: name.to_owned(), version, prefix: String::new() };
        self.connection.action_result::<v1::DropResult>(Action::Drop, &request).await.map(Dropped::from)
    }

    /// Removes all frames whose names begin with `prefix`, which must not be empty: all of them at once, or none.
    pub async fn drop_prefix(&self, prefix: &str) -> Result<Dropped, ClientError> {
        let request = v1::DropRequest { prefix: prefix.to_owned(), ..Default::default() };
        self.connection.action_result::<v1::DropResult>(Action::Drop, &request).await.map(Dropped::from)
    }

    /// Keeps the `last` latest versions of a frame from now on (0: all of them); older ones are removed.
    pub async fn retain(&self, name: &str, last: u64) -> Result<Dropped, ClientError> {
        let request = v1::RetainRequest { name: name.to_owned(), last };
        self.connection.action_result::<v1::DropResult>(Action::Retain, &request).await.map(Dropped::from)
    }

    /// Removes the versions of all frames whose names begin with `prefix` that are older than `age`, by the agent's
    /// clock; the latest version of each stays unless `latest` is set.
    pub async fn expire(&self, prefix: &str, age: Duration, latest: bool) -> Result<Dropped, ClientError> {
        let older_than_micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        let request = v1::ExpireRequest { prefix: prefix.to_owned(), older_than_micros, latest };
        self.connection.action_result::<v1::DropResult>(Action::Expire, &request).await.map(Dropped::from)
    }

    /// Has the agent make one more pool file, out of space that is in no famfs file: of `len` bytes, or with `None`
    /// of the largest range there is. Returns its bytes.
    pub async fn grow(&self, len: Option<u64>) -> Result<u64, ClientError> {
        let request = v1::GrowRequest { len: len.unwrap_or(0) };
        let grown: v1::GrowResult = self.connection.action_result(Action::Grow, &request).await?;
        Ok(grown.len)
    }

    /// Who maps what, oldest lease first.
    pub async fn leases(&self) -> Result<Vec<LeaseInfo>, ClientError> {
        let leases: Vec<v1::LeaseInfo> = self.connection.action(Action::Leases, &()).await?;
        let leases = leases.into_iter().map(|lease| LeaseInfo {
            lease: lease.lease,
            pid: lease.pid,
            uid: lease.uid,
            name: lease.name,
            version: lease.version,
            bytes: lease.bytes,
            age: Duration::from_millis(lease.age_millis),
        });
        Ok(leases.collect())
    }

    /// What holds the region's space.
    pub async fn usage(&self) -> Result<Usage, ClientError> {
        let usage: v1::Usage = self.connection.action_result(Action::Usage, &()).await?;
        Ok(Usage {
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
            log_entries: usage.log_entries,
            log_capacity: usage.log_capacity,
        })
    }
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
            why: None,
        }
    }
}
