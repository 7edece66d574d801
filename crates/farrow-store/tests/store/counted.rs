//! Counts of what a test went through.

use std::io::Write;

/// Says it on the run's own output: what a test prints with `println!` is shown only if it fails.
pub(crate) fn counted(what: &str) {
    // On a line of its own and in one piece, whatever the other threads print.
    std::io::stdout().write_all(format!("\ncounted: {what}\n").as_bytes()).unwrap();
}
