//! Waiting for what another process does.

use std::time::{Duration, Instant};

/// The time that something may take before a test fails. Nothing is expected to take this long; a busy machine may.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the first value that `attempt` has.
///
/// # Panics
/// If it has none for half a minute: `what` never came true.
#[track_caller]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
