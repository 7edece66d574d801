//! Refusals in the log, a few a second at most: who is refused must not be able to fill it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const A_SECOND: u32 = 20;

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
