//! Panics of decoders, as errors.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use super::Problem;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Has panics that become errors not told on stderr as well. To be called once.
pub(crate) fn quiet_panics() {
    let tell = take_hook();
    set_hook(Box::new(move |panic| {
        if !CONTAINED.get() {
            tell(panic);
        }
    }));
}

/// Calls a decoder, which must not be used again if this fails.
pub(super) fn contained<T>(decode: impl FnOnce() -> T) -> Result<T, Problem> {
    CONTAINED.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    CONTAINED.set(false);
    decoded.map_err(|panic| format!("damaged: the decoder gave up: {}", words(panic.as_ref())).into())
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it does not say why")
}
