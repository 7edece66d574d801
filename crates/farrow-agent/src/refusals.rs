//! Refusals in the log, a few at a time: a peer that is refused must not be able to fill it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const A_SECOND: u32 = 20;

/// Something that happens often, and is told now and then.
pub(crate) struct Seldom {
    every: Duration,
    /// The time at which it was told last, and how often it has happened since.
    told: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    /// Told at once, then so often at most.
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, told: Mutex::default() }
    }

    /// It has happened: `log` is given how often since it was told last, if it is time.
    pub(crate) fn report(&self, log: impl FnOnce(u64)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.1 += 1;
        if told.0.is_none_or(|told| told.elapsed() >= self.every) {
            let (_, count) = std::mem::replace(&mut *told, (Some(Instant::now()), 0));
            log(count);
        }
    }
}

/// Logs a refusal by `log`, unless there were too many in this second; how many those were is said later.
pub(crate) fn report(log: impl FnOnce()) {
    static TOLD: Mutex<Option<(Instant, u32)>> = Mutex::new(None);
    let now = Instant::now();
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, count) = told.get_or_insert((now, 0));
    if now.duration_since(*since) >= Duration::from_secs(1) {
        if let Some(more @ 1..) = count.checked_sub(A_SECOND) {
            tracing::info!(more, "refusals that were not logged one by one");
        }
        (*since, *count) = (now, 0);
    }
    *count = count.saturating_add(1);
    if *count <= A_SECOND {
        log();
    }
}
