//! Tasks of the repository: see `cargo xtask --help`.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! A task is a list of steps, run in order until one fails. Whatever a task makes is under the target directory.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task reports its progress, and its failure"
)]

mod bench;
mod debian;
mod guest;
mod package;
mod pages;
mod programs;
mod python;
mod rust;
mod service;
mod steps;
mod tally;
mod tree;
mod wheel;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::steps::{Step, run};
use crate::tally::Tally;
use crate::tree::Tree;

#[derive(Parser)]
#[command(about = "Tasks of the repository", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Show farrow at work on real data: publish, map, query, kill, drop, measure
    Demo {
        /// Scale factor of the TPC-H tables: 1 is about a gigabyte
        #[arg(long, default_value_t = DEMO_SCALE, value_parser = scale_factor)]
        scale: f64,
    },
    /// Run every check: format, lints, docs, Rust tests, a guest, the package, Python tests, examples, demo
    Test,
    /// Run under Miri what it can run of the Rust tests
    Miri,
    /// Test device-dax and a PCI BAR in a guest that has both: QEMU and a kernel of Debian's, fetched once by apt-get
    Guest,
    /// Make the Debian package: agent, command, systemd units, man pages, completions
    Package,
    /// Test the package under a real systemd: a Debian system, made once by debootstrap, in a container. Needs root
    Service,
    /// Let readers, writers and killers loose on one region, and see that nothing is lost, changed, or left held
    Soak {
        /// How long
        #[arg(long, default_value_t = SOAK_SECONDS, value_parser = clap::value_parser!(u64).range(5..))]
        seconds: u64,
        /// Where random choices begin [default: another each time, which is printed]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Let a client loose on an agent that sends whatever it likes
    Hostile {
        /// How long
        #[arg(long, default_value_t = HOSTILE_SECONDS, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
        /// Where random choices begin [default: another each time, which is printed]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measure how long operations take, and how that grows (crates/farrow-bench/README.md)
    #[command(disable_help_flag = true)]
    Bench {
        /// What to measure, and how; --help says what there is
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Make a Python environment with the farrow package
    Python,
    /// Make the Python wheel, and test it with the oldest and the newest packages
    Wheel,
    /// Generate the protobuf code that farrow-proto commits
    Regen,
}

const DEMO_SCALE: f64 = 1.0;
/// Scale factor of the demo among all the checks.
const CHECKED_DEMO_SCALE: f64 = 0.1;
const SOAK_SECONDS: u64 = 120;
const HOSTILE_SECONDS: u64 = 60;

fn scale_factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if scale > 0.0 && scale <= 10.0 => Ok(scale),
        _ => Err("expected a number above 0 and at most 10".to_owned()),
    }
}

const TEST: &[Step] = &[
    Step { title: "format", run: rust::format },
    Step { title: "lints", run: rust::lints },
    Step { title: "docs", run: rust::docs },
    Step { title: "Rust programs and tests, built", run: rust::build_tests },
    Step { title: "Python environment", run: python::environment },
    Step { title: "Rust tests", run: rust::tests },
    Step { title: "Rust tests under Miri", run: rust::miri },
    Step { title: "soak", run: |tree, tally| rust::at_random(tree, tally, "soak", SOAK_SECONDS, None) },
    Step {
        title: "hostile clients",
        run: |tree, tally| rust::at_random(tree, tally, "hostile", HOSTILE_SECONDS, None),
    },
    Step { title: "device-dax and a PCI BAR in a guest", run: guest::tests_if_possible },
    Step { title: "release programs and the Python module, built", run: programs::build },
    Step { title: "the package under a real systemd", run: service::tests_if_possible },
    Step { title: "Python tests", run: programs::python_tests },
    Step { title: "the pages' commands and links", run: pages::tests },
    Step { title: "the Python wheel, with the oldest and the newest packages", run: wheel::quick_tests },
    Step { title: "examples", run: programs::examples },
    Step { title: "benchmarks that still run", run: bench::still_run },
    Step { title: "demo", run: programs::demo },
];

const GUEST: &[Step] = &[
    Step { title: "Rust programs and tests, built", run: rust::build_tests },
    Step { title: "device-dax and a PCI BAR in a guest", run: guest::tests },
];

const PACKAGE: &[Step] = &[Step { title: "Debian package", run: package::make }];

const SERVICE: &[Step] = &[
    Step { title: "Rust programs and tests, built", run: rust::build_tests },
    Step { title: "release programs and the Python module, built", run: programs::build_release },
    Step { title: "the package under a real systemd", run: service::tests },
];

const DEMO: &[Step] = &[
    Step { title: "Python environment", run: python::environment },
    Step { title: "release programs and the Python module, built", run: programs::build },
    Step { title: "demo", run: programs::demo },
];

const PYTHON: &[Step] = &[
    Step { title: "Python environment", run: python::environment },
    Step { title: "release programs and the Python module, built", run: programs::build },
];

const WHEEL: &[Step] = &[
    Step { title: "Python environment", run: python::environment },
    Step { title: "release programs and the Python module, built", run: programs::build },
    Step { title: "the Python wheel, with the oldest and the newest packages", run: wheel::tests },
];

const MIRI: &[Step] = &[Step { title: "Rust tests under Miri", run: rust::miri }];

const REGEN: &[Step] = &[Step { title: "protobuf code", run: rust::regenerate }];

fn main() -> ExitCode {
    match run_task(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_task(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Test => checks(TEST),
        Task::Miri => checks(MIRI),
        Task::Guest => checks(GUEST),
        Task::Package => run(PACKAGE, &Tree::find(DEMO_SCALE)?).result,
        Task::Service => checks(SERVICE),
        Task::Demo { scale } => run(DEMO, &Tree::find(scale)?).result,
        Task::Python => {
            let tree = Tree::find(DEMO_SCALE)?;
            run(PYTHON, &tree).result?;
            python::print_usage(&tree);
            Ok(())
        }
        Task::Soak { seconds, seed } => at_random("soak", seconds, seed),
        Task::Hostile { seconds, seed } => at_random("hostile", seconds, seed),
        Task::Bench { arguments } => bench::run(&Tree::find(DEMO_SCALE)?, &arguments),
        Task::Wheel => checks(WHEEL),
        Task::Regen => run(REGEN, &Tree::find(DEMO_SCALE)?).result,
    }
}

/// Builds what a random test needs, and runs it.
fn at_random(program: &str, seconds: u64, seed: Option<u64>) -> anyhow::Result<()> {
    let (tree, mut tally) = (Tree::find(DEMO_SCALE)?, Tally::default());
    rust::build_tests(&tree, &mut tally)?;
    rust::at_random(&tree, &mut tally, program, seconds, seed)
}

/// Runs steps that count what they check.
fn checks(steps: &'static [Step]) -> anyhow::Result<()> {
    let run = run(steps, &Tree::find(CHECKED_DEMO_SCALE)?);
    run.print_summary();
    run.result
}
