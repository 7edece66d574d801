//! DoAction.

use std::sync::Arc;

use arrow_flight::{Action as Call, Result as ActionResult};
use farrow_proto::{Action, v1};
use farrow_store::{FrameName, FrameRef, Listed};
use prost::Message;
use tonic::Request;

use super::{Service, names, process};
use crate::error::AgentError;
use crate::process::Process;

/// Frames in one answer to `farrow.List`; more are asked for page by page.
const LIST_LIMIT: usize = 10_000;

impl Service {
    pub(super) async fn action(&self, request: Request<Call>) -> Result<Vec<ActionResult>, AgentError> {
        let name = request.get_ref().r#type.clone();
        let Some(action) = Action::parse(&name) else {
            return Err(AgentError::UnknownAction { name });
        };
        let caller = process(&request, action.as_str());
        let body = request.into_inner().body;
        match action {
            Action::Reserve => {
                let (caller, request) = (caller?, decode::<v1::ReserveRequest>(action, &body)?);
                let reservation = self.leases.reserve(&caller, request.len)?;
                Ok(vec![encode(&self.region.reservation(&reservation))])
            }
            Action::Commit => {
                let (caller, request) = (caller?, decode(action, &body)?);
                Ok(vec![encode(&self.blocking(move |service| service.commit(&caller, &request)).await?)])
            }
            Action::Abort => {
                let (caller, request) = (caller?, decode::<v1::AbortRequest>(action, &body)?);
                let reservation = self.leases.reservation(&caller, request.reservation)?;
                self.region.store().abort(reservation.id)?;
                Ok(Vec::new())
            }
            Action::Release => {
                let (caller, request) = (caller?, decode::<v1::ReleaseRequest>(action, &body)?);
                let released = self.leases.release(caller.id(), &request.leases)?;
                Ok(vec![encode(&v1::ReleaseResult { released })])
            }
            Action::Drop => {
                let request: v1::DropRequest = decode(action, &body)?;
                let name = FrameName::parse(&request.name)?;
                let dropped = self.region.store().drop_frame(&name, names::version(request.version))?;
                let farrow_store::Dropped { versions, bytes_freed, bytes_held } = dropped;
                Ok(vec![encode(&v1::DropResult { versions, bytes_freed, bytes_held })])
            }
            Action::List => {
                let request: v1::ListRequest = decode(action, &body)?;
                let after = match request.after.as_str() {
                    "" => None,
                    after => Some(FrameName::parse(after)?),
                };
                let limit = match usize::try_from(request.limit) {
                    Ok(limit @ 1..=LIST_LIMIT) => limit,
                    _ => LIST_LIMIT,
                };
                let page = self.region.store().list_all(&request.prefix, after.as_ref(), limit)?;
                let infos = page.iter().map(|listed| match listed {
                    Listed::Version(version) => self.region.frame_info(version),
                    Listed::Foreign(file) => self.region.foreign_info(file, None),
                });
                Ok(infos.map(|info| encode(&info)).collect())
            }
            Action::Stat => {
                let request: v1::StatRequest = decode(action, &body)?;
                let FrameRef { name, version } = FrameRef::parse(&request.name)?;
                let version = version.or(names::version(request.version));
                if let Some(file) = self.region.store().foreign(&name, version)? {
                    return Ok(vec![encode(&self.foreign_stat(file).await?)]);
                }
                let version = self.region.store().get(&name, version)?;
                Ok(vec![encode(&self.region.frame_info(&version))])
            }
            Action::Leases => Ok(self.lease_infos()),
            Action::Usage => Ok(vec![encode(&self.region.usage(self.leases.list().len()))]),
        }
    }

    fn commit(
        &self,
        caller: &Arc<Process>,
        request: &v1::CommitRequest,
    ) -> Result<v1::FrameInfo, AgentError> {
        let name = FrameName::parse(&request.name)?;
        let reservation = self.leases.reservation(caller, request.reservation)?;
        let version = self
            .region
            .commit(&reservation, name, request.len)
            .inspect_err(|_| self.leases.end_orphan(caller.id(), reservation.id))?;
        Ok(self.region.frame_info(&version))
    }

    fn lease_infos(&self) -> Vec<ActionResult> {
        let infos = self.leases.list().into_iter().map(|lease| {
            encode(&v1::LeaseInfo {
                lease: lease.id,
                pid: lease.process.pid,
                uid: lease.uid,
                name: lease.version.name.as_str().to_owned(),
                version: lease.version.number,
                bytes: lease.version.bytes,
                age_millis: u64::try_from(lease.granted.elapsed().as_millis()).unwrap_or(u64::MAX),
            })
        });
        infos.collect()
    }
}

fn decode<M: Message + Default>(action: Action, body: &[u8]) -> Result<M, AgentError> {
    M::decode(body).map_err(|source| AgentError::Body { action: action.as_str(), len: body.len(), source })
}

fn encode(message: &impl Message) -> ActionResult {
    ActionResult::new(message.encode_to_vec())
}
