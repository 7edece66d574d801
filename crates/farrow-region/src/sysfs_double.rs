//! A made-up sysfs, for tests on machines without the devices; and what to say where even that is no
//! help.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A directory that describes one device-dax device as the kernel would under `/sys`.
pub(crate) struct DaxTree {
    root: tempfile::TempDir,
    device: PathBuf,
}

impl DaxTree {
    pub(crate) fn new(major: u32, minor: u32, size: &str, align: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("devices/platform/hmem.0/dax0.0");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("size"), size).unwrap();
        fs::write(device.join("align"), align).unwrap();
        symlink("../../../../bus/dax", device.join("subsystem")).unwrap();
        let numbers = root.path().join("dev/char");
        fs::create_dir_all(&numbers).unwrap();
        symlink("../../devices/platform/hmem.0/dax0.0", numbers.join(format!("{major}:{minor}"))).unwrap();
        Self { root, device }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn device(&self) -> &Path {
        &self.device
    }

    /// Gives the device to another driver.
    pub(crate) fn driver(&self, name: &str) {
        let link = self.device.join("driver");
        let _ = fs::remove_file(&link);
        symlink(format!("../../../../bus/dax/drivers/{name}"), link).unwrap();
    }
}

/// Says that something was not tested, on the run's own output: what a test prints with `println!` is
/// shown only if it fails.
pub(crate) fn skipped(what: &str) {
    // On a line of its own and in one piece, whatever the other threads print.
    io::stdout().write_all(format!("\nskipped: {what}\n").as_bytes()).unwrap();
}
