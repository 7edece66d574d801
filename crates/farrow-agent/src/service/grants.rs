//! What a process is given, whichever verb asks: leases and reservations. One function for each kind of request.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use farrow_proto::v1;
use farrow_proto::v1::map_result;
use farrow_store::{CommitOptions, ForeignFile, FrameName, FrameRef, Version};

use super::Service;
use super::answers::{Made, SMALL};
use crate::awaited::Awaited;
use crate::caller::Caller;
use crate::error::AgentError;
use crate::leases::Leases;
use crate::process::{Process, ProcessId};
use crate::region::Wanted;
use crate::rights::Right;
use crate::status;

/// Names in one request to map.
const MAX_NAMES: usize = 4096;

/// Names that are looked up, and leases that are granted, at once, while others wait.
const FEW: usize = 16;

/// Bytes of memory for an answer about more than one name, at most.
const MOST_BYTES: u64 = 16 << 20;

/// Bytes of memory for a refusal, for where the file of another program lies, and for about as much as a frame of one
/// segment needs.
const ONE_RESULT: u64 = 3 << 10;

/// Names that were looked up.
struct LookedUp {
    /// For each name, in order.
    found: Vec<Result<Found, AgentError>>,
    as_of: u64,
    untold: Untold,
}

enum Found {
    File(Arc<ForeignFile>),
    /// The file of another program, and where it lies.
    Described(Box<v1::MapDescriptor>),
    /// A version, with a lease on it.
    Version((u64, Arc<Version>)),
}

/// A grant that its process has not been told of. It goes back with this, unless the process is told.
pub(super) struct Untold {
    leases: Arc<Leases>,
    process: ProcessId,
    granted: Granted,
}

enum Granted {
    Leases(Vec<u64>),
    Reservation(u64),
    /// The process has been told.
    Nothing,
}

impl Service {
    /// One result for each name (`name`, or `name@version`), in order, and the leases in them: where the versions lie
    /// that there are at one moment.
    pub(super) async fn map_each(
        &self,
        caller: &Caller,
        process: &Arc<Process>,
        request: v1::MapRequest,
    ) -> Result<Made<v1::Mapped>, AgentError> {
        let (user, names) = (caller.user(), Arc::new(request.names));
        let count = names.len();
        if count > MAX_NAMES {
            return Err(AgentError::TooMany { what: "names in one request", count, limit: MAX_NAMES });
        }
        // Before anything is looked up: what waits for memory has none.
        let mut bytes = (count as u64 * ONE_RESULT).max(SMALL);
        let (share, mut looked_up) = loop {
            let share = self.memory(&user, bytes).await;
            let (caller, process, names) = (caller.clone(), process.clone(), names.clone());
            let grant = move |service: &Self| service.look_up(&caller, &process, &names);
            let looked_up = if count <= FEW { grant(self)? } else { self.making(&user, grant).await? };
            let needs = looked_up.found.iter().map(|found| self.result_bytes(found)).sum();
            if needs > MOST_BYTES && count > 1 {
                let names = looked_up.found.iter().flatten().count();
                return Err(AgentError::LongAnswer { names, bytes: needs, limit: MOST_BYTES });
            }
            if needs <= bytes {
                break (share, looked_up);
            }
            bytes = needs;
        };
        for found in &mut looked_up.found {
            if let Ok(Found::File(file)) = found {
                *found =
                    self.foreign_map(&user, file.clone()).await.map(|map| Found::Described(Box::new(map)));
            }
        }
        let (caller, LookedUp { found, as_of, untold }) = (caller.clone(), looked_up);
        let describe = move |service: &Self| {
            let results = found.into_iter().map(|found| service.result(&caller, found)).collect();
            Ok(v1::Mapped { results, as_of })
        };
        Ok(Made { untold: Some(untold), ..self.made_in(share, &user, describe).await? })
    }

    /// Looks all names up at one moment, and grants leases on what there is.
    fn look_up(
        &self,
        caller: &Caller,
        process: &Arc<Process>,
        names: &[String],
    ) -> Result<LookedUp, AgentError> {
        let mut frames = Vec::with_capacity(names.len());
        let mut named = Vec::with_capacity(names.len());
        for name in names {
            named.push(self.named(caller, name).map(|file| file.map_err(|frame| frames.push(frame))));
        }
        let (granted, as_of) = self.leases.grant_all(process, &frames)?;
        let ids = granted.iter().flatten().map(|(lease, _)| *lease).collect();
        let untold = self.untold(process, Granted::Leases(ids));
        let mut granted = granted.into_iter();
        let found = named.into_iter().filter_map(|named| match named {
            Ok(Ok(file)) => Some(Ok(Found::File(file))),
            // There are as many as were asked for.
            Ok(Err(())) => Some(granted.next()?.map(Found::Version)),
            Err(error) => Some(Err(error)),
        });
        Ok(LookedUp { found: found.collect(), as_of, untold })
    }

    /// The file of another program that a name means, or else the frame.
    fn named(&self, caller: &Caller, name: &str) -> Result<Result<Arc<ForeignFile>, FrameRef>, AgentError> {
        let frame = caller.allow(Right::Read, FrameRef::parse(name)?)?.into_inner();
        let file = self.region.view().foreign(&frame.name, frame.version)?;
        Ok(file.ok_or(frame))
    }

    /// Bytes of memory for the result of a name, about.
    fn result_bytes(&self, found: &Result<Found, AgentError>) -> u64 {
        match found {
            Ok(Found::Version((_, version))) => self.region.descriptor_bytes(version),
            Ok(Found::File(_) | Found::Described(_)) | Err(_) => ONE_RESULT,
        }
    }

    fn result(&self, caller: &Caller, found: Result<Found, AgentError>) -> v1::MapResult {
        let map = found.and_then(|found| match found {
            Found::Version((lease, version)) => Ok(self.region.map_descriptor(&version, lease)),
            Found::Described(map) => Ok(*map),
            // It was described before.
            Found::File(_) => Err(AgentError::NoSegments),
        });
        let result = match map {
            Ok(map) => map_result::Result::Map(map),
            Err(error) => map_result::Result::Refusal(status::refusal(&caller.censored(error))),
        };
        v1::MapResult { result: Some(result) }
    }

    /// Space for `process` to write into.
    pub(super) async fn reserve(
        &self,
        caller: &Caller,
        process: Arc<Process>,
        request: v1::ReserveRequest,
    ) -> Result<(v1::Reservation, Untold), AgentError> {
        if request.name.is_empty() {
            caller.allow_any(Right::Publish)?;
        } else {
            // What the commit would refuse is better refused before anything is written.
            let name = caller.allow(Right::Publish, FrameName::parse(&request.name)?)?;
            self.region.view().not_foreign(&name)?;
            self.region.store().check_latest(&name, request.if_version)?;
        }
        let writer = caller.writer();
        let given_up = GivenUp::default();
        let flag = given_up.0.clone();
        let reserve = move |service: &Self| {
            let agent = service.leases.owner(&service.agent);
            let reservation = service.leases.reserve(&process, |owner, quota| {
                let wanted = Wanted { owner, writer, len: request.len, quota };
                service.region.reserve(&wanted, agent, &flag)
            })?;
            // Here and not by who waits for it, who may be gone.
            let untold = service.untold(&process, Granted::Reservation(reservation.id));
            Ok((service.region.reservation(&reservation), untold))
        };
        let reserved = self.blocking(reserve).await.map_err(|error| self.name_remedies(caller, error))?;
        drop(given_up);
        Ok(reserved)
    }

    /// Checks what `process` has written, and publishes it.
    pub(super) async fn commit(
        &self,
        caller: &Caller,
        process: Arc<Process>,
        request: v1::CommitRequest,
    ) -> Result<v1::FrameInfo, AgentError> {
        let name = caller.allow(Right::Publish, FrameName::parse(&request.name)?)?;
        let v1::CommitRequest { append, keep, if_version, .. } = request;
        let options = CommitOptions { append, keep, if_version };
        caller.allow_commit(&name, options)?;
        let segments = segments(request)?;
        let mut written = Vec::with_capacity(segments.len());
        for segment in &segments {
            written.push((self.leases.reservation(&process, segment.reservation)?, segment.len));
        }
        let begun = self.committing.begin(written.iter().map(|(taken, _)| taken.id).collect())?;
        let publish = move |service: &Self, caller: &Awaited| {
            let _begun = begun;
            service.region.commit(&written, name.into_inner(), options, caller).inspect_err(|_| {
                written.iter().for_each(|(taken, _)| service.leases.end_orphan(process.id(), taken.id));
            })
        };
        let version = self.reading(&caller.user(), publish).await?;
        Ok(self.published(caller, &version))
    }

    /// Gives a reservation of `process`'s back, once no commit looks at it any more.
    pub(super) async fn abort(&self, process: &Process, request: v1::AbortRequest) -> Result<(), AgentError> {
        let reservation = self.leases.reservation(process, request.reservation)?;
        self.committing.ended(reservation.id).await;
        self.blocking(move |service| Ok(service.region.store().abort(reservation.id)?)).await
    }

    /// A lease that `process` has not been told of.
    pub(super) fn untold_lease(&self, process: &Process, lease: u64) -> Untold {
        self.untold(process, Granted::Leases(vec![lease]))
    }

    fn untold(&self, process: &Process, granted: Granted) -> Untold {
        Untold { leases: self.leases.clone(), process: process.id(), granted }
    }

    /// Ends leases of `process`'s; returns how many.
    pub(super) async fn release(
        &self,
        process: &Process,
        request: v1::ReleaseRequest,
    ) -> Result<u64, AgentError> {
        let process = process.id();
        let v1::ReleaseRequest { leases, page, up_to } = request;
        self.blocking(move |service| {
            if page != 0 {
                service.leases.mark_inherited(process, page, up_to)?;
            }
            service.leases.release(process, &leases)
        })
        .await
    }
}

/// Tells who works for a request that nobody waits for it any more.
#[derive(Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The segments that a request commits, in row order, each in another reservation.
fn segments(request: v1::CommitRequest) -> Result<Vec<v1::WrittenSegment>, AgentError> {
    let v1::CommitRequest { reservation, len, segments, .. } = request;
    if segments.is_empty() {
        return Ok(vec![v1::WrittenSegment { reservation, len }]);
    }
    if reservation != 0 || len != 0 {
        return Err(AgentError::CommittedTwofold { reservation, segments: segments.len() });
    }
    let mut seen = HashSet::new();
    match segments.iter().find(|segment| !seen.insert(segment.reservation)) {
        Some(&v1::WrittenSegment { reservation: id, .. }) => Err(AgentError::SameReservation { id }),
        None => Ok(segments),
    }
}

impl Untold {
    /// The process is told: what was granted is its own from now on.
    pub(super) fn told(mut self) {
        self.granted = Granted::Nothing;
    }

    /// One for each of these results, which have its leases.
    pub(super) fn of_each(mut self, results: &[v1::MapResult]) -> Vec<Option<Self>> {
        self.granted = Granted::Nothing;
        let lease = |result: &v1::MapResult| match &result.result {
            // 0 is the lease on the file of another program: there is none.
            Some(map_result::Result::Map(map)) if map.lease != 0 => Some(map.lease),
            _ => None,
        };
        let alone = |lease| Self {
            leases: self.leases.clone(),
            process: self.process,
            granted: Granted::Leases(vec![lease]),
        };
        results.iter().map(|result| lease(result).map(alone)).collect()
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        let given_back = match &self.granted {
            Granted::Leases(ids) => self.leases.release(self.process, ids).map(drop),
            Granted::Reservation(id) => self.leases.abort(*id),
            Granted::Nothing => return,
        };
        if let Err(error) = given_back {
            let pid = self.process.pid;
            tracing::error!(pid, %error, "what nobody was told of stays until the process ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use farrow_region::FileMedia;
    use farrow_store::{FormatOptions, Store};
    use futures::StreamExt;
    use tokio::sync::watch;
    use tonic::Response;
    use uuid::Uuid;

    use super::super::Answers;
    use super::super::receipts::{Receipts, granting};
    use super::*;
    use crate::family_pages::FamilyPages;
    use crate::holders::Holders;
    use crate::leases::Inherited;
    use crate::limits::Limits;

    const HOST: Uuid = Uuid::from_u128(1);

    /// A reservation of this process, which has not been told of it.
    fn reserved() -> (Arc<Store>, Untold) {
        let directory = tempfile::tempdir().unwrap();
        let media = FileMedia::create(directory.path().join("region"), 32 << 20, false).unwrap();
        Store::format(&media, &FormatOptions::new(HOST)).unwrap();
        let store = Arc::new(Store::open(Arc::new(media), HOST).unwrap());
        let holders = Holders::open(&directory.path().join("holders")).unwrap();
        let (_, limits) = watch::channel(Limits::default());
        let inherited = Inherited::new(FamilyPages::open(&directory.path().join("pages"), 1).unwrap());
        let leases = Leases::take_up(store.clone(), HOST, holders, inherited, limits, 64).unwrap();
        let process = Arc::new(Process::this().unwrap());
        let take = |owner, quota| Ok(store.reserve_within(owner, 4096, &quota)?);
        let granted = Granted::Reservation(leases.reserve(&process, take).unwrap().id);
        (store, Untold { leases, process: process.id(), granted })
    }

    #[tokio::test]
    async fn a_reservation_that_its_process_is_not_told_of_ends() {
        let reservations = |store: &Store| store.view().reservations().len();

        let (store, untold) = reserved();
        assert_eq!(reservations(&store), 1);
        drop(untold);
        assert_eq!(reservations(&store), 0);

        let answers = |untold| {
            let answers: Answers<u32> = Box::pin(futures::stream::iter([Ok(1), Ok(2)]));
            let response = granting(Response::new(answers), vec![None, Some(untold)]);
            let (_, answers, extensions) = response.into_parts();
            (answers, extensions.get::<Arc<Receipts>>().unwrap().clone())
        };
        // Of an answer that was made, given to the connection, and not sent.
        for made in 0..=3 {
            let (store, untold) = reserved();
            let (mut messages, receipts) = answers(untold);
            for _ in 0..made.min(2) {
                messages.next().await.unwrap().unwrap();
            }
            if made == 3 {
                receipts.given();
            }
            assert_eq!(reservations(&store), 1);
            drop((messages, receipts));
            assert_eq!(reservations(&store), 0, "{made}");
        }
        // Of one that the connection has taken.
        let (store, untold) = reserved();
        let (mut messages, receipts) = answers(untold);
        messages.next().await.unwrap().unwrap();
        receipts.given();
        receipts.taken();
        messages.next().await.unwrap().unwrap();
        receipts.given();
        receipts.taken();
        drop((messages, receipts));
        assert_eq!(reservations(&store), 1);
    }
}
