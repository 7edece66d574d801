//! How long farrow's operations take, and how that grows: `cargo xtask bench`.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! Each operation is timed by itself, on a region in memory; what is printed are medians and 99th percentiles. The
//! sizes that are compared are measured in one run, one after another, so that only their ratios mean much on another
//! machine. README.md says what is timed.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures, and how far they are")]

mod agent;
mod gets;
mod latency;
mod memory;
mod store;
mod streams;
mod table;
mod verbs;

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
    /// Each verb of an agent, asked for from Rust and from Python
    Verbs(verbs::Arguments),
    /// DoGet and DoPut by an agent and by pyarrow's own Flight server, in turns
    Streams(streams::Arguments),
    /// Gets a second, by the number of processes that get
    Gets(gets::Arguments),
    #[command(hide = true)]
    GetAgain { socket: String, seconds: u64 },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Store(arguments) => store::run(&arguments),
        What::Verbs(arguments) => verbs::run(&arguments),
        What::Streams(arguments) => streams::run(&arguments),
        What::Gets(arguments) => gets::run(&arguments),
        What::GetAgain { socket, seconds } => gets::work(&socket, seconds),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
