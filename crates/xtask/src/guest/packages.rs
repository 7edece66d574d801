//! QEMU, busybox and a kernel: Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Cmd, Shell};

use crate::debian;

/// The packages that are asked for; apt adds what these depend on, and which kernel is the current one. The smaller
/// kernel for clouds cannot poison a page.
const PACKAGES: [&str; 3] = ["linux-image-amd64", "qemu-system-x86", "busybox-static"];

/// The packages of a guest.
pub(super) struct Packages(debian::Packages);

impl Packages {
    /// The packages that are under `directory`, fetched if there are none.
    pub(super) fn get(shell: &Shell, directory: &Path) -> anyhow::Result<Self> {
        debian::Packages::get(shell, directory, &PACKAGES).map(Self)
    }

    /// QEMU, with its own libraries.
    pub(super) fn qemu<'a>(&self, shell: &'a Shell) -> Cmd<'a> {
        let qemu = self.0.command(shell, "qemu-system-x86_64", "qemu-system-x86_64");
        qemu.env("QEMU_MODULE_DIR", self.0.libraries().join("qemu"))
    }

    /// Returns where QEMU finds its firmware.
    pub(super) fn firmware(&self) -> [PathBuf; 2] {
        ["usr/share/seabios", "usr/share/qemu"].map(|directory| self.0.root().join(directory))
    }

    /// The busybox that needs no library.
    pub(super) fn busybox(&self) -> PathBuf {
        self.0.root().join("usr/bin/busybox")
    }

    /// The kernel's image.
    pub(super) fn kernel(&self) -> anyhow::Result<PathBuf> {
        Ok(self.0.root().join(format!("boot/vmlinuz-{}", self.kernel_version()?)))
    }

    /// The files of kernel modules and of those that they need, in the order to load them.
    pub(super) fn modules(&self, shell: &Shell, names: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
        let version = self.kernel_version()?;
        self.0.command(shell, "depmod", "kmod").arg("-b").arg(self.0.root()).arg(&version).quiet().run()?;
        let modprobe = self.0.command(shell, "modprobe", "kmod").arg("-d").arg(self.0.root());
        let loads = modprobe.args(["-S", &version, "--show-depends", "-a"]).args(names).quiet().read()?;
        // Lines are `insmod FILE`, or `builtin NAME`.
        let files = loads.lines().filter_map(|line| line.trim().strip_prefix("insmod "));
        Ok(files.map(PathBuf::from).collect())
    }

    fn kernel_version(&self) -> anyhow::Result<String> {
        let boot = self.0.root().join("boot");
        let entries = fs::read_dir(&boot).with_context(|| format!("list {}", boot.display()))?;
        entries
            .flatten()
            .find_map(|entry| entry.file_name().to_str()?.strip_prefix("vmlinuz-").map(str::to_owned))
            .with_context(|| format!("no vmlinuz-… in {}: the package is not as expected", boot.display()))
    }
}
