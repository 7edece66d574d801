//! What a process is given, whichever verb asks: leases and reservations. One function for each kind of request.

use std::collections::HashSet;
use std::sync::Arc;

use farrow_proto::v1;
use farrow_proto::v1::map_result;
use farrow_store::{ForeignFile, FrameName, FrameRef};

use super::Service;
use crate::caller::Caller;
use crate::error::AgentError;
use crate::leases::Leases;
use crate::process::{Process, ProcessId};
use crate::region::Onto;
use crate::rights::Right;
use crate::status;

/// Names in one request to map.
const MAX_NAMES: usize = 4096;

/// Leases that their process has not been told of. They are released with this, unless it is told.
pub(super) struct Untold {
    leases: Arc<Leases>,
    process: ProcessId,
    ids: Vec<u64>,
}

impl Service {
    /// One result for each name (`name`, or `name@version`), in order, and the leases in them: where the versions lie
    /// that there are at one moment.
    pub(super) async fn map_each(
        &self,
        caller: &Caller,
        process: &Arc<Process>,
        request: &v1::MapRequest,
    ) -> Result<(v1::Mapped, Untold), AgentError> {
        let count = request.names.len();
        if count > MAX_NAMES {
            return Err(AgentError::TooMany { what: "names in one request", count, limit: MAX_NAMES });
        }
        let mut named = Vec::with_capacity(count);
        let mut frames = Vec::with_capacity(count);
        for name in &request.names {
            named.push(self.named(caller, name).map(|file| file.map_err(|frame| frames.push(frame))));
        }
        let (granted, as_of) = self.leases.grant_all(process, &frames)?;
        let ids = granted.iter().flatten().map(|(lease, _)| *lease).collect();
        let untold = Untold { leases: self.leases.clone(), process: process.id(), ids };
        let mut granted = granted.into_iter();
        let mut results = Vec::with_capacity(count);
        for named in named {
            let map = match named {
                Ok(Ok(file)) => self.foreign_map(file).await,
                Ok(Err(())) => match granted.next() {
                    Some(Ok((lease, version))) => Ok(self.region.map_descriptor(&version, lease)),
                    Some(Err(error)) => Err(error.into()),
                    // There are as many as were asked for.
                    None => continue,
                },
                Err(error) => Err(error),
            };
            let result = match map {
                Ok(map) => map_result::Result::Map(map),
                Err(error) => map_result::Result::Refusal(status::refusal(&caller.censored(error))),
            };
            results.push(v1::MapResult { result: Some(result) });
        }
        Ok((v1::Mapped { results, as_of }, untold))
    }

    /// The file of another program that a name means, or else the frame.
    fn named(&self, caller: &Caller, name: &str) -> Result<Result<Arc<ForeignFile>, FrameRef>, AgentError> {
        let frame = caller.allow(Right::Read, FrameRef::parse(name)?)?.into_inner();
        let file = self.region.store().foreign(&frame.name, frame.version)?;
        Ok(file.ok_or(frame))
    }

    /// Space for `process` to write into.
    pub(super) async fn reserve(
        &self,
        caller: &Caller,
        process: Arc<Process>,
        request: v1::ReserveRequest,
    ) -> Result<v1::Reservation, AgentError> {
        if request.name.is_empty() {
            caller.allow_any(Right::Publish)?;
        } else {
            // What the commit would refuse is better refused before anything is written.
            let name = caller.allow(Right::Publish, FrameName::parse(&request.name)?)?;
            self.region.store().not_foreign(&name)?;
        }
        let reserve = move |service: &Self| service.leases.reserve(&process, request.len);
        let reservation = self.blocking(reserve).await?;
        Ok(self.region.reservation(&reservation))
    }

    /// Checks what `process` has written, and publishes it.
    pub(super) async fn commit(
        &self,
        caller: &Caller,
        process: Arc<Process>,
        request: v1::CommitRequest,
    ) -> Result<v1::FrameInfo, AgentError> {
        let name = caller.allow(Right::Publish, FrameName::parse(&request.name)?)?;
        let onto = if request.append { Onto::Latest } else { Onto::Nothing };
        let segments = segments(request)?;
        self.blocking(move |service| {
            let mut written = Vec::with_capacity(segments.len());
            for segment in &segments {
                written.push((service.leases.reservation(&process, segment.reservation)?, segment.len));
            }
            let version = service.region.commit(&written, name.into_inner(), onto).inspect_err(|_| {
                written.iter().for_each(|(taken, _)| service.leases.end_orphan(process.id(), taken.id));
            })?;
            Ok(service.region.frame_info(&version))
        })
        .await
    }

    /// Gives a reservation of `process`'s back.
    pub(super) async fn abort(&self, process: &Process, request: v1::AbortRequest) -> Result<(), AgentError> {
        let reservation = self.leases.reservation(process, request.reservation)?;
        self.blocking(move |service| Ok(service.region.store().abort(reservation.id)?)).await
    }

    /// Ends leases of `process`'s; returns how many.
    pub(super) async fn release(&self, process: &Process, leases: Vec<u64>) -> Result<u64, AgentError> {
        let process = process.id();
        self.blocking(move |service| service.leases.release(process, &leases)).await
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
    /// The process is told: they are its own from now on.
    pub(super) fn told(mut self) {
        self.ids.clear();
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        if let Err(error) = self.leases.release(self.process, &self.ids) {
            let pid = self.process.pid;
            tracing::error!(pid, %error, "leases that nobody was told of stay until the process ends");
        }
    }
}
