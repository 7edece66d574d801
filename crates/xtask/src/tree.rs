//! The places of things: the repository, and what the tasks make under its target directory.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Cmd, Shell};

/// The profile of programs: for checks, whose figures nobody looks at, or for people.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// The repository as a task sees it.
#[derive(Clone)]
pub(crate) struct Tree {
    /// Runs commands in the repository's root.
    pub(crate) shell: Shell,
    /// Cargo's target directory: `CARGO_TARGET_DIR`, or `target` in the root.
    pub(crate) target: PathBuf,
    /// The profile of the programs that Python tests, examples, pages, package and demo run.
    pub(crate) profile: Profile,
    /// Scale factor of the demo's TPC-H tables.
    pub(crate) demo_scale: f64,
}

impl Tree {
    /// The tree that this program was built from.
    pub(crate) fn find(profile: Profile, demo_scale: f64) -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("this crate is two directories below the root")?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(directory) => env::current_dir()?.join(directory),
            None => root.join("target"),
        };
        let shell = Shell::new()?;
        shell.change_dir(root);
        Ok(Self { shell, target, profile, demo_scale })
    }

    /// A cargo command that uses the dependencies of Cargo.lock and this target directory.
    pub(crate) fn cargo(&self, verb: &str) -> Cmd<'_> {
        let command = self.shell.cmd("cargo").arg(verb).env("CARGO_TARGET_DIR", &self.target);
        if verb == "fmt" { command } else { command.arg("--locked") }
    }

    /// The virtual environment.
    pub(crate) fn venv(&self) -> PathBuf {
        self.target.join("venv")
    }

    /// The virtual environment's Python, told to leave no files in the source tree.
    pub(crate) fn python(&self) -> Cmd<'_> {
        self.python_of(&self.venv())
    }

    /// The same of another virtual environment.
    pub(crate) fn python_of(&self, venv: &Path) -> Cmd<'_> {
        self.shell
            .cmd(venv.join("bin/python"))
            .env("PYTHONPYCACHEPREFIX", self.target.join("pycache"))
            .env("FARROW_BIN_DIR", self.programs())
    }

    /// The directory of the programs of the tree's profile.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target.join(match self.profile {
            Profile::Dev => "debug",
            Profile::Release => "release",
        })
    }
}
