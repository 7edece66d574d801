//! The Debian package: agent, command, systemd units, man pages, completions.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use xshell::Cmd;

use crate::programs;
use crate::tally::Tally;
use crate::tree::{Profile, Tree};

/// cargo-deb, which reads what goes into the package from `crates/farrow-agent/Cargo.toml`.
const CARGO_DEB: &str = "3.8.0";

/// The settings of the installed configuration; the reference of all settings sets none.
const SETTINGS: [&str; 3] = [
    "region = \"/run/farrow/memory/region\"",
    "socket = \"/run/farrow/agent.sock\"",
    "state-dir = \"/run/farrow\"",
];

/// The tool that makes packages.
pub(crate) struct Packager {
    cargo_deb: PathBuf,
}

/// Makes the package of programs that it builds.
pub(crate) fn make(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    let packager = Packager::get(tree)?;
    programs::build_release(tree, tally)?;
    let package = packager.package(tree)?;
    println!("{}", package.display());
    Ok(())
}

impl Packager {
    /// cargo-deb, installed under the target directory if it is not there, and Debian's programs that it needs.
    pub(crate) fn get(tree: &Tree) -> anyhow::Result<Self> {
        for needed in ["dpkg-shlibdeps", "gzip", "xz"] {
            let found = tree.shell.cmd(needed).arg("--version").quiet().ignore_stdout().run();
            found.context("a Debian package needs dpkg-dev, gzip and xz-utils to be made")?;
        }
        let root = tree.target.join("tools");
        let cargo_deb = root.join("bin/cargo-deb");
        if !cargo_deb.is_file() {
            let build = root.join("build");
            // In the debug profile, which is built in half of the time, and with the system's xz.
            let install = tree.shell.cmd("cargo").args(["install", "--quiet", "--locked", "--debug"]);
            let install =
                install.args(["--no-default-features", "--version", CARGO_DEB, "--root"]).arg(&root);
            install.arg("--target-dir").arg(&build).arg("cargo-deb").run()?;
            tree.shell.remove_path(&build)?;
        }
        Ok(Self { cargo_deb })
    }

    /// Makes the package of the programs that are there; returns its file.
    pub(crate) fn package(&self, tree: &Tree) -> anyhow::Result<PathBuf> {
        let generated = tree.programs().join("package");
        tree.shell.remove_path(&generated)?;
        write_man_pages(tree, &generated.join("man"))?;
        write_completions(tree, &generated)?;
        let reference = tree.shell.read_file("crates/farrow-agent/agent.toml")?;
        tree.shell.write_file(generated.join("agent.toml"), configuration(&reference)?)?;

        let output = tree.target.join("debian");
        tree.shell.remove_path(&output)?;
        let deb = tree.shell.cmd(&self.cargo_deb).args(["--locked", "--package", "farrow-agent"]);
        // Its profiles are cargo's; what Cargo.toml says of target/release it looks for where the profile's programs are.
        let deb = deb.args(["--profile", if tree.profile == Profile::Dev { "dev" } else { "release" }]);
        let deb = deb.args(["--no-build", "--strip", "--compress-system", "--fast", "--quiet", "--output"]);
        deb.arg(&output).env("CARGO_TARGET_DIR", &tree.target).quiet().ignore_stdout().run()?;
        let made = tree.shell.read_dir(&output)?;
        let package =
            made.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "deb"));
        package.with_context(|| format!("cargo deb succeeded and left nothing in {}", output.display()))
    }
}

fn program<'a>(tree: &'a Tree, name: &str) -> Cmd<'a> {
    tree.shell.cmd(tree.programs().join(name))
}

fn write_man_pages(tree: &Tree, directory: &Path) -> anyhow::Result<()> {
    tree.shell.create_dir(directory)?;
    program(tree, "farrow").arg("man").arg(directory).quiet().run()?;
    let page = program(tree, "farrow-agent").arg("--man-page").quiet().output()?;
    tree.shell.write_file(directory.join("farrow-agent.8"), page.stdout)?;
    let pages = tree.shell.read_dir(directory)?;
    Ok(tree.shell.cmd("gzip").args(["--best", "--no-name"]).args(pages).quiet().run()?)
}

fn write_completions(tree: &Tree, directory: &Path) -> anyhow::Result<()> {
    for (shell, prefix, suffix) in [("bash", "", ""), ("zsh", "_", ""), ("fish", "", ".fish")] {
        for (name, verb) in [("farrow", "completions"), ("farrow-agent", "--completions")] {
            let script = program(tree, name).args([verb, shell]).quiet().output()?;
            let place = directory.join(shell).join(format!("{prefix}{name}{suffix}"));
            tree.shell.write_file(place, script.stdout)?;
        }
    }
    Ok(())
}

/// The reference of all settings, in which each line is a comment, with those that the service needs.
fn configuration(reference: &str) -> anyhow::Result<String> {
    let mut text = reference.to_owned();
    for setting in SETTINGS {
        let (key, _) = setting.split_once('=').context("a setting is KEY = VALUE")?;
        let begin = format!("\n#{key}= ");
        ensure!(
            text.matches(&begin).count() == 1,
            "agent.toml: expected one line that begins with {:?}",
            begin.trim_start()
        );
        let start = text.find(&begin).map_or(0, |found| found + 1);
        let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        text.replace_range(start..end, setting);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_has_its_settings_and_every_other_default() {
        let reference = "# All.\n\n# Which.\n#region = \"/dev/shm/farrow\"\n#socket = \"/a\"\n\n#state-dir = \"/b\"\n#drain = \"10s\"\n";
        let expected = "# All.\n\n# Which.\nregion = \"/run/farrow/memory/region\"\nsocket = \"/run/farrow/agent.sock\"\n\n\
                        state-dir = \"/run/farrow\"\n#drain = \"10s\"\n";
        assert_eq!(configuration(reference).unwrap(), expected);
    }

    #[test]
    fn a_setting_that_the_reference_does_not_have_is_an_error() {
        let error = configuration("# All.\n#region = 1\n#state-dir = 2\n").unwrap_err();
        assert!(error.to_string().contains("#socket = "), "{error}");
    }
}
