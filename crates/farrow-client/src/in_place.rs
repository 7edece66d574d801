//! Writing in place: segments in reservations of the region, published by one commit.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use farrow_ipc::{Plan, SegmentWriter};
use farrow_proto::{Action, Reason, v1};
use farrow_region::{MappingWriter, WriteMapping};
use tokio::runtime::Handle;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::granted::granted;
use crate::info::Info;
use crate::put_options::PutOptions;
use crate::writer::{Mode, Target};

/// Bytes of the first reservation of a writer that does not know how much will come. Each further one is twice as long,
/// up to [`LARGEST`].
const FIRST: u64 = 64 << 20;

const LARGEST: u64 = 1 << 30;

/// Bytes that are copied and looked through in a tenth of a millisecond or so.
const FEW: u64 = 256 << 10;

/// Reservations grow beyond [`LARGEST`] to this part of what was written: an agent gives a process 64 of them.
const PART: u64 = 16;

/// Between two attempts to give back what is being committed.
const COMMITTING: Duration = Duration::from_millis(100);

/// The room to reserve for some batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// The bytes that they need.
    ForThis,
    /// Some more: they are not the last.
    ForMore,
}

/// A version that is being written in place. Dropped, it gives its reservations back.
#[derive(Debug)]
pub(crate) struct InPlace {
    target: Target,
    open: Option<Box<OpenSegment>>,
    complete: Vec<(Reserved, u64)>,
    /// Bytes in `complete`.
    bytes: u64,
    /// Bytes of the next reservation, about.
    next: u64,
    /// True if the last batches had other dictionaries than those before.
    other_dictionaries: bool,
}

/// A reservation that is being written.
#[derive(Debug)]
struct OpenSegment {
    // In this order: nobody may be given extents that are still mapped writable here.
    file: SegmentWriter<MappingWriter<WriteMapping>>,
    reserved: Reserved,
}

impl InPlace {
    /// Begins with a reservation for these batches; or says why this process cannot write in place.
    pub(crate) async fn begin(
        target: &Target,
        batches: &[RecordBatch],
        room: Room,
    ) -> Result<Result<Box<Self>, String>, ClientError> {
        let connection = &target.client.connection;
        if !connection.is_local() {
            return Ok(Err(connection.why_not_local()));
        }
        let need = Plan::new(&target.schema, batches)?.len;
        let mut in_place = Self {
            target: target.clone(),
            open: None,
            complete: Vec::new(),
            bytes: 0,
            next: FIRST,
            other_dictionaries: false,
        };
        let reserved = match in_place.reserve(need, room).await {
            Err(error) if error.reason() == Some(Reason::NeedsUnixSocket) => {
                return Ok(Err(error.to_string()));
            }
            reserved => reserved?,
        };
        match target.client.regions.writable(&reserved.reservation) {
            Ok(mapping) => {
                in_place.open = Some(OpenSegment::new(reserved, mapping, &target.schema)?);
                Ok(Ok(Box::new(in_place)))
            }
            Err(error) => {
                // The agent needs the room.
                reserved.give_back().await?;
                Ok(Err(error.to_string()))
            }
        }
    }

    /// Writes batches that share their dictionaries. After an error, or if nobody waits for the end, it must be dropped.
    pub(crate) async fn write(&mut self, batches: Vec<RecordBatch>, room: Room) -> Result<(), ClientError> {
        // A reservation goes along with what writes to it: a caller that gives up waiting must not give the extents
        // back while they are still written to.
        let (open, schema) = (self.open.take(), self.target.schema.clone());
        let most = open.as_ref().map_or(0, |open| open.reserved.reservation.len);
        let (batches, need) = match blocking(most, move || add_or_complete(open, batches, &schema)).await? {
            Added::All(open) => {
                self.open = Some(open);
                self.other_dictionaries = false;
                return Ok(());
            }
            Added::Nothing { complete, batches, need, other_dictionaries } => {
                self.add_complete(complete);
                self.other_dictionaries = other_dictionaries;
                (batches, need)
            }
        };
        let reserved = self.reserve(need, room).await?;
        let mapping = self.target.client.regions.writable(&reserved.reservation)?;
        let schema = self.target.schema.clone();
        self.open = Some(
            blocking(need, move || OpenSegment::new(reserved, mapping, &schema)?.write(&batches)).await?,
        );
        Ok(())
    }

    /// True if a segment had to be ended because the last batches have other dictionaries.
    pub(crate) fn other_dictionaries(&self) -> bool {
        self.other_dictionaries
    }

    /// Publishes everything as one version.
    pub(crate) async fn publish(mut self: Box<Self>) -> Result<Info, ClientError> {
        if let Some(open) = self.open.take() {
            let complete = blocking(open.file.written(), move || open.complete()).await?;
            self.add_complete(vec![complete]);
        }
        let Target { client, name, options: PutOptions { mode, keep, if_version, .. }, .. } =
            self.target.clone();
        let append = mode == Mode::Append;
        let mut request = v1::CommitRequest { name, append, keep, if_version, ..Default::default() };
        match &self.complete[..] {
            [(reserved, len)] => (request.reservation, request.len) = (reserved.reservation.id, *len),
            several => {
                let segment = |(reserved, len): &(Reserved, u64)| v1::WrittenSegment {
                    reservation: reserved.reservation.id,
                    len: *len,
                };
                request.segments = several.iter().map(segment).collect();
            }
        }
        let info: v1::FrameInfo = client.connection.action_result(Action::Commit, &request).await?;
        self.complete.iter_mut().for_each(|(reserved, _)| reserved.ended = true);
        Ok(info.into())
    }

    fn add_complete(&mut self, complete: Vec<(Reserved, u64)>) {
        self.bytes += complete.iter().map(|(_, len)| len).sum::<u64>();
        self.complete.extend(complete);
    }

    async fn reserve(&mut self, need: u64, room: Room) -> Result<Reserved, ClientError> {
        let take = async |len| Reserved::take(&self.target, len).await;
        if room == Room::ForThis {
            return take(need).await;
        }
        // What comes next is about as long.
        let len = self.next.max(self.bytes / PART).max(need.saturating_mul(2).saturating_add(need / 8));
        self.next = (self.next * 2).min(LARGEST);
        match take(len).await {
            Err(error) if matches!(error.reason(), Some(Reason::RegionFull | Reason::Quota)) => {
                take(need).await
            }
            reserved => reserved,
        }
    }
}

/// The outcome of adding batches.
enum Added {
    /// They are in the segment.
    All(Box<OpenSegment>),
    /// There is none, or no room for them in it, or it has other dictionaries: if there was one, it is complete.
    Nothing { complete: Vec<(Reserved, u64)>, batches: Vec<RecordBatch>, need: u64, other_dictionaries: bool },
}

fn add_or_complete(
    open: Option<Box<OpenSegment>>,
    batches: Vec<RecordBatch>,
    schema: &SchemaRef,
) -> Result<Added, ClientError> {
    let other_dictionaries = open.as_ref().is_some_and(|open| !open.file.takes(&batches));
    let complete = match open {
        Some(open) if !other_dictionaries && open.has_room_for(&batches)? => {
            return Ok(Added::All(open.write(&batches)?));
        }
        Some(open) => vec![open.complete()?],
        None => Vec::new(),
    };
    let need = Plan::new(schema, &batches)?.len;
    Ok(Added::Nothing { complete, batches, need, other_dictionaries })
}

impl OpenSegment {
    fn new(reserved: Reserved, mapping: WriteMapping, schema: &SchemaRef) -> Result<Box<Self>, ClientError> {
        Ok(Box::new(Self { file: SegmentWriter::new(schema, mapping.into_writer())?, reserved }))
    }

    fn has_room_for(&self, batches: &[RecordBatch]) -> Result<bool, ClientError> {
        // The very batches that were reserved for fit, whatever else is added for caution.
        if self.file.batches() == 0 {
            return Ok(true);
        }
        Ok(self.file.len_with(batches)? <= self.reserved.reservation.len)
    }

    fn write(mut self: Box<Self>, batches: &[RecordBatch]) -> Result<Box<Self>, ClientError> {
        batches.iter().try_for_each(|batch| self.file.write(batch))?;
        Ok(self)
    }

    /// Ends the file: where it is, and its bytes.
    fn complete(self: Box<Self>) -> Result<(Reserved, u64), ClientError> {
        let Self { file, reserved } = *self;
        let (out, len) = file.finish()?;
        out.mapping().persist(0, out.position())?;
        // What is committed, this process can no longer change.
        drop(out);
        Ok((reserved, len))
    }
}

/// A reservation that is aborted unless it is committed.
#[derive(Debug)]
struct Reserved {
    reservation: v1::Reservation,
    connection: Connection,
    /// The place where the abort is sent from: the last owner may be any thread.
    runtime: Handle,
    ended: bool,
}

impl Reserved {
    async fn take(target: &Target, len: u64) -> Result<Self, ClientError> {
        let connection = target.client.connection.clone();
        let (name, if_version) = (target.name.clone(), target.options.if_version);
        let request = v1::ReserveRequest { len, name, if_version };
        granted(async move {
            let reservation = connection.action_result(Action::Reserve, &request).await?;
            Ok(Self { reservation, connection, runtime: Handle::current(), ended: false })
        })
        .await
    }

    async fn give_back(mut self) -> Result<(), ClientError> {
        abort(&self.connection, self.reservation.id).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.ended || self.connection.check_process().is_err() {
            return;
        }
        let (connection, id) = (self.connection.clone(), self.reservation.id);
        // If the runtime has ended, the agent ends the reservation with this process.
        self.runtime.spawn(async move {
            if let Err(error) = abort(&connection, id).await {
                tracing::warn!(%error, "a reservation could not be given back before this process ends");
            }
        });
    }
}

/// Gives a reservation back, unless it has ended: a commit may have been given up that the agent then finished. One that is
/// still under way is waited for.
async fn abort(connection: &Connection, reservation: u64) -> Result<(), ClientError> {
    let request = v1::AbortRequest { reservation };
    loop {
        match connection.action::<()>(Action::Abort, &request).await {
            Err(error) if error.reason() == Some(Reason::Busy) => tokio::time::sleep(COMMITTING).await,
            Err(error) if error.reason() == Some(Reason::NotHeld) => return Ok(()),
            aborted => return aborted.map(drop),
        }
    }
}

/// Does what goes through so many bytes: where it holds up nobody, unless going there takes longer.
pub(crate) async fn blocking<T: Send + 'static, E: Into<ClientError> + Send + 'static>(
    bytes: u64,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ClientError> {
    if bytes < FEW {
        return work().map_err(Into::into);
    }
    tokio::task::spawn_blocking(work).await.map_err(ClientError::Interrupted)?.map_err(Into::into)
}
