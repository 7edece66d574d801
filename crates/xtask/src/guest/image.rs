//! The guest's system: an initial RAM file system with busybox, kernel modules, and the programs to test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::packages::Packages;
use super::programs::{Programs, copy_below};
use crate::tree::Tree;

const INIT: &str = include_str!("init.sh");

/// Soft-Reserved memory as a device-dax node; and a block device, which one of the tests looks for.
const MODULES: [&str; 3] = ["dax_hmem", "device_dax", "loop"];

/// A host has an identity; the guest has this one.
const MACHINE_ID: &str = "6661727200000000000000000067756e\n";

/// Makes the image under `directory`; returns its file.
pub(super) fn make(
    tree: &Tree,
    packages: &Packages,
    programs: &Programs,
    directory: &Path,
) -> anyhow::Result<PathBuf> {
    let shell = &tree.shell;
    let root = directory.join("root");
    shell.remove_path(&root)?;
    for name in ["bin", "dev", "etc", "modules", "proc", "sys", "tmp"] {
        shell.create_dir(root.join(name))?;
    }
    shell.write_file(root.join("etc/machine-id"), MACHINE_ID)?;
    let init = root.join("init");
    shell.write_file(&init, INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).context("make init executable")?;

    shell.copy_file(packages.busybox(), root.join("bin/busybox"))?;
    for (name, file) in &programs.files {
        shell.copy_file(file, root.join("bin").join(name))?;
    }
    for library in programs.libraries(tree)? {
        copy_below(&root, &library)?;
    }
    for (index, module) in packages.modules(shell, &MODULES)?.iter().enumerate() {
        add_module(tree, packages, module, &root.join(format!("modules/{index:02}.ko")))?;
    }
    archive(tree, packages, &root, &directory.join("initrd"))
}

/// Puts a module at `place`, unpacked: older kernels cannot unpack it themselves.
fn add_module(tree: &Tree, packages: &Packages, module: &Path, place: &Path) -> anyhow::Result<()> {
    let shell = &tree.shell;
    if module.extension().is_some_and(|extension| extension == "ko") {
        return Ok(shell.copy_file(module, place)?);
    }
    let unpacked = shell.cmd(packages.busybox()).arg("unxz").arg("-c").arg(module).quiet().output()?;
    Ok(shell.write_file(place, unpacked.stdout)?)
}

/// Packs everything below `root` in the form that the kernel takes: cpio's `newc`.
fn archive(tree: &Tree, packages: &Packages, root: &Path, file: &Path) -> anyhow::Result<PathBuf> {
    let busybox = packages.busybox();
    let _root = tree.shell.push_dir(root);
    let names = tree.shell.cmd(&busybox).args(["find", "."]).quiet().read()?;
    let pack = tree.shell.cmd(&busybox).args(["cpio", "-o", "-H", "newc", "-F"]).arg(file);
    pack.stdin(names + "\n").quiet().ignore_stderr().run()?;
    Ok(file.to_owned())
}
