//! Writing in place: segments in reservations of the region, published by one commit.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use farrow_ipc::{Plan, SegmentWriter};
use farrow_proto::{Action, Reason, v1};
use farrow_region::{MappingWriter, WriteMapping};
use tokio::runtime::Handle;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::info::Info;
use crate::writer::{Mode, Target};

/// Bytes of the first reservation of a writer that does not know how much will come. Each further one is twice as long,
/// up to [`LARGEST`].
const FIRST: u64 = 64 << 20;

const LARGEST: u64 = 1 << 30;

/// Bytes that are copied and looked through in a tenth of a millisecond or so.
const FEW: u64 = 256 << 10;

/// Reservations grow beyond [`LARGEST`] to this part of what was written: an agent gives a process 64 of them.
const PART: u64 = 16;

/// How much is reserved for some batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// What they need.
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
    /// Whether the last batches had other dictionaries than those before.
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

    /// Whether a segment had to be ended because the last batches have other dictionaries.
    pub(crate) fn other_dictionaries(&self) -> bool {
        self.other_dictionaries
    }

    /// Publishes everything as one version.
    pub(crate) async fn publish(mut self: Box<Self>) -> Result<Info, ClientError> {
        if let Some(open) = self.open.take() {
            let complete = blocking(open.file.written(), move || open.complete()).await?;
            self.add_complete(vec![complete]);
        }
        let Target { client, name, mode, .. } = &self.target;
        let mut request =
            v1::CommitRequest { name: name.clone(), append: *mode == Mode::Append, ..Default::default() };
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

/// What became of batches.
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
    /// Where the abort is sent from: the last owner may be any thread.
    runtime: Handle,
    ended: bool,
}

impl Reserved {
    async fn take(target: &Target, len: u64) -> Result<Self, ClientError> {
        let connection = target.client.connection.clone();
        let request = v1::ReserveRequest { len, name: target.name.clone() };
        let reservation = connection.action_result(Action::Reserve, &request).await?;
        Ok(Self { reservation, connection, runtime: Handle::current(), ended: false })
    }

    async fn give_back(mut self) -> Result<(), ClientError> {
        let request = v1::AbortRequest { reservation: self.reservation.id };
        self.connection.action::<()>(Action::Abort, &request).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.ended || self.connection.check_process().is_err() {
            return;
        }
        let connection = self.connection.clone();
        let request = v1::AbortRequest { reservation: self.reservation.id };
        // If the runtime has ended, the agent ends the reservation with this process.
        self.runtime.spawn(async move {
            if let Err(error) = connection.action::<()>(Action::Abort, &request).await {
                tracing::warn!(%error, "a reservation could not be given back before this process ends");
            }
        });
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
