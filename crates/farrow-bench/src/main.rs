//! Times of farrow's operations, and their growth: `cargo xtask bench`.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! Each operation is timed by itself, on a region in memory; what is printed are medians and 99th percentiles. What is
//! compared is measured in one run, in turns or one after another, so that only ratios mean much on another machine.
//! README.md says what is timed.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures, and how far they are")]

mod agent;
mod crowd;
mod echo;
mod get;
mod gets;
mod latency;
mod memory;
mod put;
mod readers;
mod rows;
mod scan;
mod size;
mod store;
mod stream;
mod streams;
mod table;
mod turns;
mod verbs;
mod worker;

use std::process::ExitCode;

use anyhow::Context;
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
    /// A get of 1 KiB, 64 MiB and 1 GiB beside DoGet of the same, from Rust and from Python, in turns
    Get(get::Arguments),
    /// A put of 64 MiB and 1 GiB beside one copy into the same memory, from Rust and from Python, in turns
    Put(put::Arguments),
    /// The first scan of a frame by a process, and the second, beside rows on its heap
    Scan(scan::Arguments),
    /// Memory of 1, 2, 4 and 8 readers of one frame, beside readers that have copies
    Readers(readers::Arguments),
    /// The agent beside 1,000 streams that nobody reads and 2,000 silent peers, and what zeroing costs a writer
    Crowd(crowd::Arguments),
    /// All of these, one after another
    All {
        /// Small sizes, for seconds: only to see that each still runs
        #[arg(long)]
        quick: bool,
    },
    #[command(hide = true)]
    Echo { socket: String },
    #[command(hide = true)]
    GetAgain { socket: String, seconds: u64 },
    #[command(hide = true)]
    ScanOnce { socket: String, place: String, expected: i64 },
    #[command(hide = true)]
    ReadAndHold { socket: String, way: String, expected: i64 },
}

/// Each benchmark, with what makes it quick.
const ALL: [&[&str]; 9] = [
    &["get", "--sizes=1KiB,4MiB", "--seconds=0", "--rounds=2"],
    &["put", "--sizes=4MiB", "--seconds=0", "--rounds=2"],
    &["scan", "--size=4MiB", "--rounds=1"],
    &["readers", "--size=4MiB", "--readers=1,2"],
    &["gets", "--clients=1,2", "--seconds=1"],
    &["verbs", "--times=20"],
    &["streams", "--mib=4", "--rounds=1"],
    &["crowd", "--streams=40", "--peers=100", "--times=10", "--size=4MiB", "--rounds=1"],
    &["store", "--versions=10,200", "--times=50"],
];

fn main() -> ExitCode {
    match run(Arguments::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> anyhow::Result<()> {
    match what {
        What::Store(arguments) => store::run(&arguments),
        What::Verbs(arguments) => verbs::run(&arguments),
        What::Streams(arguments) => streams::run(&arguments),
        What::Gets(arguments) => gets::run(&arguments),
        What::Get(arguments) => get::run(&arguments),
        What::Put(arguments) => put::run(&arguments),
        What::Scan(arguments) => scan::run(&arguments),
        What::Readers(arguments) => readers::run(&arguments),
        What::Crowd(arguments) => crowd::run(&arguments),
        What::All { quick } => all(quick),
        What::Echo { socket } => echo::work(&socket),
        What::GetAgain { socket, seconds } => gets::work(&socket, seconds),
        What::ScanOnce { socket, place, expected } => scan::work(&socket, &place, expected),
        What::ReadAndHold { socket, way, expected } => readers::work(&socket, &way, expected),
    }
}

fn all(quick: bool) -> anyhow::Result<()> {
    for arguments in ALL {
        let arguments = if quick { arguments } else { &arguments[..1] };
        println!("\ncargo xtask bench {}", arguments.join(" "));
        run(Arguments::try_parse_from([&["bench"], arguments].concat())?.what)
            .with_context(|| arguments.join(" "))?;
    }
    Ok(())
}
