//! Real device-dax and a real PCI BAR: farrow in a guest that has them.
//!
//! QEMU emulates a machine with memory that a Debian kernel makes `/dev/dax0.0`, and with a PCI device that consists of
//! memory. In there run the tests of farrow-region, and those of the integration tests that are about devices: what a
//! machine without such devices skips, the guest must not.

mod image;
mod machine;
mod packages;
mod programs;
mod report;

use std::env::consts::ARCH;
use std::fs;

use anyhow::{Context, ensure};

use self::packages::Packages;
use self::programs::Programs;
use self::report::Report;
use crate::tally::Tally;
use crate::tree::Tree;

/// Runs the tests in the guest.
pub(crate) fn tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    run(tree, tally)?.map_err(|NoGuest(why)| why)
}

/// Runs the tests in the guest, and skips them if there can be none here.
pub(crate) fn tests_if_possible(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    if let Err(NoGuest(why)) = run(tree, tally)? {
        let line =
            format!("skipped: device-dax and a PCI BAR in a guest: {why} (cargo xtask guest says more)");
        println!("{line}");
        tally.read_cargo(&line);
    }
    Ok(())
}

/// The reason why nothing can be run in a guest here, which says nothing about farrow.
struct NoGuest(anyhow::Error);

/// Fails if a test in the guest does, or does not run.
fn run(tree: &Tree, tally: &mut Tally) -> anyhow::Result<Result<(), NoGuest>> {
    let directory = tree.target.join("guest");
    let packages = match packages(tree) {
        Ok(packages) => packages,
        Err(why) => return Ok(Err(NoGuest(why))),
    };
    let programs = Programs::built(tree)?;
    let image = image::make(tree, &packages, &programs, &directory)?;

    let console = directory.join("console.log");
    tree.shell.remove_path(&console)?;
    let mut report = Report::new(tally);
    let ended = machine::boot(&tree.shell, &packages, &image, &console, |line| {
        println!("{line}");
        report.read(line);
    })?;
    if !report.booted() {
        let said = fs::read_to_string(&console).unwrap_or_default();
        let last = said.lines().next_back().unwrap_or("nothing");
        let why = anyhow::anyhow!("no guest boots: QEMU: {ended}; its kernel said last: {last}");
        return Ok(Err(NoGuest(why)));
    }
    let place = || format!("in the guest (QEMU: {ended}; the kernel's messages: {})", console.display());
    report.check().with_context(place)?;
    Ok(Ok(()))
}

/// Returns what a guest is made of, or why it cannot be had.
fn packages(tree: &Tree) -> anyhow::Result<Packages> {
    ensure!(ARCH == "x86_64", "QEMU is set up for x86_64, and this machine is {ARCH}");
    let packages = Packages::get(&tree.shell, &tree.target.join("guest"));
    packages.context("no QEMU and no kernel could be fetched from Debian")
}
