//! Panics of decoders and encoders, as errors.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// A panic of the library that was called.
#[derive(Debug)]
pub(crate) struct Panicked {
    words: String,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gave up: {}", self.words)
    }
}

impl std::error::Error for Panicked {}

/// Has panics that become errors not told on stderr as well. To be called once.
pub(crate) fn quiet_panics() {
    let tell = take_hook();
    set_hook(Box::new(move |panic| {
        if !CONTAINED.get() {
            tell(panic);
        }
    }));
}

/// Calls a decoder or an encoder, which must not be used again if this fails.
pub(crate) fn contained<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    let outer = CONTAINED.replace(true);
    let returned = catch_unwind(AssertUnwindSafe(call));
    CONTAINED.set(outer);
    returned.map_err(|panic| Panicked { words: words(panic.as_ref()).to_owned() })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it does not say why")
}
