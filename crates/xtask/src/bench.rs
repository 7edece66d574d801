//! The benchmarks: a program with a command line of its own.

use crate::programs;
use crate::python;
use crate::steps::{Stage, Step, run as run_steps};
use crate::tally::Tally;
use crate::tree::Tree;

const BUILD: Step = Step { title: "release programs and benchmarks, built", run: programs::build_bench };

const PROGRAMS: &[Stage] = &[&[&[BUILD]]];

/// Stages for all benchmarks but the store's: they run Python as well.
const PYTHON: &[Stage] = &[&[&[
    Step { title: "Python environment", run: python::environment },
    BUILD,
    Step { title: "Python module, installed", run: python::install_module },
]]];

/// Hands everything to the benchmark's command line, whose output is the only one once everything is built.
pub(crate) fn run(tree: &Tree, arguments: &[String]) -> anyhow::Result<()> {
    let helps = arguments.iter().any(|argument| ["-h", "--help"].contains(&argument.as_str()));
    let python = !helps && arguments.first().is_some_and(|what| what != "store");
    run_steps(if python { PYTHON } else { PROGRAMS }, tree).result?;
    let bench = tree.shell.cmd(tree.programs().join("farrow-bench")).args(arguments);
    let bench =
        bench.env("FARROW_BIN_DIR", tree.programs()).env("FARROW_PYTHON", tree.venv().join("bin/python"));
    Ok(bench.quiet().run()?)
}

/// Sees that each still runs, with the programs that the tests have built: nobody looks at these figures.
pub(crate) fn still_run(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    let programs = tree.target.join("debug");
    let bench = tree.shell.cmd(programs.join("farrow-bench")).args(["all", "--quick"]);
    let bench = bench.env("FARROW_BIN_DIR", &programs).env("FARROW_PYTHON", tree.venv().join("bin/python"));
    tally.check(&bench.quiet())
}
