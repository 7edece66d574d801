//! Tests that a machine does not allow.

use std::io::{self, Write};

/// Says that something was not tested, on the run's own output: what a test prints with `println!` is shown only if
/// it fails.
///
/// # Panics
/// If there is no output.
pub fn skipped(what: &str) {
    // On a line of its own and in one piece, whatever the other threads print.
    io::stdout().write_all(format!("\nskipped: {what}\n").as_bytes()).expect("an output");
}
