//! Reservations that are being committed: each by one request at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::error::AgentError;

/// The reservations.
#[derive(Default)]
pub(super) struct Committing {
    reservations: Mutex<HashSet<u64>>,
    ended: Notify,
}

/// Reservations that one request commits; they are free for another when this is dropped.
pub(super) struct Begun {
    committing: Arc<Committing>,
    reservations: Vec<u64>,
}

impl Committing {
    /// Begins a commit of `reservations`, unless one of them is in another one.
    pub(super) fn begin(self: &Arc<Self>, reservations: Vec<u64>) -> Result<Begun, AgentError> {
        let mut under_way = self.reservations();
        if let Some(&id) = reservations.iter().find(|id| under_way.contains(id)) {
            return Err(AgentError::BeingCommitted { id });
        }
        under_way.extend(&reservations);
        drop(under_way);
        Ok(Begun { committing: self.clone(), reservations })
    }

    /// Returns once `reservation` is in no commit.
    pub(super) async fn ended(&self, reservation: u64) {
        loop {
            // Before the look: what ends after it is heard of.
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if !self.reservations().contains(&reservation) {
                return;
            }
            ended.await;
        }
    }

    fn reservations(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.reservations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        {
            let mut under_way = self.committing.reservations();
            under_way.retain(|id| !self.reservations.contains(id));
        }
        self.committing.ended.notify_waiters();
    }
}
