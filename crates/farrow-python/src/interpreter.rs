//! The end of the interpreter, which no thread of farrow's may meet.
//!
//! Once CPython has begun to end, a thread that asks for its lock is ended where it stands, by unwinding its stack (up to
//! 3.13); Rust's frames do not let that through, and the process aborts. So before that, by `atexit`: threads that wait for a
//! request, or are on their way back into Python, get there or wait for ever, and the threads that drive requests, which
//! may let go of the program's own data, have ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use farrow_client::blocking;
use pyo3::prelude::*;
use rustix::thread::gettid;

/// The time that a thread may take at the end with what it does: it may wait for ever in the program's own iterator.
const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_micros(200);

/// Threads that wait for a request, or are on their way back into Python: how many.
static INSIDE: OfProcess = OfProcess(AtomicU64::new(0));

/// The thread that ends the interpreter; 0: none does.
static ENDING: OfProcess = OfProcess(AtomicU64::new(0));

/// A thread that has let go of Python's lock, and will ask for it. Python does not end before this is dropped.
pub(crate) struct Inside;

impl Inside {
    /// Of this thread, which does not have the lock. Does not return once Python ends.
    pub(crate) fn enter() -> Self {
        INSIDE.change(|count| count + 1);
        Self.unless_ending()
    }

    /// Still, if Python does not end; else this does not return.
    pub(crate) fn unless_ending(self) -> Self {
        let ending = ENDING.get();
        if ending != 0 && ending != own() {
            drop(self);
            loop {
                std::thread::park();
            }
        }
        self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.change(|count| count.saturating_sub(1));
    }
}

/// Has [`end`] called before the interpreter ends.
pub(crate) fn at_exit(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let end = wrap_pyfunction!(end, module)?;
    module.py().import("atexit")?.call_method1("register", (end,))?;
    Ok(())
}

#[pyfunction]
fn end(py: Python<'_>) {
    ENDING.change(|_| own());
    py.detach(|| {
        while INSIDE.get() > 0 {
            std::thread::sleep(PAUSE);
        }
        blocking::shut_down(PATIENCE);
    });
}

fn own() -> u32 {
    gettid().as_raw_nonzero().get().unsigned_abs()
}

/// A number that is 0 again in a forked child, which has none of its parent's threads.
struct OfProcess(AtomicU64);

impl OfProcess {
    fn get(&self) -> u32 {
        number(self.0.load(Ordering::SeqCst))
    }

    fn change(&self, change: impl Fn(u32) -> u32) {
        let process = u64::from(std::process::id()) << 32;
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |value| {
            Some(process | u64::from(change(number(value))))
        });
    }
}

/// The number in a value that begins with its process.
fn number(value: u64) -> u32 {
    let (process, number) = (value >> 32, value & u64::from(u32::MAX));
    if process == u64::from(std::process::id()) { u32::try_from(number).unwrap_or_default() } else { 0 }
}
