//! The programs under test, built by the same cargo in the same profile as the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The path of a program of the workspace: in `$FARROW_BIN_DIR`, where somebody has built it, or built now.
///
/// # Panics
/// If it cannot be built.
pub fn program(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(build).join(name)
}

/// Runs the `farrow` command with `args` and returns what it said.
///
/// # Panics
/// If it cannot be started.
pub fn farrow(args: &[&str]) -> Output {
    let mut command = Command::new(program("farrow"));
    command.env_remove("FARROW_ADDRESS").args(args).output().expect("farrow can be started")
}

/// Copies a program, to be run from there.
///
/// Another process writes the copy: a descriptor of ours would be in whatever another thread forks meanwhile, and what is
/// open for writing cannot be run.
///
/// # Panics
/// If there is no room for it.
pub fn copy_program(program: &Path, to: &Path) {
    let copied = Command::new("cp").arg(program).arg(to).status().expect("cp can be started");
    assert!(copied.success(), "{} could not be copied", program.display());
}

fn build() -> PathBuf {
    if let Some(built) = std::env::var_os("FARROW_BIN_DIR") {
        return built.into();
    }
    // Tests run from TARGET/PROFILE/deps; the examples of the documentation, which rustdoc builds, from elsewhere.
    let test = std::env::current_exe().expect("the test knows its own path");
    let profile = test.parent().filter(|deps| deps.ends_with("deps")).and_then(Path::parent);
    let directory = profile.map_or_else(|| target().join("debug"), Path::to_owned);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "--bins",
        "-p",
        "farrow-agent",
        "-p",
        "farrow-cli",
        "-p",
        env!("CARGO_PKG_NAME"),
    ]);
    if directory.ends_with("release") {
        cargo.arg("--release");
    }
    cargo.arg("--target-dir").arg(directory.parent().expect("a profile lies in a target directory"));
    assert!(cargo.status().expect("cargo can be started").success(), "the programs under test do not build");
    directory
}

/// Returns where cargo builds, unless its configuration says otherwise.
fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}
