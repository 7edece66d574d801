//! Exceptions: the agent's reasons as the classes of `python/farrow/_errors.py`.

use std::any::Any;

use farrow_client::{Advice, ClientError, Reason, Retry};
use pyo3::exceptions::PyException;
use pyo3::import_exception;
use pyo3::prelude::*;

import_exception!(farrow._errors, Error);
import_exception!(farrow._errors, NotFound);
import_exception!(farrow._errors, InvalidName);
import_exception!(farrow._errors, InvalidData);
import_exception!(farrow._errors, RegionFull);
import_exception!(farrow._errors, Quota);
import_exception!(farrow._errors, Stalled);
import_exception!(farrow._errors, NotHeld);
import_exception!(farrow._errors, ReadOnly);
import_exception!(farrow._errors, VersionConflict);
import_exception!(farrow._errors, NeedsUnixSocket);
import_exception!(farrow._errors, Denied);
import_exception!(farrow._errors, Unauthenticated);
import_exception!(farrow._errors, Fenced);
import_exception!(farrow._errors, Corrupt);
import_exception!(farrow._errors, Failed);
import_exception!(farrow._errors, Unimplemented);
import_exception!(farrow._errors, Busy);
import_exception!(farrow._errors, CutOff);
import_exception!(farrow._errors, Unavailable);
import_exception!(farrow._errors, Forked);
import_exception!(farrow._errors, Closed);
import_exception!(farrow._errors, NoColumn);
import_exception!(farrow._errors, InvalidArgument);

/// The reasons why a call failed. It becomes an exception on a thread of Python's, and there alone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{}", .0.in_words(remedy))]
    Client(#[from] ClientError),
    #[error("the writer of {name} is finished or aborted: make another")]
    WriterClosed { name: String },
    #[error("a fault in farrow itself, please report it: {0}")]
    Panicked(String),
}

impl Fault {
    /// Of what a panic carries, which no program could catch as an `Exception`.
    pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Self {
        Self::Panicked(panic_text(&panic))
    }
}

/// Returns what a panic says.
pub(crate) fn panic_text(panic: &Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it says nothing of itself".to_owned())
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Client(error) => exception(&error),
            closed @ Fault::WriterClosed { .. } => Closed::new_err(closed.to_string()),
            panicked @ Fault::Panicked(_) => Error::new_err(panicked.to_string()),
        }
    }
}

/// The exception for an error, with the same words.
pub(crate) fn exception(error: &ClientError) -> PyErr {
    let message = error.in_words(remedy);
    if let Some(reason) = error.reason() {
        return refusal(reason, message);
    }
    match error {
        ClientError::NoAgent { .. } | ClientError::Tls { .. } | ClientError::Unavailable { .. } => {
            Unavailable::new_err(message)
        }
        ClientError::Address { .. } | ClientError::NoPort { .. } => InvalidArgument::new_err(message),
        ClientError::SocketClosed { .. } => Denied::new_err(message),
        ClientError::Forked { .. } | ClientError::ForkedFrame { .. } => Forked::new_err(message),
        ClientError::NoColumn { .. } => NoColumn::new_err(message),
        ClientError::NotYet { .. } => NotFound::new_err(message),
        ClientError::Ipc(_) | ClientError::Reader(_) => InvalidData::new_err(message),
        _ => Error::new_err(message),
    }
}

/// The argument that does what is advised.
pub(crate) fn remedy(advice: Advice) -> &'static str {
    match advice {
        Advice::ByName => "by_name=True",
        _ => "see help(farrow.Client)",
    }
}

/// Returns what a refusal of the agent becomes.
fn refusal(reason: Reason, message: String) -> PyErr {
    match reason {
        Reason::NotFound => NotFound::new_err(message),
        Reason::InvalidName => InvalidName::new_err(message),
        Reason::InvalidData => InvalidData::new_err(message),
        Reason::RegionFull => RegionFull::new_err(message),
        Reason::Quota => Quota::new_err(message),
        Reason::Stalled => Stalled::new_err(message),
        Reason::NotHeld => NotHeld::new_err(message),
        Reason::ReadOnly => ReadOnly::new_err(message),
        Reason::VersionConflict => VersionConflict::new_err(message),
        Reason::NeedsUnixSocket => NeedsUnixSocket::new_err(message),
        Reason::Denied => Denied::new_err(message),
        Reason::Unauthenticated => Unauthenticated::new_err(message),
        Reason::Fenced => Fenced::new_err(message),
        Reason::Corrupt => Corrupt::new_err(message),
        Reason::Failed => Failed::new_err(message),
        Reason::Unimplemented => Unimplemented::new_err(message),
        Reason::Busy => Busy::new_err(message),
        Reason::CutOff => CutOff::new_err(message),
    }
}

/// For data that failed when it was asked for Arrow. Exceptions of farrow's own, and what ends a program, stay.
pub(crate) fn invalid_data(data: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = data.py();
    // Of another extension module it is another class of the same name.
    let panicked = error.get_type(py).name().is_ok_and(|name| name == PANIC);
    if error.is_instance_of::<Error>(py) || !(panicked || error.is_instance_of::<PyException>(py)) {
        return error;
    }
    let kind = data.get_type();
    let kind = kind.fully_qualified_name().map_or_else(|_| kind.to_string(), |name| name.to_string());
    let refused =
        InvalidData::new_err(format!("{kind} is no Arrow data that farrow takes: {}", error.value(py)));
    refused.set_cause(py, Some(error));
    refused
}

const PANIC: &str = "PanicException";

/// Looks for the classes of all exceptions now: while Python ends, they could not be found any more.
pub(crate) fn load(py: Python<'_>) {
    for (_, _, exception) in reasons() {
        exception.get_type(py);
    }
    let others = [
        Error::new_err(""),
        Unavailable::new_err(""),
        Forked::new_err(""),
        Closed::new_err(""),
        NoColumn::new_err(""),
    ];
    for exception in others {
        exception.get_type(py);
    }
}

/// Every reason: its word, whether to ask again, and the exception that it becomes.
pub(crate) fn reasons() -> Vec<(&'static str, &'static str, PyErr)> {
    let row = |reason: Reason| {
        let retry = match reason.retry() {
            Retry::No => "no",
            Retry::Later => "later",
            Retry::Yes => "yes",
        };
        (reason.as_str(), retry, refusal(reason, reason.as_str().to_owned()))
    };
    Reason::ALL.into_iter().map(row).collect()
}
