//! Checks and tests of the Rust code.

use xshell::Cmd;

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

/// Builds the tests, the programs that they start and the Python module: in one go, for otherwise Arrow would be built
/// twice, with the features that programs ask for and with those that tests do.
pub(crate) fn build_tests(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    Ok(tree.cargo("build").args(["--workspace", "--lib", "--bins", "--tests"]).run()?)
}

pub(crate) fn tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    let targets = ["--lib", "--bins", "--tests", "--examples"];
    tally.tests(
        timed(tree).args(targets).args(["--", "-Z", "unstable-options", "--report-time"]),
        Tally::read_cargo,
    )?;
    let examples = tree.cargo("test").args(["--workspace", "--no-fail-fast", "--doc"]);
    tally.tests(with_programs(tree, examples), Tally::read_cargo)
}

/// The same without those that go through every crash, byte or peer.
pub(crate) fn quick_tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    let tests = timed(tree).args(["--lib", "--test", "it", "--", "-Z", "unstable-options", "--report-time"]);
    tally.tests(tests.args(EXHAUSTIVE.iter().flat_map(|name| ["--skip", name])), Tally::read_cargo)
}

/// Parts of the names of tests that take many seconds each, since they go through every crash, byte or peer.
const EXHAUSTIVE: [&str; 14] = [
    "a_writer_has_bounded_memory",
    "another_dictionary_begins",
    "answers_that_nobody_takes",
    "any_word",
    "corruption::",
    "crash::",
    "cut_off::",
    "every_",
    "given_up::",
    "memory_does_not_grow",
    "peers::",
    "residue::",
    "slow_watcher",
    "written_",
];

/// `cargo test` that tells how long each test took, which needs an option of unstable libtest. The variable that
/// permits it is for the tests alone: around cargo it would have everything compiled again.
fn timed(tree: &Tree) -> Cmd<'_> {
    let runner = "target.'cfg(all())'.runner=['env','RUSTC_BOOTSTRAP=1']";
    with_programs(tree, tree.cargo("test").args(["--workspace", "--no-fail-fast", "--config", runner]))
}

/// Tests that use the programs which are built, rather than to build them again.
fn with_programs<'a>(tree: &Tree, test: Cmd<'a>) -> Cmd<'a> {
    let test = test.env("FARROW_BIN_DIR", tree.target.join("debug"));
    // Some of them speak to the agent by plain pyarrow.
    test.env("FARROW_PYTHON", tree.venv().join("bin/python"))
}

/// Runs a program of the integration tests that makes random choices (`soak`, `hostile`) for so long. Counts as one test.
pub(crate) fn at_random(
    tree: &Tree,
    tally: &mut Tally,
    program: &str,
    seconds: u64,
    seed: Option<u64>,
) -> anyhow::Result<()> {
    let programs = tree.target.join("debug");
    let run = tree.shell.cmd(programs.join(program)).args(["--seconds", &seconds.to_string()]);
    let run = run.args(seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]));
    tally.tests(run.env("FARROW_BIN_DIR", programs), Tally::read_cargo)?;
    tally.passed += 1;
    Ok(())
}

/// Runs under Miri what it can run: the parser of media bytes, and of the unsafe code what needs no mmap. Tests that
/// go through every bit or seed are left out, as they would take it many minutes.
pub(crate) fn miri(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    for task in ["--version", "setup"] {
        let output =
            tree.shell.cmd("cargo").args(["+nightly", "miri", task]).quiet().ignore_status().output()?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            let why = told.lines().find(|line| line.starts_with("error")).unwrap_or("it cannot be set up");
            tally.skip(format!(
                "Miri ({why}; it needs rustup component add --toolchain nightly miri rust-src)"
            ));
            return Ok(());
        }
    }
    let miri = |package| {
        // Miri has a directory of its own under this one.
        let command =
            tree.shell.cmd("cargo").args(["+nightly", "miri", "test", "--locked", "--package", package]);
        command.env("CARGO_TARGET_DIR", &tree.target)
    };
    let format = miri("famfs-format").args([
        "--test",
        "it",
        "--",
        "golden::",
        "odd_paths::",
        "odd_headers::",
        "odd::",
    ]);
    let format = format.args(["--skip", "every_flipped_bit", "--skip", "padding_that_is_not_zero"]);
    tally.tests(format, Tally::read_cargo)?;
    let region = miri("farrow-region").args(["--lib", "--", "shared::", "cache::", "crash::"]);
    tally.tests(region.args(["--skip", "torn_"]), Tally::read_cargo)
}

/// The test of farrow-proto writes the code that it otherwise compares.
pub(crate) fn regenerate(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    let test = tree.cargo("test").args(["--package", "farrow-proto", "--test", "generated"]);
    Ok(test.env("FARROW_REGEN", "1").run()?)
}
