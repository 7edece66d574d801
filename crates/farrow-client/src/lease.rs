//! Leases as the client holds them: the end of the last buffer releases.

use farrow_proto::{Action, v1};
use tokio::sync::mpsc;

use crate::connection::Connection;

/// Leases that are released in one request, at most.
const RELEASES_AT_ONCE: usize = 1024;

/// A granted lease; dropping it releases it. Number 0 is none: there is nothing to release.
#[derive(Debug)]
pub(crate) struct Lease {
    id: u64,
    releases: Releases,
}

impl Lease {
    pub(crate) fn new(id: u64, releases: Releases) -> Self {
        Self { id, releases }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.id == 0 {
            return;
        }
        // Only put in a queue: the last array may be dropped on any thread, where nothing may wait. Without a
        // receiver the connection is gone; then the agent learns it from the end of this process.
        let _ = self.releases.0.send(self.id);
    }
}

/// The queue of leases to release.
#[derive(Debug, Clone)]
pub(crate) struct Releases(mpsc::UnboundedSender<u64>);

impl Releases {
    /// Starts the task that sends releases over `connection`. It ends when nothing can be released any more: when the
    /// client and all its leases are gone.
    pub(crate) fn start(connection: Connection) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut leases = Vec::new();
            while receiver.recv_many(&mut leases, RELEASES_AT_ONCE).await > 0 {
                let request = v1::ReleaseRequest { leases: std::mem::take(&mut leases) };
                let released = connection.action_result::<v1::ReleaseResult>(Action::Release, &request).await;
                if let Err(error) = released {
                    // The agent ends them with this process.
                    tracing::warn!(%error, "leases could not be released");
                }
            }
        });
        Self(sender)
    }
}
