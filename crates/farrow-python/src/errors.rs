//! Exceptions: the agent's reasons as the classes of `python/farrow/_errors.py`.

use farrow_client::{ClientError, Reason, Retry, chain};
use pyo3::{PyErr, import_exception};

import_exception!(farrow._errors, Error);
import_exception!(farrow._errors, NotFound);
import_exception!(farrow._errors, InvalidName);
import_exception!(farrow._errors, InvalidData);
import_exception!(farrow._errors, RegionFull);
import_exception!(farrow._errors, Quota);
import_exception!(farrow._errors, Stalled);
import_exception!(farrow._errors, NotHeld);
import_exception!(farrow._errors, ReadOnly);
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

/// The exception for an error, with the same words.
pub(crate) fn exception(error: &ClientError) -> PyErr {
    let message = chain(error);
    if let Some(reason) = error.reason() {
        return refusal(reason, message);
    }
    match error {
        ClientError::NoAgent { .. } | ClientError::Tls { .. } | ClientError::Unavailable { .. } => {
            Unavailable::new_err(message)
        }
        ClientError::Forked { .. } | ClientError::ForkedFrame { .. } => Forked::new_err(message),
        ClientError::NotYet { .. } => NotFound::new_err(message),
        ClientError::Ipc(_) | ClientError::Reader(_) => InvalidData::new_err(message),
        _ => Error::new_err(message),
    }
}

/// What a refusal of the agent becomes.
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
