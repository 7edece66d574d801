//! What a client is asked to do: waited for by a thread, or told to an event loop.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farrow_client::ClientError;
use farrow_client::blocking::runtime;
use pyo3::exceptions::PyRuntimeError;
use pyo3::{IntoPyObjectExt, prelude::*};

use crate::errors::exception;

/// How long Python's signals wait at most: Ctrl-C is one.
const SLICE: Duration = Duration::from_millis(100);

type Work = Pin<Box<dyn Future<Output = PyResult<Shape>> + Send>>;

/// Makes the Python object out of what came.
type Shape = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// One request, not begun yet: either `wait` or `start` does that, once.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Call(Mutex<State>);

enum State {
    Ready(Work),
    Begun,
    Running(tokio::task::AbortHandle),
}

#[pymethods]
impl Call {
    /// Does it, and returns what came. Other threads of the program go on meanwhile; a signal whose handler raises
    /// gives it up.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut work = self.take()?;
        loop {
            let slice = async { tokio::time::timeout(SLICE, &mut work).await };
            match py.detach(|| runtime().block_on(slice)) {
                Ok(done) => return done?(py),
                Err(_) => py.check_signals()?,
            }
        }
    }

    /// Begins it; `done(value, error)` is called on another thread, one of the two being None.
    fn start(&self, done: Py<PyAny>) -> PyResult<()> {
        let work = self.take()?;
        let task = runtime().spawn(async move {
            let result = work.await;
            // Not here: to wait for Python's lock would hold up every other request.
            tokio::task::spawn_blocking(move || {
                // There is no Python any more when the program ends.
                Python::try_attach(|py| {
                    let told = match result.and_then(|shape| shape(py)) {
                        Ok(value) => done.call1(py, (value, py.None())),
                        Err(error) => done.call1(py, (py.None(), error)),
                    };
                    if let Err(error) = told {
                        error.write_unraisable(py, Some(done.bind(py)));
                    }
                })
            });
        });
        *self.state() = State::Running(task.abort_handle());
        Ok(())
    }

    /// Gives it up, if it was started.
    fn cancel(&self) {
        if let State::Running(task) = &*self.state() {
            task.abort();
        }
    }
}

impl Call {
    pub(crate) fn new<T>(work: impl Future<Output = Result<T, ClientError>> + Send + 'static) -> Self
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        Self::of(async { work.await.map_err(|error| exception(&error)) })
    }

    /// Of work that has other errors, too.
    pub(crate) fn of<T>(work: impl Future<Output = PyResult<T>> + Send + 'static) -> Self
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        let work = async {
            let value = work.await?;
            let shape: Shape = Box::new(move |py| value.into_py_any(py));
            Ok(shape)
        };
        Self(Mutex::new(State::Ready(Box::pin(work))))
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
