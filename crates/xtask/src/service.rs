//! The agent as an installed service: the Debian package under a real systemd, in a container.
//!
//! A Debian system is made once, by debootstrap, and booted by systemd-nspawn, over an overlay, so that it stays as it
//! is. In there `checks.sh` installs the package, uses the service, kills, upgrades and removes it.

mod huge_pages;
mod machine;
mod report;
mod system;

use std::path::PathBuf;

use anyhow::Context;

use self::huge_pages::HugePages;
use self::report::Report;
use self::system::System;
use crate::debian::Packages;
use crate::package::Packager;
use crate::tally::Tally;
use crate::tree::Tree;

const CHECKS: &str = include_str!("service/checks.sh");

/// The packages that start containers, and make a system for one.
const PACKAGES: [&str; 2] = ["systemd-container", "debootstrap"];

/// The pages of a small region, of 2 MiB.
const HUGE_PAGES: u64 = 16;

/// Checks the service.
pub(crate) fn tests(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    run(tree, tally)?.map_err(|NoSystem(why)| why)
}

/// Checks the service, and skips that if there can be no container here.
pub(crate) fn tests_if_possible(tree: &Tree, tally: &mut Tally) -> anyhow::Result<()> {
    if let Err(NoSystem(why)) = run(tree, tally)? {
        tally.skip(format!("the package under a real systemd: {why:#} (cargo xtask service says more)"));
    }
    Ok(())
}

/// The reason why no system can be booted here, which says nothing about farrow.
struct NoSystem(anyhow::Error);

/// Fails if a check does, or if not all are made.
fn run(tree: &Tree, tally: &mut Tally) -> anyhow::Result<Result<(), NoSystem>> {
    let Tools { packager, packages, system } = match Tools::get(tree) {
        Ok(tools) => tools,
        Err(why) => return Ok(Err(NoSystem(why))),
    };
    let files = files(tree, &packager)?;
    // The checks say that they have none, if they have none.
    let _pages = HugePages::keep(&tree.shell, HUGE_PAGES).inspect_err(|why| println!("{why:#}"));
    let mut report = Report::new(tally);
    let ended = machine::boot(&tree.shell, &packages, &system, &files, |line| {
        println!("{line}");
        report.read(line);
    })?;
    if !report.booted() {
        return Ok(Err(NoSystem(anyhow::anyhow!("no container boots: systemd-nspawn: {ended}"))));
    }
    report.check().with_context(|| format!("in the container (systemd-nspawn: {ended})"))?;
    Ok(Ok(()))
}

struct Tools {
    packager: Packager,
    packages: Packages,
    system: System,
}

impl Tools {
    /// All that is needed, or why it cannot be had.
    fn get(tree: &Tree) -> anyhow::Result<Self> {
        let suite = system::suite(&tree.shell)?;
        let packager = Packager::get(tree)?;
        let directory = tree.target.join("service");
        let packages = Packages::get(&tree.shell, &directory, &PACKAGES)
            .context("no systemd-nspawn and no debootstrap could be fetched from Debian")?;
        let system = System::get(&tree.shell, &packages, &directory, &suite)
            .context("debootstrap could make no Debian system")?;
        Ok(Self { packager, packages, system })
    }
}

/// A directory with what the container is given: the package, the checks, and programs that they need.
fn files(tree: &Tree, packager: &Packager) -> anyhow::Result<PathBuf> {
    let package = packager.package(tree)?;
    let directory = tree.target.join("service/files");
    tree.shell.remove_path(&directory)?;
    tree.shell.create_dir(&directory)?;
    tree.shell.copy_file(package, directory.join("farrow.deb"))?;
    tree.shell.write_file(directory.join("checks.sh"), CHECKS)?;
    for program in ["hold", "frame"] {
        tree.shell.copy_file(tree.target.join("debug").join(program), directory.join(program))?;
    }
    Ok(directory)
}
