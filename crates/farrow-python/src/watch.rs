//! `farrow.Watch`.

use std::sync::Arc;

use farrow_client::Event;
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::answers::{InfoTuple, info};
use crate::call::Call;

/// The kind of an event, its frame's name, the version that is the latest now, and what is known of it.
type EventTuple = (&'static str, Option<String>, Option<u64>, Option<InfoTuple>);

/// Frames that are watched.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Watch(Arc<Mutex<farrow_client::Watch>>);

#[pymethods]
impl Watch {
    /// The next event. A call that is given up loses none.
    fn next(&self) -> Call {
        let watch = self.0.clone();
        Call::new(async move { watch.lock().await.next().await.map(words) })
    }
}

impl Watch {
    pub(crate) fn new(watch: farrow_client::Watch) -> Self {
        Self(Arc::new(Mutex::new(watch)))
    }
}

fn words(event: Event) -> EventTuple {
    match event {
        Event::Committed(of) => ("committed", Some(of.name.clone()), Some(of.version), Some(info(of))),
        Event::Dropped { name, latest } => ("dropped", Some(name), latest, None),
        _ => ("drops-missed", None, None, None),
    }
}
