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
mod completions;
mod data;
mod errors;
mod frame;
mod interpreter;
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
    use crate::completions::Completions;
    #[pymodule_export]
    use crate::frame::Frame;
    #[pymodule_export]
    use crate::watch::Watch;
    #[pymodule_export]
    use crate::writer::Writer;

    use super::{Bound, PyAny, PyErr, PyModule, PyModuleMethods as _, PyResult, pyfunction};

    /// Every reason of the agent: its word, whether to ask again, and what it raises.
    #[pyfunction]
    fn reasons() -> Vec<(&'static str, &'static str, PyErr)> {
        crate::errors::reasons()
    }

    /// Returns how a batch's schema differs from those before it, and what to do; None where it does not.
    #[pyfunction]
    fn difference(expected: &Bound<'_, PyAny>, found: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
        crate::data::difference(expected, found)
    }

    /// Bytes of the rows of what is in memory, by farrow's own count.
    #[pyfunction]
    fn size(data: &Bound<'_, PyAny>) -> PyResult<u64> {
        crate::data::size(data)
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::errors::load(module.py());
        crate::interpreter::at_exit(module)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
