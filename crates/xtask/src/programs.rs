//! Tasks that run whole programs: Python tests, examples and demo. All use one build, of the task's profile.

use std::path::Path;

use anyhow::Context;
use xshell::Cmd;

use crate::python;
use crate::tally::{LONGEST, Tally};
use crate::tree::Tree;
use crate::wheel;

/// The agent, the command line, the example programs and the Python module.
const PACKAGES: [&str; 4] = ["farrow-agent", "farrow-cli", "farrow-examples", "farrow-python"];

/// Builds [`PACKAGES`] for people; the Python module goes into the Python environment.
pub(crate) fn build(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    build_release(tree, tally)?;
    python::install_module(tree, tally)
}

/// Builds the same for those that need no Python environment.
pub(crate) fn build_release(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    release(tree, &[])
}

/// Builds [`PACKAGES`], the benchmarks, and the programs that play their peers.
pub(crate) fn build_bench(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    release(tree, &["farrow-bench", "farrow-integration-tests"])
}

/// All in one go: packages by themselves want other features of Arrow, which would be built once more.
fn release(tree: &Tree, more: &[&str]) -> anyhow::Result<()> {
    let packages = PACKAGES.iter().chain(more).flat_map(|package| ["--package", package]);
    Ok(tree.cargo("build").arg("--release").args(packages).run()?)
}

/// A check of the package's types and of the native module's stub, and the Python tests, unless there is a newer Python:
/// the wheel is tested there, with the same packages.
pub(crate) fn python_tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    if tree.python().args(["-c", "import mypy"]).quiet().ignore_stderr().run().is_ok() {
        let cache = tree.target.join("mypy");
        let mypy = |module: &str| {
            let python = tree.python().args(["-m", module]).env("MYPY_CACHE_DIR", &cache);
            python.env("MYPYPATH", "crates/farrow-python/python")
        };
        tally.check(&mypy("mypy").args(["--config-file", "crates/farrow-python/pyproject.toml"]))?;
        let config = ["--mypy-config-file", "crates/farrow-python/pyproject.toml"];
        tally.check(&mypy("mypy.stubtest").args(config).arg("farrow._farrow"))?;
    } else {
        tally.skip(
            "the types of the Python package: this Python has no mypy of the pinned release".to_owned(),
        );
    }
    if let Some(newer) = wheel::newer_python(tree)? {
        println!("the tests are those of the wheel, on Python {}", newer.version);
        return Ok(());
    }
    tally.tests(pytest(tree, &tree.venv()), Tally::read_pytest)
}

/// The Python tests in an environment that has the package.
pub(crate) fn pytest<'a>(tree: &'a Tree, venv: &Path) -> Cmd<'a> {
    let cache = format!("cache_dir={}", tree.target.join("pytest").display());
    let pytest = tree.python_of(venv).args(["-m", "pytest", "-rs", "--strict-markers", "-o", &cache]);
    pytest.arg(format!("--durations={LONGEST}")).arg("crates/farrow-python/tests")
}

pub(crate) fn examples(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    tally.tests(tree.python().arg("examples/run_all.py"), Tally::read_examples)
}

pub(crate) fn demo(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    let demo = tree.python().args(["examples/demo/demo.py", "--scale", &tree.demo_scale.to_string()]);
    tally
        .check(&demo.arg("--plot").arg(tree.target.join("demo.svg")).quiet())
        .context("the demo found something wrong; its last lines say what")
}
