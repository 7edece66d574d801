//! A flag for work in another thread: its caller still waits for the result.

use std::sync::{Arc, Weak};

/// Kept by the one who waits.
pub(crate) struct Waits {
    _waits: Arc<()>,
}

/// Given to the one who works.
pub(crate) struct Awaited(Weak<()>);

impl Waits {
    /// Both ends.
    pub(crate) fn new() -> (Self, Awaited) {
        let waits = Arc::new(());
        let awaited = Awaited(Arc::downgrade(&waits));
        (Self { _waits: waits }, awaited)
    }
}

impl Awaited {
    /// False once the one who waited was dropped.
    pub(crate) fn still(&self) -> bool {
        self.0.strong_count() > 0
    }
}
