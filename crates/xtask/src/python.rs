//! The Python side's set-up: a virtual environment with pinned packages, and the farrow package in it.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, bail};
use xshell::Cmd;

use crate::tally::Tally;
use crate::tree::Tree;

/// The oldest Python that the native module and the pinned packages work with.
pub(crate) const OLDEST: (u32, u32) = (3, 9);

/// The requirements that pip installs.
pub(crate) struct Requirements {
    file: &'static str,
    options: &'static [&'static str],
}

/// The newest packages.
pub(crate) const NEWEST: Requirements =
    Requirements { file: "crates/xtask/requirements.txt", options: &["--only-binary", ":all:"] };

/// The oldest packages that farrow works with.
pub(crate) const OLDEST_PACKAGES: Requirements =
    Requirements { file: "crates/xtask/requirements-oldest.txt", options: &["--only-binary", ":all:"] };

/// Data alone: its dependencies, which only its own code needs, stay out.
const DATA: Requirements = Requirements {
    file: "crates/xtask/requirements-data.txt",
    options: &["--no-deps", "--no-build-isolation", "--use-pep517"],
};

/// Makes the virtual environment.
pub(crate) fn environment(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    make(tree, &find_python(tree)?, &tree.venv(), &[NEWEST, DATA])
}

/// Makes a virtual environment unless it is there and was made by the same Python from the same requirements.
pub(crate) fn make(
    tree: &Tree,
    python: &Python,
    venv: &Path,
    requirements: &[Requirements],
) -> anyhow::Result<()> {
    let mut stamp = format!("{} {}\n", python.program, python.version);
    for Requirements { file, .. } in requirements {
        stamp += &tree.shell.read_file(file)?;
    }
    let stamp_file = venv.join("farrow-stamp.txt");
    if fs::read_to_string(&stamp_file).is_ok_and(|made| made == stamp) {
        println!("{} is up to date (Python {})", venv.display(), python.version);
        return Ok(());
    }

    println!("making {} with {} (Python {})", venv.display(), python.program, python.version);
    tree.shell.cmd(&python.program).args(["-m", "venv", "--clear"]).arg(venv).run().context(
        "this Python cannot make virtual environments: it needs its modules venv and ensurepip \
         (on Debian and Ubuntu: apt install python3-venv)",
    )?;
    for Requirements { file, options } in requirements {
        pip_install(tree, venv).args(*options).args(["--requirement", file]).run()?;
    }
    fs::write(&stamp_file, stamp).with_context(|| format!("write {}", stamp_file.display()))
}

/// `pip install` of an environment.
pub(crate) fn pip_install<'a>(tree: &'a Tree, venv: &Path) -> Cmd<'a> {
    tree.python_of(venv).args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet"])
}

/// Puts the farrow package into the environment: links to its Python files beside the native module.
pub(crate) fn install_module(tree: &Tree, _: &mut Tally) -> anyhow::Result<()> {
    let site = tree.python().args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).read()?;
    let path = tree.target.join("python");
    let package = path.join("farrow");
    tree.shell.remove_path(&package)?;
    tree.shell.create_dir(&package)?;
    for source in tree.shell.read_dir("crates/farrow-python/python/farrow")? {
        if source.is_file() {
            let name = source.file_name().context("a listed file has a name")?;
            std::os::unix::fs::symlink(&source, package.join(name))?;
        }
    }
    tree.shell.copy_file(tree.programs().join("lib_farrow.so"), package.join("_farrow.abi3.so"))?;
    tree.shell.write_file(Path::new(&site).join("farrow.pth"), path.display().to_string())?;
    let version = tree.python().args(["-c", "import farrow; print(farrow.__version__)"]).read()?;
    println!("the farrow package {version} is in {}", tree.venv().display());
    Ok(())
}

/// Prints how to use what was made.
pub(crate) fn print_usage(tree: &Tree) {
    println!("\nA Python with farrow, pyarrow, polars and duckdb, and the programs beside it:\n");
    println!("    source {}/bin/activate", tree.venv().display());
    println!("    export PATH={}:$PATH", tree.programs().display());
}

/// A Python that was found.
pub(crate) struct Python {
    pub(crate) program: String,
    pub(crate) version: String,
}

impl Python {
    /// Returns what `program` is, if it is a Python.
    pub(crate) fn ask(tree: &Tree, program: &str) -> Option<Self> {
        let script = "import platform; print(platform.python_version())";
        let version = tree.shell.cmd(program).args(["-c", script]).quiet().ignore_stderr().read().ok()?;
        Some(Self { program: program.to_owned(), version })
    }
}

/// `PYTHON` if it is set; else the first of `python3`, `python3.14` … `python3.9` and `python` that is new enough.
fn find_python(tree: &Tree) -> anyhow::Result<Python> {
    let candidates = match env::var("PYTHON") {
        Ok(program) => vec![program],
        Err(_) => ["python3".to_owned()]
            .into_iter()
            .chain((OLDEST.1..=14).rev().map(|minor| format!("python3.{minor}")))
            .chain(["python".to_owned()])
            .collect(),
    };
    let mut found = Vec::new();
    for program in &candidates {
        let Some(python) = Python::ask(tree, program) else { continue };
        if is_new_enough(&python.version) {
            return Ok(python);
        }
        found.push(format!("{program} is {}", python.version));
    }
    let (major, minor) = OLDEST;
    let found = if found.is_empty() { "none was found".to_owned() } else { found.join(", ") };
    bail!(
        "need Python {major}.{minor} or newer: tried {}; {found}. Try: PYTHON=/path/to/python cargo xtask …",
        candidates.join(", ")
    )
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(is_new_enough("3.9.18"));
        assert!(is_new_enough("3.13.0"));
        assert!(is_new_enough("3.15.0a1"));
        assert!(!is_new_enough("3.8.20"));
        assert!(!is_new_enough("2.7.18"));
        assert!(!is_new_enough("command not found"));
    }
}
