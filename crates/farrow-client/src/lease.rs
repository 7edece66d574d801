//! Leases as the client holds them: the end of the last buffer releases.

use std::time::Duration;

use farrow_proto::{Action, v1};
use tokio::sync::mpsc;

use crate::connection::Connection;
use crate::session::Sessions;

/// Leases that are released in one request, at most.
const RELEASES_AT_ONCE: usize = 4096;

/// How long a lease that has ended waits for others.
const COLLECT: Duration = Duration::from_millis(1);

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
    /// Starts the task that sends releases over the session, or by themselves where there is none. It ends when nothing
    /// can be released any more: when the client and all its leases are gone.
    pub(crate) fn start(connection: Connection, sessions: Sessions) -> Self {
        Self::start_with(move |leases| {
            let (connection, sessions) = (connection.clone(), sessions.clone());
            async move { send(&connection, &sessions, leases).await }
        })
    }

    fn start_with<F: Future<Output = ()> + Send>(
        mut send: impl FnMut(Vec<u64>) -> F + Send + 'static,
    ) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut leases = Vec::new();
            while receiver.recv_many(&mut leases, RELEASES_AT_ONCE).await > 0 {
                if leases.len() < RELEASES_AT_ONCE {
                    // Most often one lease is not the only one that ends.
                    tokio::time::sleep(COLLECT).await;
                    while leases.len() < RELEASES_AT_ONCE
                        && let Ok(lease) = receiver.try_recv()
                    {
                        leases.push(lease);
                    }
                }
                send(std::mem::take(&mut leases)).await;
            }
        });
        Self(sender)
    }
}

async fn send(connection: &Connection, sessions: &Sessions, leases: Vec<u64>) {
    if sessions.release(&leases).await {
        return;
    }
    let request = v1::ReleaseRequest { leases };
    let released = connection.action_result::<v1::ReleaseResult>(Action::Release, &request).await;
    if let Err(error) = released {
        // The agent ends them with this process.
        tracing::warn!(%error, "leases could not be released");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_leases_are_released_by_few_messages() {
        let (sent, mut messages) = mpsc::unbounded_channel();
        let releases = Releases::start_with(move |leases| {
            let sent = sent.clone();
            async move { sent.send(leases).unwrap() }
        });
        let leases: Vec<Lease> = (0..10_000).map(|id| Lease::new(id + 1, releases.clone())).collect();
        drop(releases);
        drop(leases);
        let mut released = Vec::new();
        let mut count = 0;
        while let Some(leases) = messages.recv().await {
            released.extend(leases);
            count += 1;
        }
        released.sort_unstable();
        assert_eq!(released, (1..=10_000).collect::<Vec<u64>>());
        assert!(count <= 10, "{count} messages");
    }
}
