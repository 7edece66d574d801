//! The client: one connection to the agent of this host, or to one over TCP.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use farrow_proto::{Action, v1};
use prost::Message;

use crate::address::Address;
use crate::connection::Connection;
use crate::credentials::Credentials;
use crate::error::ClientError;
use crate::frame::Frame;
use crate::info::{Dropped, Health, Info, LeaseInfo, Usage, Verified};
use crate::lease::Releases;
use crate::regions::Regions;
use crate::retry::retried;
use crate::session::Sessions;
use crate::watch::Watch;
use crate::writer::{Mode, Writer, Written, write_all};

/// A connection to an agent. Clones share it, and what it maps.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) connection: Connection,
    pub(crate) regions: Arc<Regions>,
    pub(crate) releases: Releases,
    pub(crate) sessions: Sessions,
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
        retried(|| crate::get::get(self, name)).await
    }

    /// Several frames, each by its name or `name@version`, as of one moment: nothing was committed or dropped between
    /// any two of them. In the order of `names`.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the first frame of which there is none; and
    /// [`Reason::NeedsUnixSocket`](crate::Reason::NeedsUnixSocket) over TCP.
    pub async fn snapshot(&self, names: &[&str]) -> Result<Vec<Frame>, ClientError> {
        retried(|| crate::get::snapshot(self, names)).await
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
        self.publish(name, schema, batches, Mode::Replace).await
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
        self.publish(name, schema, batches, Mode::Append).await
    }

    /// As [`put`](Self::put), of as many batches as `reader` gives, one after another: no more than about 64 MiB of them,
    /// and one batch, are in memory at a time. It is read on a thread of its own.
    ///
    /// # Errors
    /// As [`put`](Self::put), and [`ClientError::Reader`] with the reader's first error. Nothing is published then.
    pub async fn put_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
    ) -> Result<Info, ClientError> {
        self.write_reader(name, reader, Mode::Replace, |_| {}).await
    }

    /// As [`append`](Self::append), of as many batches as `reader` gives: see [`put_reader`](Self::put_reader).
    pub async fn append_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
    ) -> Result<Info, ClientError> {
        self.write_reader(name, reader, Mode::Append, |_| {}).await
    }

    /// [`put_reader`](Self::put_reader) or [`append_reader`](Self::append_reader), which tells `progress` after each
    /// batch how much was read.
    pub async fn write_reader(
        &self,
        name: &str,
        reader: impl RecordBatchReader + Send + 'static,
        mode: Mode,
        progress: impl FnMut(Written),
    ) -> Result<Info, ClientError> {
        let writer = self.writer(name, reader.schema(), mode)?;
        write_all(writer, reader, progress).await
    }

    /// A version of the frame `name` that is written batch by batch, and published as a whole when it is finished.
    /// Batches go straight into the shared memory, into segments of up to 1 GiB, with bounded memory of this process;
    /// where it cannot write there, they are streamed to the agent, as [`put`](Self::put) does. A writer that is dropped
    /// before has published nothing, and its space is given back.
    ///
    /// # Errors
    /// [`ClientError::Ipc`] for a schema that farrow does not store.
    pub fn writer(&self, name: &str, schema: SchemaRef, mode: Mode) -> Result<Writer, ClientError> {
        Writer::new(self, name, schema, mode)
    }

    async fn publish(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        mode: Mode,
    ) -> Result<Info, ClientError> {
        let mut writer = self.writer(name, schema, mode)?.of_all();
        for batch in batches {
            writer.write(batch).await?;
        }
        writer.finish().await
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
        let body = Bytes::from(request.encode_to_vec());
        let mut last = None;
        let each = |result: v1::VerifyProgress| progress(last.insert(result.into()));
        self.connection.action_once(Action::Verify, body, each).await?;
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
        Ok(leases.into_iter().map(LeaseInfo::from).collect())
    }

    /// What holds the region's space.
    pub async fn usage(&self) -> Result<Usage, ClientError> {
        Ok(self.connection.action_result::<v1::Usage>(Action::Usage, &()).await?.into())
    }

    /// Whether the agent serves, or why it does not. An agent that does not answer is an error.
    pub async fn health(&self) -> Result<Health, ClientError> {
        Ok(self.connection.action_result::<v1::HealthInfo>(Action::Health, &()).await?.into())
    }
}
