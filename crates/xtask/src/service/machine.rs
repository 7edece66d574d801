//! The container as a machine.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;
use xshell::Shell;

use super::system::System;
use crate::debian::Packages;

/// Boots `system`, with `files` as `/checks`, and gives each line that its console says to `hear`. Returns how
/// systemd-nspawn ended.
///
/// The system's writes are in memory and gone afterwards. It has no network, and this machine's systemd, which need
/// not run, is not told of it.
pub(super) fn boot(
    shell: &Shell,
    packages: &Packages,
    system: &System,
    files: &Path,
    mut hear: impl FnMut(&str),
) -> anyhow::Result<ExitStatus> {
    let nspawn = packages.command(shell, "systemd-nspawn", "systemd-nspawn");
    let nspawn = nspawn.args(["--quiet", "--boot", "--machine=farrow-checks", "--console=read-only"]);
    let nspawn = nspawn.args(["--register=no", "--keep-unit", "--private-network", "--link-journal=no"]);
    let nspawn = nspawn.args(["--resolv-conf=off", "--timezone=off", "--volatile=overlay"]);
    let nspawn = nspawn.arg(format!("--bind-ro={}:/checks", files.display()));
    let nspawn = nspawn.arg(format!("--directory={}", system.root.display()));

    let shown = nspawn.to_string();
    println!("$ {shown}");
    let mut child = Command::from(nspawn)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{shown}`"))?;
    let output = child.stdout.take().context("the child's output was piped")?;
    for line in BufReader::new(output).split(b'\n') {
        hear(String::from_utf8_lossy(&line.context("read what the container says")?).trim_end());
    }
    let ended = child.wait().context("wait for systemd-nspawn")?;
    remove_control_groups(shell)?;
    Ok(ended)
}

/// Removes the control groups that systemd-nspawn leaves behind where no systemd does: those are empty.
fn remove_control_groups(shell: &Shell) -> anyhow::Result<()> {
    let names = ["(", "-path", "*/payload*", "-o", "-path", "*/supervisor*", ")"];
    let find =
        shell.cmd("find").args(["/sys/fs/cgroup", "-maxdepth", "3", "-depth", "-type", "d"]).args(names);
    find.args(["-exec", "rmdir", "{}", ";"]).quiet().ignore_status().ignore_stderr().run()?;
    Ok(())
}
