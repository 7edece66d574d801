//! The agent's health: whether it serves, and if not, why.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The obstacles between clients and an answer. One value for the whole agent.
#[derive(Debug)]
pub(crate) struct Health {
    started: Instant,
    stopping: watch::Sender<bool>,
    /// The finding of the last look of housekeeping.
    fault: Mutex<Option<String>>,
}

impl Health {
    /// Of an agent that serves from now on.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), stopping: watch::Sender::new(false), fault: Mutex::default() }
    }

    /// The agent was told to stop.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Becomes true once the agent was told to stop.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Sets what stands in the way now; `None`: nothing.
    pub(crate) fn find(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Returns why new requests are not served; `None`: they are.
    pub(crate) fn why_not(&self) -> Option<String> {
        if *self.stopping.borrow() {
            return Some("the agent is stopping".to_owned());
        }
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how long it has served.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
