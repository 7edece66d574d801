//! `farrow.Verify`: a version's bytes compared with what was recorded at its commit.

use std::ops::ControlFlow;

use arrow_flight::Result as ActionResult;
use farrow_proto::v1;
use farrow_store::{FrameRef, Version};
use tokio::sync::mpsc;
use tonic::Status;

use super::actions::encode;
use super::{Answers, Service};
use crate::caller::Allowed;
use crate::error::AgentError;
use crate::region::{HeldVersion, Region};
use crate::user::User;

/// Bytes read between two results.
const REPORT_BYTES: u64 = 64 << 20;

/// Results that wait for a slow client; reports beyond them are left out.
const WAITING: usize = 8;

impl Service {
    pub(super) fn verify(
        &self,
        counted: User,
        frame: Allowed<FrameRef>,
    ) -> Result<Answers<ActionResult>, AgentError> {
        let user = Some(frame.user());
        let FrameRef { name, version } = frame.into_inner();
        if let Some(file) = self.region.view().foreign(&name, version)? {
            return Err(AgentError::NothingRecorded { name: file.name.clone() });
        }
        let version = self.region.hold_as(user, &name, version)?;
        let region = self.region.clone();
        let (results, mut told) = mpsc::channel(WAITING);
        let stall = self.limits.borrow().stall;
        let readers = self.readers.clone();
        tokio::spawn(async move {
            let thread = tokio::select! {
                thread = readers.take(&counted, 1) => thread,
                () = results.closed() => return,
            };
            let reports = results.clone();
            let work = move || {
                let _thread = thread;
                verify(&region, &version, &reports)
            };
            let last = tokio::task::spawn_blocking(work).await;
            let last = last.map_err(AgentError::Interrupted).flatten();
            // Whoever asked may be gone, which ended it, or take nothing.
            if !results.is_closed() {
                let last = last.map(|progress| encode(&progress)).map_err(Status::from);
                let _ = results.send_timeout(last, stall).await;
            }
        });
        Ok(Box::pin(futures::stream::poll_fn(move |context| told.poll_recv(context))))
    }
}

/// Verifies one segment after the other, and tells how far it is.
fn verify(
    region: &Region,
    version: &HeldVersion,
    results: &mpsc::Sender<Result<ActionResult, Status>>,
) -> Result<v1::VerifyProgress, AgentError> {
    let version: &Version = version;
    let mut progress = v1::VerifyProgress {
        name: version.name.as_str().to_owned(),
        version: version.number,
        bytes: version.bytes,
        ..Default::default()
    };
    let (mut end, mut reported) = (0, 0);
    for (index, segment) in version.segments.iter().enumerate() {
        region.verify(version, index, |bytes| {
            progress.bytes_done += bytes;
            if progress.bytes_done - reported >= REPORT_BYTES {
                reported = progress.bytes_done;
                let _ = results.try_send(Ok(encode(&progress)));
            }
            if results.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        // What is not in a block is covered by the digest, or is padding.
        end += segment.len;
        progress.bytes_done = end;
        progress.batches += segment.checksums.len() as u64;
        progress.without_checksums += u32::from(segment.checksums.is_empty() && segment.batches > 0);
    }
    Ok(progress)
}
