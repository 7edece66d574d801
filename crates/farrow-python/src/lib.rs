//! The native module of the `farrow` Python package: a thin layer over `farrow-client`.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! It adds nothing but Python's shapes: exceptions, tuples, calls that a thread waits for or an event loop awaits, and
//! the Arrow C stream interface, which lends mapped memory to any Arrow library in the process. pyarrow makes the
//! streams and tables.

mod answers;
mod call;
mod client;
mod data;
mod errors;
mod frame;
mod watch;
mod writer;

use pyo3::prelude::*;

/// See `python/farrow/_farrow.pyi` for what each class offers.
#[pymodule]
mod _farrow {
    #[pymodule_export]
    use crate::call::Call;
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::frame::Frame;
    #[pymodule_export]
    use crate::watch::Watch;
    #[pymodule_export]
    use crate::writer::Writer;

    use super::{Bound, PyErr, PyModule, PyModuleMethods as _, PyResult, pyfunction};

    /// Every reason of the agent: its word, whether to ask again, and what it raises.
    #[pyfunction]
    fn reasons() -> Vec<(&'static str, &'static str, PyErr)> {
        crate::errors::reasons()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
