//! `farrow.Versions`: the versions that a frame has.

use arrow_flight::Result as ActionResult;
use farrow_proto::v1;
use farrow_store::{FrameName, ListedVersion, StoreError};
use tonic::Response;

use super::actions::{encode, page_limit};
use super::{Answers, Service};
use crate::caller::{Caller, NOBODY};
use crate::error::AgentError;
use crate::rights::Right;

/// Versions that are looked up at a time while they are sent.
const PAGE: usize = 256;

impl Service {
    pub(super) async fn versions(
        &self,
        caller: &Caller,
        request: v1::VersionsRequest,
    ) -> Result<Response<Answers<ActionResult>>, AgentError> {
        let v1::VersionsRequest { name, mut after, limit } = request;
        let name = caller.allow(Right::Read, FrameName::parse(&name)?)?.into_inner();
        if let Some(file) = self.region.view().foreign(&name, None)? {
            let number = file.version();
            let info = self.foreign_stat(&caller.user(), file).await?;
            let only = v1::VersionInfo { info: Some(info), own_bytes: 0, uid: NOBODY, leases: 0 };
            let listed = (after < number).then(|| Ok(encode(&only)));
            return Ok(Response::new(Box::pin(futures::stream::iter(listed))));
        }
        let mut page = self.region.view().versions_behind(&name, after, PAGE)?.into_iter();
        let service = self.clone();
        let (uid, all) = (caller.uid(), caller.may(Right::Admin, &name));
        let knows_of = move |user| all || uid == Some(user);
        let infos = std::iter::from_fn(move || {
            if page.len() == 0 {
                match service.region.view().versions_behind(&name, after, PAGE) {
                    Ok(next) => page = next.into_iter(),
                    // Dropped since the page before.
                    Err(StoreError::FrameNotFound { .. }) => return None,
                    Err(error) => return Some(Err(error.into())),
                }
            }
            let ListedVersion { version, own_bytes } = page.next()?;
            after = version.number;
            let leases = service.leases.on(&version, knows_of);
            let (info, uid) = (Some(service.region.frame_info(&version)), version.owner.uid);
            Some(Ok(encode(&v1::VersionInfo { info, own_bytes, uid, leases })))
        });
        self.pump(caller.user(), infos.take(page_limit(limit)))
    }
}
