//! The native module of the `farrow` Python package: a thin layer over `farrow-client`.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! It adds nothing but Python's shapes: exceptions, named tuples, and the Arrow C stream interface, which lends
//! mapped memory to any Arrow library in the process. pyarrow makes the streams and tables.

mod client;
mod errors;
mod frame;
mod watch;

use pyo3::prelude::*;

/// See `python/farrow/_farrow.pyi` for what each class offers.
#[pymodule]
mod _farrow {
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::errors::{Denied, Error, InvalidData, InvalidName, NotFound, RegionFull, Unavailable};
    #[pymodule_export]
    use crate::frame::Frame;
    #[pymodule_export]
    use crate::watch::Watch;

    use super::{Bound, PyModule, PyModuleMethods as _, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
