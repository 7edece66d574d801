//! What runs whole programs: Python tests, examples and demo. All use one release build.

use anyhow::Context;

use crate::python;
use crate::tally::Tally;
use crate::tree::Tree;

/// Builds the agent, the command line, the example programs and the Python module, which goes into the Python
/// environment.
pub(crate) fn build(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    build_release(tree, tally)?;
    python::install_module(tree)
}

/// Builds the same for those that need no Python environment: all in one go, for otherwise Arrow would be built twice.
pub(crate) fn build_release(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    let build = tree.cargo("build").arg("--release");
    let packages = ["farrow-agent", "farrow-cli", "farrow-examples", "farrow-python"];
    build.args(packages.iter().flat_map(|package| ["--package", package])).run()?;
    Ok(())
}

pub(crate) fn python_tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    let cache = format!("cache_dir={}", tree.target.join("pytest").display());
    let pytest = tree.python().args(["-m", "pytest", "-rs", "--strict-markers", "-o", &cache]);
    tally.tests(pytest.arg("crates/farrow-python/tests"), Tally::read_pytest)
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
