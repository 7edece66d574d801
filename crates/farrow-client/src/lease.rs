//! Leases as the client holds them: the end of the last buffer releases.

use std::sync::Arc;
use std::time::Duration;

use farrow_proto::{Action, v1};
use tokio::sync::mpsc;

use crate::connection::Connection;
use crate::inheritance::Inheritance;
use crate::of_process::OfProcess;
use crate::session::Sessions;

/// Leases that are released in one request, at most.
const RELEASES_AT_ONCE: usize = 4096;

/// The time for which a lease that has ended waits for others.
const COLLECT: Duration = Duration::from_millis(1);

/// A granted lease; dropping it releases it. Number 0 is none: there is nothing to release.
#[derive(Debug)]
pub(crate) struct Lease {
    id: u64,
    releases: Releases,
}

impl Lease {
    pub(crate) fn new(id: u64, releases: Releases) -> Self {
        releases.inheritance.family().granted(id);
        Self { id, releases }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A child has no lease: what it inherited, its parent's page keeps.
        if self.id == 0 || !self.releases.queue.is_ours() {
            return;
        }
        // Only put in a queue: the last array may be dropped on any thread, where nothing may wait. Without a
        // receiver the connection is gone; then the agent learns it from the end of this process.
        let _ = self.releases.queue.send(self.id);
    }
}

/// The queue of leases to release.
#[derive(Debug, Clone)]
pub(crate) struct Releases {
    queue: OfProcess<mpsc::UnboundedSender<u64>>,
    inheritance: Arc<Inheritance>,
}

impl Releases {
    /// Starts the task that sends releases over the session, or by themselves where there is none. It ends when nothing
    /// can be released any more: when the client and all its leases are gone.
    pub(crate) fn start(connection: Connection, sessions: Sessions, inheritance: Arc<Inheritance>) -> Self {
        let of_children = inheritance.clone();
        Self::start_with(inheritance, move |mut leases| {
            let (connection, sessions) = (connection.clone(), sessions.clone());
            let of_children = of_children.clone();
            async move {
                // A child that may have inherited one of these was forked before it was dropped here, so this sees it.
                if let Some(up_to) = of_children.tell(&connection).await {
                    leases.retain(|lease| *lease > up_to);
                }
                send(&connection, &sessions, leases).await;
            }
        })
    }

    fn start_with<F: Future<Output = ()> + Send>(
        inheritance: Arc<Inheritance>,
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
        Self { queue: OfProcess::new(sender), inheritance }
    }
}

async fn send(connection: &Connection, sessions: &Sessions, leases: Vec<u64>) {
    if leases.is_empty() || sessions.release(&leases).await {
        return;
    }
    let request = v1::ReleaseRequest { leases, ..Default::default() };
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
        let releases = Releases::start_with(Inheritance::new(), move |leases| {
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
