//! Calls that an event loop waits for.
//!
//! Threads of farrow's put what came of a call into a queue, and wake the loop by a descriptor that it reads. Only the
//! loop's own thread makes Python objects of it: a thread that takes Python's lock while the interpreter ends is ended in
//! the middle of what it does.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use rustix::event::{EventfdFlags, eventfd};

use crate::call::{Call, Outcome};

/// The results of calls, for one event loop.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Completions(Arc<Queue>);

struct Queue {
    /// Readable while there is something.
    wake: OwnedFd,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    begun: u64,
    outcomes: Vec<(u64, Outcome)>,
}

#[pymethods]
impl Completions {
    #[new]
    fn new() -> PyResult<Self> {
        let wake =
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(std::io::Error::from)?;
        Ok(Self(Arc::new(Queue { wake, done: Mutex::default() })))
    }

    /// The descriptor that is readable when `take` has something to give.
    fn fileno(&self) -> i32 {
        self.0.wake.as_raw_fd()
    }

    /// Begins a call. Its number, by which `take` names it.
    fn start(&self, call: &Call) -> PyResult<u64> {
        let number = {
            let mut done = self.0.done();
            done.begun += 1;
            done.begun
        };
        let queue = self.0.clone();
        call.start(move |outcome| queue.put(number, outcome))?;
        Ok(number)
    }

    /// The results since the last time: number, value and error of each call, one of the last two being None.
    fn take(&self, py: Python<'_>) -> Vec<(u64, Option<Py<PyAny>>, Option<PyErr>)> {
        // First, so that what is put from here on wakes the loop again. Without anything there is nothing to read.
        let _ = rustix::io::read(&self.0.wake, &mut [0; 8]);
        let outcomes = std::mem::take(&mut self.0.done().outcomes);
        let told = outcomes.into_iter().map(|(number, outcome)| {
            match outcome.map_err(PyErr::from).and_then(|shape| shape(py)) {
                Ok(value) => (number, Some(value), None),
                Err(error) => (number, None, Some(error)),
            }
        });
        told.collect()
    }
}

impl Queue {
    fn put(&self, number: u64, outcome: Outcome) {
        self.done().outcomes.push((number, outcome));
        // It adds a number, of any value but 0. Where it fails, the loop has been woken often enough.
        let _ = rustix::io::write(&self.wake, &[1; 8]);
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
