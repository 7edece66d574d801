//! How long farrow's operations take, and how that grows: `cargo xtask bench`.
//!
//! Each operation is timed by itself, on a region in memory; what is printed are medians and 99th percentiles. The
//! sizes that are compared are measured in one run, one after another, so that only their ratios mean much on another
//! machine. README.md says what is timed.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures, and how far they are")]

mod latency;
mod memory;
mod store;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "How long farrow's operations take, and how that grows", bin_name = "cargo xtask bench")]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Commit, append, look-up, drop, compaction, start, and following, by the number of versions there are
    Store(store::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Store(arguments) => store::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
