//! Plain pyarrow, as a process.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Runs a Python script with pyarrow; `None` where there is no Python that has it. `FARROW_PYTHON` names one; else the
/// virtual environment of `cargo xtask python` is taken.
///
/// # Panics
/// If Python cannot be started.
pub fn pyarrow(script: &str, args: &[&str]) -> Option<Output> {
    let python = std::env::var_os("FARROW_PYTHON").map(PathBuf::from).or_else(|| {
        let test = std::env::current_exe().ok()?;
        // Tests run from TARGET/PROFILE/deps.
        Some(test.ancestors().nth(3)?.join("venv/bin/python"))
    })?;
    let run = |args: &[&str]| Command::new(&python).args(args).output();
    if !run(&["-c", "import pyarrow.flight"]).is_ok_and(|tried| tried.status.success()) {
        return None;
    }
    Some(run(&[&["-c", script], args].concat()).expect("Python can be started"))
}
