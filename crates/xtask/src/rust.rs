//! Checks and tests of the Rust code.

use crate::tally::Tally;
use crate::tree::Tree;

pub(crate) fn format(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    tally.check(&tree.cargo("fmt").args(["--all", "--check"]))
}

pub(crate) fn lints(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    let clippy = tree.cargo("clippy").args(["--workspace", "--all-targets", "--all-features"]);
    tally.check(&clippy.args(["--", "--deny", "warnings"]))
}

pub(crate) fn docs(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    tally.check(&tree.cargo("doc").args(["--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

/// Builds the tests, and the programs that they start, as the integration tests would build them otherwise.
pub(crate) fn build_tests(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    let programs = ["farrow-agent", "farrow-cli", "farrow-integration-tests"];
    let packages = programs.iter().flat_map(|package| ["--package", package]);
    tree.cargo("build").arg("--bins").args(packages).run()?;
    Ok(tree.cargo("test").args(["--workspace", "--no-run"]).run()?)
}

pub(crate) fn tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    tally.tests(tree.cargo("test").arg("--workspace"), Tally::read_cargo)
}

/// The test of farrow-proto writes the code that it otherwise compares.
pub(crate) fn regenerate(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    let test = tree.cargo("test").args(["--package", "farrow-proto", "--test", "generated"]);
    Ok(test.env("FARROW_REGEN", "1").run()?)
}
