//! DoAction.

use arrow_flight::{Action as Call, Result as ActionResult};
use bytes::Bytes;
use farrow_proto::{ANNOUNCE_VALUE, Action, v1};
use farrow_store::{Dropped, FrameName, FrameRef, Listed, Prefix};
use prost::Message;
use tonic::{Request, Response};

use super::answers::Made;
use super::receipts::granting;
use super::{Answers, Service, names, process};
use crate::caller::{Allowed, Caller};
use crate::error::AgentError;
use crate::leases::LeaseView;
use crate::region::micros_since_epoch;
use crate::rights::Right;

/// Results in one answer to `farrow.List` or `farrow.Versions`; more are asked for page by page.
const LIST_LIMIT: usize = 10_000;

impl Service {
    pub(super) async fn action(
        &self,
        action: Action,
        caller: &Caller,
        request: Request<Call>,
    ) -> Result<Response<Answers<ActionResult>>, AgentError> {
        let process = process(&request, action.as_str());
        let body = request.into_inner().body;
        let results = match action {
            Action::Reserve => {
                let (process, request) = (process?, decode(action, &body)?);
                let (reservation, untold) = self.reserve(caller, process, request).await?;
                let reserved = Response::new(answers([encode(&reservation)]));
                return Ok(granting(reserved, vec![Some(untold)]));
            }
            Action::Commit => {
                let (process, request) = (process?, decode(action, &body)?);
                vec![encode(&self.commit(caller, process, request).await?)]
            }
            Action::Abort => {
                let (process, request) = (process?, decode(action, &body)?);
                self.abort(&process, request).await?;
                Vec::new()
            }
            Action::Release => {
                let (process, request) = (process?, decode::<v1::ReleaseRequest>(action, &body)?);
                let released = self.release(&process, request).await?;
                vec![encode(&v1::ReleaseResult { released })]
            }
            Action::Drop => {
                let target = Target::of(caller, decode(action, &body)?)?;
                vec![encode(&self.blocking(move |service| service.drop(target)).await?)]
            }
            Action::Retain => {
                let dropped = self.retain(caller, decode(action, &body)?).await?;
                vec![encode(&drop_result(dropped))]
            }
            Action::Retentions => return self.retentions(caller, decode(action, &body)?),
            Action::Expire => {
                let request: v1::ExpireRequest = decode(action, &body)?;
                let age = i64::try_from(request.older_than_micros).unwrap_or(i64::MAX);
                let until = micros_since_epoch().saturating_sub(age);
                let v1::ExpireRequest { prefix, latest, .. } = request;
                let prefix = caller.allow_all(Right::Drop, Prefix::pattern(&prefix)?)?;
                let expire =
                    move |service: &Self| Ok(service.region.store().expire(&prefix, until, latest)?);
                vec![encode(&drop_result(self.blocking(expire).await?))]
            }
            Action::List => {
                let request: v1::ListRequest = decode(action, &body)?;
                let after = names::after(&request.after)?;
                let region = self.region.clone();
                let prefix = Prefix::pattern(&request.prefix)?;
                let listed = self.all_readable(caller.clone(), prefix, after);
                let listed = listed.take(page_limit(request.limit));
                let infos = listed.map(move |listed| {
                    Ok(encode(&match listed? {
                        Listed::Version(version) => region.frame_info(&version),
                        Listed::Foreign(file) => region.foreign_info(&file, None),
                    }))
                });
                return self.pump(caller.user(), infos);
            }
            Action::Stat => {
                let request: v1::StatRequest = decode(action, &body)?;
                let frame = caller.allow(Right::Read, FrameRef::parse(&request.name)?)?;
                let FrameRef { name, version } = frame.into_inner();
                let version = version.or(names::version(request.version));
                match self.region.view().foreign(&name, version)? {
                    Some(file) => vec![encode(&self.foreign_stat(&caller.user(), file).await?)],
                    None => vec![encode(&self.region.frame_info(&*self.region.view().get(&name, version)?))],
                }
            }
            Action::Versions => return self.versions(caller, decode(action, &body)?).await,
            // Its results come one by one.
            Action::Verify => {
                let request: v1::VerifyRequest = decode(action, &body)?;
                let frame = caller.allow(Right::Read, FrameRef::parse(&request.name)?)?;
                return self.verify(caller.user(), frame).map(Response::new);
            }
            Action::Grow => {
                let v1::GrowRequest { len } = decode(action, &body)?;
                caller.allow_all(Right::Admin, Prefix::all())?;
                let grow = move |service: &Self| service.region.grow((len > 0).then_some(len));
                let pool = self.blocking(grow).await?;
                vec![encode(&v1::GrowResult { pool: pool.index, len: pool.len })]
            }
            Action::Health => vec![encode(&self.health_info())],
            Action::Leases => return self.lease_infos(caller.clone()),
            // Bytes and counts of the whole region, and no name: for everybody.
            Action::Usage => vec![encode(&self.region.usage(self.leases.count()))],
            Action::Map => {
                let (process, request) = (process?, decode(action, &body)?);
                let Made { answer, share, untold } = self.map_each(caller, &process, request).await?;
                let grants = untold.map(|untold| untold.of_each(&answer.results)).unwrap_or_default();
                let maps = answer.results.into_iter();
                let response = match share {
                    None => Response::new(answers(maps.map(|map| encode(&map)))),
                    Some(share) => {
                        let maps = maps.map(move |map| {
                            let _those_to_come = &share;
                            Ok(encode(&map))
                        });
                        self.pump(caller.user(), maps)?
                    }
                };
                return Ok(granting(response, grants));
            }
            Action::RenewFlightEndpoint => {
                vec![encode(&self.renew(caller, process, decode(action, &body)?)?)]
            }
            Action::CancelFlightInfo => vec![encode(&self.cancel(process, decode(action, &body)?).await?)],
        };
        Ok(Response::new(answers(results)))
    }

    fn drop(&self, target: Target) -> Result<v1::DropResult, AgentError> {
        let store = self.region.store();
        let dropped = match target {
            Target::Frame(name, version) => store.drop_frame(&name, version)?,
            Target::Prefix(prefix) => store.drop_prefix(&prefix)?,
        };
        Ok(drop_result(dropped))
    }

    fn health_info(&self) -> v1::HealthInfo {
        let why = self.health.why_not();
        v1::HealthInfo {
            serving: why.is_none(),
            why: why.unwrap_or_default(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            region_uuid: Bytes::copy_from_slice(self.region.uuid().as_bytes()),
            uptime_millis: u64::try_from(self.health.uptime().as_millis()).unwrap_or(u64::MAX),
            protocols: vec![ANNOUNCE_VALUE.to_owned()],
        }
    }

    /// Leases of the caller's own user, and those on frames that the caller administers.
    fn lease_infos(&self, caller: Caller) -> Result<Response<Answers<ActionResult>>, AgentError> {
        let user = caller.user();
        let seen = self.leases.list().filter(move |lease| may_see(&caller, lease));
        let infos = seen.map(|lease| {
            Ok(encode(&v1::LeaseInfo {
                lease: lease.id,
                pid: lease.process.pid,
                uid: lease.uid,
                name: lease.version.name.as_str().to_owned(),
                version: lease.version.number,
                bytes: lease.version.bytes,
                age_millis: u64::try_from(lease.granted.elapsed().as_millis()).unwrap_or(u64::MAX),
                inherited: lease.inherited,
            }))
        });
        self.pump(user, infos)
    }
}

/// Some answers that are there already.
fn answers(
    results: impl IntoIterator<Item = ActionResult, IntoIter: Send + 'static>,
) -> Answers<ActionResult> {
    Box::pin(futures::stream::iter(results.into_iter().map(Ok)))
}

/// True if the caller may know of a lease.
pub(super) fn may_see(caller: &Caller, lease: &LeaseView) -> bool {
    caller.uid() == Some(lease.uid) || caller.may(Right::Admin, &lease.version.name)
}

/// How many results a request for a page gets at most.
pub(super) fn page_limit(asked: u32) -> usize {
    match usize::try_from(asked) {
        Ok(limit @ 1..=LIST_LIMIT) => limit,
        _ => LIST_LIMIT,
    }
}

/// What is to be dropped.
enum Target {
    Frame(Allowed<FrameName>, Option<u64>),
    Prefix(Allowed<Prefix>),
}

impl Target {
    fn of(caller: &Caller, request: v1::DropRequest) -> Result<Self, AgentError> {
        match request {
            // An empty name is refused as one.
            v1::DropRequest { name, version, prefix } if prefix.is_empty() => {
                let name = caller.allow(Right::Drop, FrameName::parse(&name)?)?;
                Ok(Self::Frame(name, names::version(version)))
            }
            v1::DropRequest { name, version: 0, prefix } if name.is_empty() => {
                Ok(Self::Prefix(caller.allow_all(Right::Drop, Prefix::pattern(&prefix)?)?))
            }
            v1::DropRequest { name, prefix, .. } => Err(AgentError::NameAndPrefix { name, prefix }),
        }
    }
}

fn drop_result(dropped: Dropped) -> v1::DropResult {
    let Dropped { frames, versions, bytes_freed, bytes_held } = dropped;
    v1::DropResult { versions, bytes_freed, bytes_held, frames }
}

fn decode<M: Message + Default>(action: Action, body: &[u8]) -> Result<M, AgentError> {
    M::decode(body).map_err(|source| AgentError::Body { action: action.as_str(), len: body.len(), source })
}

pub(super) fn encode(message: &impl Message) -> ActionResult {
    ActionResult::new(message.encode_to_vec())
}
