//! `farrow.Watch`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use farrow_client::{Event, blocking};
use pyo3::prelude::*;

use crate::client::{InfoTuple, tuple};
use crate::errors::exception;

/// How long Python's signals wait at most: Ctrl-C is one.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// What happened, its frame's name, the version that is the latest now, and what is known of it.
type EventTuple = (&'static str, Option<String>, Option<u64>, Option<InfoTuple>);

/// Frames that are watched.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Watch(Mutex<blocking::Watch>);

#[pymethods]
impl Watch {
    /// The next event; other threads of the program go on meanwhile.
    fn next(&self, py: Python<'_>) -> PyResult<EventTuple> {
        loop {
            let event =
                py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next_within(SLICE));
            if let Some(event) = event.map_err(|error| exception(&error))? {
                return Ok(words(event));
            }
            py.check_signals()?;
        }
    }
}

impl Watch {
    pub(crate) fn new(watch: blocking::Watch) -> Self {
        Self(Mutex::new(watch))
    }
}

fn words(event: Event) -> EventTuple {
    match event {
        Event::Committed(info) => {
            ("committed", Some(info.name.clone()), Some(info.version), Some(tuple(info)))
        }
        Event::Dropped { name, latest } => ("dropped", Some(name), latest, None),
        _ => ("drops-missed", None, None, None),
    }
}
