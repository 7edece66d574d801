//! Readers, writers and killers at random, around one region: `soak --seconds 120 --seed 1`.
//!
//! Workers are processes that publish, map, stream and drop frames whose every number can be checked. They and the
//! agent are killed at random, and stopped for a while; after each death of the agent the region is checked before the next
//! one serves it. Puts are given up half way. The agent's state directory is full or read-only for a while (as root, who
//! can mount one). At the end all workers rest, and no lease and no reservation may be left; then they are killed, and
//! nothing may be held: no byte of a dropped version.
//! The same seed makes the same choices, but not the same interleaving: a failure prints what happened instead.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "it reports what it went through")]

mod frames;
mod state_dir;
mod supervisor;
mod worker;

use std::time::Duration;

use clap::Parser;

use crate::supervisor::Soak;
use crate::worker::Role;

/// Readers, writers and killers at random, around one region.
#[derive(Parser)]
struct Arguments {
    /// Seconds to run
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..))]
    seconds: u64,
    /// The seed of random choices [default: another each time, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// The region's size, as `farrow mkfs --size` takes it
    #[arg(long, default_value = "256MiB")]
    size: String,
    /// Workers of each role
    #[arg(long, default_value_t = 2)]
    workers: usize,
    #[command(subcommand)]
    worker: Option<Worker>,
}

#[derive(clap::Subcommand)]
enum Worker {
    /// Work until killed; the soak starts such processes
    #[command(hide = true)]
    Worker {
        /// The agent's socket
        socket: String,
        /// The worker's role
        role: Role,
        /// The seed of its random choices
        seed: u64,
    },
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    if let Some(Worker::Worker { socket, role, seed }) = arguments.worker {
        return worker::work(&socket, role, seed).await;
    }
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("soak: seed {seed}, {} seconds, a region of {}", arguments.seconds, arguments.size);
    let soak = Soak::start(&arguments.size, seed, arguments.workers).await;
    soak.run(Duration::from_secs(arguments.seconds)).await;
}
