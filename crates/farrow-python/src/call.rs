//! Requests to a client: waited for by a thread, or by an event loop (`completions.rs`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farrow_client::blocking::runtime;
use futures::FutureExt as _;
use pyo3::exceptions::PyRuntimeError;
use pyo3::{IntoPyObjectExt, prelude::*};
use tokio::task::AbortHandle;

use crate::errors::Fault;
use crate::interpreter::Inside;

/// The longest wait of Python's signals: Ctrl-C is one.
const SLICE: Duration = Duration::from_millis(100);

/// The result of a request. No thread but one of Python's makes anything of it.
pub(crate) type Outcome = Result<Shape, Fault>;

/// Makes the Python object out of what came.
pub(crate) type Shape = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One request, not begun yet: either `wait` or `Completions.start` does that, once.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Call(Mutex<State>);

enum State {
    Ready(Work),
    Begun,
    Running(AbortHandle),
}

#[pymethods]
impl Call {
    /// Does it, and returns what came. Other threads of the program go on meanwhile; a signal whose handler raises
    /// gives it up.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut work = self.take()?;
        let runtime = runtime().map_err(Fault::from)?;
        loop {
            let slice = async { tokio::time::timeout(SLICE, &mut work).await };
            // Until this thread is back in Python and has left here, Python does not end.
            let (waited, _inside) = py.detach(|| {
                let inside = Inside::enter();
                let waited = catch_unwind(AssertUnwindSafe(|| runtime.block_on(slice)));
                (waited, inside.unless_ending())
            });
            match waited.map_err(Fault::panicked)? {
                Ok(outcome) => return outcome?(py),
                Err(_) => py.check_signals()?,
            }
        }
    }

    /// Gives it up, if an event loop waits for it.
    fn cancel(&self) {
        if let State::Running(task) = &*self.state() {
            task.abort();
        }
    }
}

impl Call {
    pub(crate) fn new<T, E: Into<Fault>>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Self
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        let work = async {
            let value = work.await.map_err(Into::into)?;
            let shape: Shape = Box::new(move |py| value.into_py_any(py));
            Ok(shape)
        };
        let caught = AssertUnwindSafe(work).catch_unwind();
        let work = caught.map(|done| done.unwrap_or_else(|panic| Err(Fault::panicked(panic))));
        Self(Mutex::new(State::Ready(Box::pin(work))))
    }

    /// Begins it; `done` is told what came of it, on a thread that must not touch Python.
    pub(crate) fn start(&self, done: impl FnOnce(Outcome) + Send + 'static) -> PyResult<()> {
        let work = self.take()?;
        let task = runtime().map_err(Fault::from)?.spawn(async { done(work.await) });
        *self.state() = State::Running(task.abort_handle());
        Ok(())
    }

    fn take(&self) -> PyResult<Work> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Begun) {
            State::Ready(work) => Ok(work),
            other => {
                *state = other;
                Err(PyRuntimeError::new_err("this request has been made"))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
