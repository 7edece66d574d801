//! What a process is given, whichever verb asks: leases and reservations. One function for each kind of request.

use std::sync::Arc;

use farrow_proto::v1;
use farrow_proto::v1::map_result;
use farrow_store::{FrameName, FrameRef};

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
    /// Where a version lies (`name`, or `name@version`), under a lease of `process`'s.
    async fn map(
        &self,
        caller: &Caller,
        process: &Arc<Process>,
        name: &str,
    ) -> Result<v1::MapDescriptor, AgentError> {
        let frame = caller.allow(Right::Read, FrameRef::parse(name)?)?;
        if let Some(file) = self.region.store().foreign(&frame.name, frame.version)? {
            return self.foreign_map(file).await;
        }
        let (lease, version) = self.leases.grant(process, &frame.name, frame.version)?;
        Ok(self.region.map_descriptor(&version, lease))
    }

    /// One result for each name, in order, and the leases in them.
    pub(super) async fn map_each(
        &self,
        caller: &Caller,
        process: &Arc<Process>,
        request: &v1::MapRequest,
    ) -> Result<(Vec<v1::MapResult>, Untold), AgentError> {
        let count = request.names.len();
        if count > MAX_NAMES {
            return Err(AgentError::TooMany { what: "names in one request", count, limit: MAX_NAMES });
        }
        let mut untold = Untold { leases: self.leases.clone(), process: process.id(), ids: Vec::new() };
        let mut results = Vec::with_capacity(count);
        for name in &request.names {
            let result = match self.map(caller, process, name).await {
                Ok(map) => {
                    untold.ids.push(map.lease);
                    map_result::Result::Map(map)
                }
                Err(error) => map_result::Result::Refusal(status::refusal(&caller.censored(error))),
            };
            results.push(v1::MapResult { result: Some(result) });
        }
        Ok((results, untold))
    }

    /// Space for `process` to write into.
    pub(super) async fn reserve(
        &self,
        caller: &Caller,
        process: Arc<Process>,
        request: v1::ReserveRequest,
    ) -> Result<v1::Reservation, AgentError> {
        // Of which frame it will be is said at the commit.
        caller.allow_any(Right::Publish)?;
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
        self.blocking(move |service| {
            let reservation = service.leases.reservation(&process, request.reservation)?;
            let version = service
                .region
                .commit(&reservation, name.into_inner(), request.len, onto)
                .inspect_err(|_| service.leases.end_orphan(process.id(), reservation.id))?;
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
