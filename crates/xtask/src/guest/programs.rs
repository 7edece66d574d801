//! Programs in the guest: programs and tests as `cargo xtask test` builds them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::tree::Tree;

/// Files of the build, each with the name it has in the guest.
pub(super) struct Programs {
    pub(super) files: Vec<(&'static str, PathBuf)>,
}

impl Programs {
    /// Asks cargo, which builds what is missing.
    pub(super) fn built(tree: &Tree) -> anyhow::Result<Self> {
        let build = tree.cargo("build").args(["--workspace", "--bins", "--tests"]);
        let messages = build.arg("--message-format=json-render-diagnostics").read()?;
        let artifacts: Vec<Value> =
            messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let files = [
            ("farrow", "farrow-cli", "farrow", false),
            ("farrow-agent", "farrow-agent", "farrow-agent", false),
            ("hold", "integration-tests", "hold", false),
            ("intruder", "integration-tests", "intruder", false),
            ("region-tests", "farrow-region", "farrow_region", true),
            ("integration-tests", "integration-tests", "it", true),
        ];
        let files = files.into_iter().map(|(name, package, target, test)| {
            let file = artifacts.iter().find_map(|artifact| executable(artifact, package, target, test));
            Ok((
                name,
                file.with_context(|| format!("cargo has not said where it built {target} of {package}"))?,
            ))
        });
        Ok(Self { files: files.collect::<anyhow::Result<_>>()? })
    }

    /// The shared libraries that the programs load, the dynamic linker among them.
    pub(super) fn libraries(&self, tree: &Tree) -> anyhow::Result<Vec<PathBuf>> {
        let listed = tree.shell.cmd("ldd").args(self.files.iter().map(|(_, file)| file)).read()?;
        let mut libraries: Vec<_> = listed.lines().filter_map(library).collect();
        libraries.sort();
        libraries.dedup();
        Ok(libraries)
    }
}

/// The file of a target, if `artifact` is cargo's message about it.
fn executable(artifact: &Value, package: &str, target: &str, test: bool) -> Option<PathBuf> {
    let directory = Path::new(artifact["manifest_path"].as_str()?).parent()?;
    let is_it = directory.ends_with(package)
        && artifact["target"]["name"] == target
        && artifact["profile"]["test"] == test;
    is_it.then(|| artifact["executable"].as_str().map(PathBuf::from)).flatten()
}

/// The file of a library in a line of ldd: `libc.so.6 => /lib/…/libc.so.6 (0x…)`, or the linker's `/lib64/… (0x…)`.
fn library(line: &str) -> Option<PathBuf> {
    let (file, _) = line.trim().rsplit_once(" (")?;
    let file = file.rsplit_once("=> ").map_or(file, |(_, file)| file);
    file.starts_with('/').then(|| PathBuf::from(file))
}

/// Copies `file` to its own absolute path below `root`, without following it to another name.
pub(super) fn copy_below(root: &Path, file: &Path) -> anyhow::Result<()> {
    let copy = root.join(file.strip_prefix("/").context("libraries have absolute paths")?);
    let directory = copy.parent().context("a file is in a directory")?;
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    fs::copy(file, &copy).with_context(|| format!("copy {} to {}", file.display(), copy.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_the_lines_of_ldd() {
        for (line, expected) in [
            (
                "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)",
                Some("/lib/x86_64-linux-gnu/libc.so.6"),
            ),
            ("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)", Some("/lib64/ld-linux-x86-64.so.2")),
            ("\tlinux-vdso.so.1 (0x00007f)", None),
            ("\tlibodd.so.1 => not found", None),
            ("/target/debug/farrow:", None),
        ] {
            assert_eq!(library(line).as_deref(), expected.map(Path::new), "{line:?}");
        }
    }

    #[test]
    fn a_program_and_its_tests_are_told_apart() {
        let artifact = |test: bool| {
            serde_json::json!({
                "manifest_path": "/f/crates/farrow-cli/Cargo.toml",
                "target": {"name": "farrow"},
                "profile": {"test": test},
                "executable": "/t/farrow",
            })
        };
        let file = |test| executable(&artifact(test), "farrow-cli", "farrow", false);
        assert_eq!(file(false), Some(PathBuf::from("/t/farrow")));
        assert_eq!(file(true), None);
        assert_eq!(executable(&artifact(false), "farrow-agent", "farrow", false), None);
    }
}
