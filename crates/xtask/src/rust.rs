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

/// Builds the tests and the programs that they start: in one go, for otherwise Arrow would be built twice, with the
/// features that programs ask for and with those that tests do.
pub(crate) fn build_tests(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    Ok(tree.cargo("build").args(["--workspace", "--bins", "--tests"]).run()?)
}

pub(crate) fn tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    let test = tree.cargo("test").arg("--workspace").env("FARROW_BIN_DIR", tree.target.join("debug"));
    tally.tests(test, Tally::read_cargo)
}

/// The test of farrow-proto writes the code that it otherwise compares.
pub(crate) fn regenerate(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    let test = tree.cargo("test").args(["--package", "farrow-proto", "--test", "generated"]);
    Ok(test.env("FARROW_REGEN", "1").run()?)
}
