//! Tasks of the repository: see `cargo xtask --help`.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! A task is a list of steps, run in order until one fails; of all the checks, some lists are run at the same time. Whatever a task makes is under the target directory.

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

use crate::steps::{Stage, Step, run};
use crate::tally::Tally;
use crate::tree::{Profile, Tree};

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
    /// Run the quick checks: format, lints, unit and integration tests without those that go through every crash or byte
    Check,
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
        /// Seconds to run
        #[arg(long, default_value_t = SOAK_SECONDS, value_parser = clap::value_parser!(u64).range(5..))]
        seconds: u64,
        /// The seed of random choices [default: another each time, which is printed]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Let a client loose on an agent that sends whatever it likes
    Hostile {
        /// Seconds to run
        #[arg(long, default_value_t = HOSTILE_SECONDS, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
        /// The seed of random choices [default: another each time, which is printed]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measure how long operations take, and how that grows (crates/farrow-bench/README.md)
    #[command(disable_help_flag = true)]
    Bench {
        /// A benchmark and its options; --help lists them
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
/// The same among all the checks.
const CHECKED_SOAK_SECONDS: u64 = 60;
const HOSTILE_SECONDS: u64 = 60;

fn scale_factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if scale > 0.0 && scale <= 10.0 => Ok(scale),
        _ => Err("expected a number above 0 and at most 10".to_owned()),
    }
}

const BUILD: Step = Step { title: "Rust programs and tests, built", run: rust::build_tests };
const PYTHON_ENVIRONMENT: Step = Step { title: "Python environment", run: python::environment };
const RELEASE: Step = Step { title: "release programs and the Python module, built", run: programs::build };
const DEMO: Step = Step { title: "demo", run: programs::demo };

/// The first stage compiles: the lints and documents need other parts of dependencies than the programs do. The second
/// stage tests the built programs. Most tests wait for something, so that two lists keep two processors busy.
const TEST: &[Stage] = &[
    &[
        &[
            Step { title: "format", run: rust::format },
            Step { title: "lints", run: rust::lints },
            Step { title: "docs", run: rust::docs },
            BUILD,
        ],
        &[PYTHON_ENVIRONMENT],
    ],
    &[
        &[
            Step { title: "Rust tests", run: rust::tests },
            Step { title: "Rust tests under Miri", run: rust::miri },
            Step { title: "device-dax and a PCI BAR in a guest", run: guest::tests_if_possible },
            Step { title: "the package under a real systemd", run: service::tests_if_possible },
            Step {
                title: "soak",
                run: |tree, tally| rust::at_random(tree, tally, "soak", CHECKED_SOAK_SECONDS, None),
            },
            Step {
                title: "hostile clients",
                run: |tree, tally| rust::at_random(tree, tally, "hostile", HOSTILE_SECONDS, None),
            },
        ],
        &[
            Step { title: "Python module, installed", run: python::install_module },
            Step { title: "Python tests", run: programs::python_tests },
            Step { title: "the pages' commands and links", run: pages::tests },
            Step {
                title: "the Python wheel, with the oldest and the newest packages",
                run: wheel::quick_tests,
            },
            Step { title: "examples", run: programs::examples },
            Step { title: "benchmarks that still run", run: bench::still_run },
            DEMO,
        ],
    ],
];

const CHECK: &[Stage] = &[&[&[
    Step { title: "format", run: rust::format },
    Step { title: "lints", run: rust::lints },
    BUILD,
    Step { title: "quick Rust tests", run: rust::quick_tests },
]]];

const GUEST: &[Stage] =
    &[&[&[BUILD, Step { title: "device-dax and a PCI BAR in a guest", run: guest::tests }]]];

const PACKAGE: &[Stage] = &[&[&[Step { title: "Debian package", run: package::make }]]];

const SERVICE: &[Stage] =
    &[&[&[BUILD, Step { title: "the package under a real systemd", run: service::tests }]]];

const DEMONSTRATION: &[Stage] = &[&[&[PYTHON_ENVIRONMENT, RELEASE, DEMO]]];

const PYTHON: &[Stage] = &[&[&[PYTHON_ENVIRONMENT, RELEASE]]];

const WHEEL: &[Stage] = &[&[&[
    BUILD,
    PYTHON_ENVIRONMENT,
    Step { title: "the Python wheel, with the oldest and the newest packages", run: wheel::tests },
]]];

const MIRI: &[Stage] = &[&[&[Step { title: "Rust tests under Miri", run: rust::miri }]]];

const REGEN: &[Stage] = &[&[&[Step { title: "protobuf code", run: rust::regenerate }]]];

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
    let tree = |profile| Tree::find(profile, DEMO_SCALE);
    match task {
        Task::Check => checks(CHECK),
        Task::Test => checks(TEST),
        Task::Miri => checks(MIRI),
        Task::Guest => checks(GUEST),
        Task::Package => run(PACKAGE, &tree(Profile::Release)?).result,
        Task::Service => checks(SERVICE),
        Task::Demo { scale } => run(DEMONSTRATION, &Tree::find(Profile::Release, scale)?).result,
        Task::Python => {
            let tree = tree(Profile::Release)?;
            run(PYTHON, &tree).result?;
            python::print_usage(&tree);
            Ok(())
        }
        Task::Soak { seconds, seed } => at_random("soak", seconds, seed),
        Task::Hostile { seconds, seed } => at_random("hostile", seconds, seed),
        Task::Bench { arguments } => bench::run(&tree(Profile::Release)?, &arguments),
        Task::Wheel => checks(WHEEL),
        Task::Regen => run(REGEN, &tree(Profile::Dev)?).result,
    }
}

/// Builds what a random test needs, and runs it.
fn at_random(program: &str, seconds: u64, seed: Option<u64>) -> anyhow::Result<()> {
    let (tree, mut tally) = (Tree::find(Profile::Dev, DEMO_SCALE)?, Tally::default());
    rust::build_tests(&tree, &mut tally)?;
    rust::at_random(&tree, &mut tally, program, seconds, seed)
}

/// Runs steps that count what they check.
fn checks(stages: &'static [Stage]) -> anyhow::Result<()> {
    let run = run(stages, &Tree::find(Profile::Dev, CHECKED_DEMO_SCALE)?);
    run.print_summary();
    run.result
}
