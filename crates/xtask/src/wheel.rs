//! The Python wheel: made by maturin, and tested where nothing else of this repository is installed.

use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};
use std::{env, fs};

use anyhow::{Context, ensure};

use crate::programs;
use crate::python::{self, NEWEST, OLDEST, OLDEST_PACKAGES, Python, Requirements};
use crate::tally::Tally;
use crate::tree::Tree;

/// The newest Python 3 that has wheels of all the oldest packages.
const LAST_OF_OLDEST: u32 = 11;

/// The newest Python 3 that is looked for.
const LAST: u32 = 14;

/// Makes the wheel and runs the Python tests with it, each in an environment of its own: on the oldest Python that is
/// found with the oldest packages, and on the newest Python with the newest packages. What the machine lacks counts as
/// skipped.
pub(crate) fn tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    tests_of(tree, tally, "release")
}

/// The same of a wheel that takes less time to be built, and is slower: among all the checks.
pub(crate) fn quick_tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    tests_of(tree, tally, "quick")
}

fn tests_of(tree: &Tree, tally: &mut Tally, profile: &str) -> anyhow::Result<()> {
    let wheel = make(tree, tally, profile)?;
    let (oldest, newest) = (find_oldest(tree, tally), find_newest(tree, tally)?);
    // At the same time: most of the tests wait, or keep one processor busy.
    let (tests_of_newest, tests_of_oldest) = thread::scope(|scope| {
        let tests_of_newest = newest.map(|python| {
            let (wheel, tree) = (&wheel, tree.clone());
            scope.spawn(move || {
                let mut tally = Tally::labelled("newest packages");
                let result = test(&tree, &mut tally, wheel, &python, "newest", NEWEST);
                (tally, result)
            })
        });
        let mut counted = Tally::labelled("oldest packages");
        let result =
            oldest.map(|python| test(tree, &mut counted, &wheel, &python, "oldest", OLDEST_PACKAGES));
        (tests_of_newest.map(ScopedJoinHandle::join), (counted, result.unwrap_or(Ok(()))))
    });
    let (counted, result) = tests_of_oldest;
    tally.add(counted);
    let Some(ended) = tests_of_newest else { return result };
    let (counted, result_of_newest) =
        ended.map_err(|_| anyhow::anyhow!("the tests with the newest packages panicked"))?;
    tally.add(counted);
    result.and(result_of_newest)
}

/// The oldest Python of those that have wheels of all the oldest packages.
fn find_oldest(tree: &Tree, tally: &mut Tally) -> Option<Python> {
    let (major, minor) = OLDEST;
    let found = (minor..=LAST_OF_OLDEST).find_map(|minor| find(tree, minor));
    match &found {
        Some(python) if python.version.starts_with(&format!("{major}.{minor}.")) => {}
        Some(python) => tally.skip(format!(
            "the wheel on Python {major}.{minor}: not on the path, nor pyenv's; the oldest here is {}",
            python.version
        )),
        None => tally.skip(format!(
            "the wheel with the oldest packages: they need a Python from {major}.{minor} to {major}.{LAST_OF_OLDEST}"
        )),
    }
    found
}

/// The newest Python, if it is newer than the environment's own.
pub(crate) fn newer_python(tree: &Tree) -> anyhow::Result<Option<Python>> {
    let own = tree.python().args(["-c", "import sys; print(sys.version_info.minor)"]).read()?;
    let own: u32 = own.trim().parse().context("the environment's Python knows its version")?;
    Ok((own + 1..=LAST).rev().find_map(|minor| find(tree, minor)))
}

/// The same; that there is none is said. The environment's own has run the tests then.
fn find_newest(tree: &Tree, tally: &mut Tally) -> anyhow::Result<Option<Python>> {
    let found = newer_python(tree)?;
    if found.is_none() {
        tally.skip("the wheel on a Python newer than the environment's own: none found".to_owned());
    }
    Ok(found)
}

/// Builds the wheel; its path. In a directory of its own: maturin builds the module alone, which needs Arrow with other
/// features than all programs together, and the two would undo each other's work.
fn make(tree: &Tree, tally: &mut Tally, profile: &str) -> anyhow::Result<PathBuf> {
    let wheels = tree.target.join("wheels");
    tree.shell.remove_path(&wheels)?;
    let maturin = tree.python().args(["-m", "maturin", "build", "--locked", "--profile", profile]);
    let maturin = maturin.args(["--manifest-path", "crates/farrow-python/Cargo.toml", "--out"]).arg(&wheels);
    tally.check(&maturin.env("CARGO_TARGET_DIR", tree.target.join("wheel")))?;
    let made: Vec<PathBuf> =
        tree.shell.read_dir(&wheels)?.into_iter().filter(|path| is_wheel(path)).collect();
    let [wheel] = &made[..] else { anyhow::bail!("maturin made {} wheels: {made:?}", made.len()) };
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    ensure!(name.contains("-cp39-abi3-"), "{name} is not one wheel for all versions of Python from 3.9 on");
    println!("made {name}, {} bytes", fs::metadata(wheel)?.len());
    Ok(wheel.clone())
}

/// Runs the tests with the wheel on `python`, in an environment that has nothing but what `requirements` name.
fn test(
    tree: &Tree,
    tally: &mut Tally,
    wheel: &Path,
    python: &Python,
    name: &str,
    requirements: Requirements,
) -> anyhow::Result<()> {
    println!("\nthe wheel on Python {} with the {name} packages", python.version);
    let venv = tree.target.join(format!("venv-{name}"));
    python::make(tree, python, &venv, &[requirements])?;
    // Without an index: what the wheel needs must be among the requirements, in a version that it takes.
    python::pip_install(tree, &venv)
        .args(["--no-index", "--force-reinstall", "--no-deps"])
        .arg(wheel)
        .run()?;
    tally.check(&tree.python_of(&venv).args(["-m", "pip", "--disable-pip-version-check", "check"]))?;
    tally.tests(programs::pytest(tree, &venv), Tally::read_pytest)
}

/// Python 3.`minor`: on the path, or one of pyenv's.
fn find(tree: &Tree, minor: u32) -> Option<Python> {
    let program = format!("python3.{minor}");
    let root = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv")));
    let versions = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    let of_pyenv =
        versions.into_iter().flatten().flatten().map(|version| version.path().join("bin").join(&program));
    let candidates = [PathBuf::from(&program)].into_iter().chain(of_pyenv.filter(|path| path.exists()));
    candidates.into_iter().find_map(|path| Python::ask(tree, &path.to_string_lossy()))
}

fn is_wheel(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "whl")
}
