//! A Debian system to boot.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use xshell::Shell;

use crate::debian::Packages;

/// The unit that runs the checks when the system has booted. It turns the system off.
const UNIT: &str = "\
[Unit]
Description=Checks of farrow
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=exec
ExecStart=/bin/sh /checks/checks.sh
StandardInput=null
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
";

/// A system's directory.
pub(super) struct System {
    pub(super) root: PathBuf,
}

impl System {
    /// The system that is under `directory`, made if there is none.
    pub(super) fn get(
        shell: &Shell,
        packages: &Packages,
        directory: &Path,
        suite: &str,
    ) -> anyhow::Result<Self> {
        let root = directory.join(suite);
        if !root.is_dir() {
            println!("making a Debian system ({suite})");
            let new = directory.join("system.new");
            shell.remove_path(&new)?;
            debootstrap(shell, packages, suite, &new)?;
            let units = new.join("etc/systemd/system");
            shell.write_file(units.join("farrow-checks.service"), UNIT)?;
            symlink("../farrow-checks.service", units.join("multi-user.target.wants/farrow-checks.service"))?;
            // The console is the checks' alone.
            symlink("/dev/null", units.join("console-getty.service"))?;
            shell
                .write_file(new.join("etc/systemd/system.conf.d/quiet.conf"), "[Manager]\nShowStatus=no\n")?;
            // Only now is it taken for complete.
            fs::rename(&new, &root)
                .with_context(|| format!("rename {} to {}", new.display(), root.display()))?;
        }
        Ok(Self { root })
    }
}

fn debootstrap(shell: &Shell, packages: &Packages, suite: &str, place: &Path) -> anyhow::Result<()> {
    let program = shell.cmd(packages.root().join("usr/sbin/debootstrap"));
    let program = program.env("DEBOOTSTRAP_DIR", packages.root().join("usr/share/debootstrap"));
    let program = program.args(["--variant=minbase", "--include=systemd,dbus", suite]).arg(place);
    let made = program.arg(mirror(shell, suite)?).quiet().ignore_status().output()?;
    if made.status.success() {
        return Ok(());
    }
    // Its output is long; what went wrong is at its end.
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    bail!("debootstrap: {}: {}", made.status, said.lines().next_back().unwrap_or("it said nothing"))
}

/// This machine's release of Debian: what was built here need not run on another one.
pub(super) fn suite(shell: &Shell) -> anyhow::Result<String> {
    let user = shell.cmd("id").arg("-u").quiet().read()?;
    ensure!(user == "0", "a container needs root, and this is user {user}");
    suite_of(&shell.read_file("/etc/os-release")?)
}

fn suite_of(release: &str) -> anyhow::Result<String> {
    let field = |name: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    let id = field("ID").unwrap_or_default();
    ensure!(id == "debian", "the package is for Debian, and this machine has {id:?}");
    field("VERSION_CODENAME").context("/etc/os-release names no release of Debian")
}

/// Returns where this machine gets its packages from.
fn mirror(shell: &Shell, suite: &str) -> anyhow::Result<String> {
    let wanted = format!("Codename: {suite}");
    let sites = shell.cmd("apt-get").args(["indextargets", "--format", "$(SITE)", &wanted]).quiet().read()?;
    let site = sites.lines().find(|site| site.starts_with("http"));
    site.map(str::to_owned).with_context(|| format!("apt has no source for {suite}"))
}

#[cfg(test)]
mod tests {
    use super::suite_of;

    #[test]
    fn only_debian_has_a_suite() {
        let debian = "PRETTY_NAME=\"Debian\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(suite_of(debian).unwrap(), "bookworm");
        let other = "ID=\"fedora\"\nVERSION_CODENAME=\"\"\n";
        assert!(suite_of(other).unwrap_err().to_string().contains("fedora"));
    }
}
