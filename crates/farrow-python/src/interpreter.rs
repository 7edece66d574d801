//! The end of the interpreter, which no thread of farrow's may meet.
//!
//! Once CPython has begun to end, a thread that asks for its lock is ended where it stands, by unwinding its stack (up to
//! 3.13); Rust's frames do not let that through, and the process aborts. So before that, by `atexit`: threads that wait for a
//! request, that ask the program's data for something, or are on their way back into Python, get there or wait for ever,
//! and the threads that drive requests, which may let go of the program's own data, have ended.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use farrow_client::blocking;
use pyo3::prelude::*;
use rustix::thread::gettid;

/// The time that a thread may take at the end with what it does: it may wait for ever in the program's own iterator.
const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_micros(200);

/// The number of times that threads have let go of Python's lock with frames of Rust below, and will ask for it, or may.
static INSIDE: OfProcess = OfProcess(AtomicU64::new(0));

/// The thread that ends the interpreter; 0: none does.
static ENDING: OfProcess = OfProcess(AtomicU64::new(0));

thread_local! {
    /// The part of it that is this thread's.
    static OWN: Cell<u32> = const { Cell::new(0) };
}

/// A thread that has let go of Python's lock, and will ask for it, or may. Python does not end before this is dropped.
pub(crate) struct Inside;

impl Inside {
    /// Of this thread, which does not have the lock. Does not return once Python ends.
    pub(crate) fn enter() -> Self {
        Self::counted().unless_ending()
    }

    /// Of this thread, which has the lock and is about to run code of Python's, which may let go of it. Does not return
    /// once Python ends.
    pub(crate) fn asking(py: Python<'_>) -> Self {
        let nested = OWN.get() > 0;
        let inside = Self::counted();
        // Python waits for the one around this.
        if nested || !is_ending() { inside } else { py.detach(|| inside.unless_ending()) }
    }

    fn counted() -> Self {
        INSIDE.change(|count| count + 1);
        OWN.set(OWN.get() + 1);
        Self
    }

    /// Still, if Python does not end; else this does not return.
    pub(crate) fn unless_ending(self) -> Self {
        if is_ending() {
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
        OWN.set(OWN.get().saturating_sub(1));
    }
}

/// True if another thread ends the interpreter.
fn is_ending() -> bool {
    let ending = ENDING.get();
    ending != 0 && ending != own()
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
        let begun = Instant::now();
        while INSIDE.get() > 0 && begun.elapsed() < PATIENCE {
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
