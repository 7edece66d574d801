//! Exceptions: the agent's reasons as Python classes.

use farrow_client::{ClientError, Reason, chain};
use pyo3::exceptions::PyException;
use pyo3::{PyErr, create_exception};

create_exception!(farrow, Error, PyException, "Any failure of farrow.");
create_exception!(farrow, NotFound, Error, "No frame of that name, or no such version of it.");
create_exception!(farrow, InvalidName, Error, "A name that is no path of plain components.");
create_exception!(farrow, InvalidData, Error, "Data that is no Arrow, or that farrow does not store.");
create_exception!(farrow, RegionFull, Error, "Not enough free space; the message says what holds it.");
create_exception!(
    farrow,
    Denied,
    Error,
    "No rule of the agent lets this caller do that, or its token is unknown."
);
create_exception!(farrow, Unavailable, Error, "No agent at the address, or it stopped answering.");

/// The exception for an error, with the same words.
pub(crate) fn exception(error: &ClientError) -> PyErr {
    let message = chain(error);
    match (error, error.reason()) {
        (ClientError::NoAgent { .. } | ClientError::Tls { .. } | ClientError::Unavailable { .. }, _) => {
            Unavailable::new_err(message)
        }
        (ClientError::Ipc(_), _) | (_, Some(Reason::InvalidData)) => InvalidData::new_err(message),
        (ClientError::NotYet { .. }, _) | (_, Some(Reason::NotFound)) => NotFound::new_err(message),
        (_, Some(Reason::InvalidName)) => InvalidName::new_err(message),
        (_, Some(Reason::RegionFull)) => RegionFull::new_err(message),
        (_, Some(Reason::Denied | Reason::Unauthenticated)) => Denied::new_err(message),
        _ => Error::new_err(message),
    }
}
