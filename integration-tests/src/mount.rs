//! A directory that looks as a mounted famfs does.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Output;

use famfs_format::{ALLOC_UNIT, FormatVersion, LOG_OFFSET, LogHeader, MIN_LOG_LEN, Superblock};
use farrow_store::HostId;
use uuid::Uuid;

use crate::{Region, farrow, program};

impl Region {
    /// A famfs on a device of `units` units of 2 MiB behind the log, mounted, with farrow's files.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn mounted(units: u64) -> Self {
        let region = Self::mounted_empty(units);
        let made = region.mkfs(&[]);
        assert!(made.status.success(), "mkfs: {}", String::from_utf8_lossy(&made.stderr));
        region
    }

    /// The same without any files yet.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn mounted_empty(units: u64) -> Self {
        let region = Self::unmade();
        let meta = region.path.join(".meta");
        fs::create_dir_all(&meta).expect("a directory can be made");
        let superblock = Superblock {
            version: FormatVersion::V48,
            log_len: MIN_LOG_LEN,
            alloc_unit: ALLOC_UNIT,
            uuid: Uuid::new_v4(),
            dev_uuid: Uuid::new_v4(),
            system_uuid: HostId::discover(None).expect("this host has an identity"),
            device_len: LOG_OFFSET + MIN_LOG_LEN + units * ALLOC_UNIT,
            device_path: b"/dev/dax0.0".to_vec(),
        };
        let write = |name: &str, len: u64, bytes: &[u8]| {
            let file = File::create_new(meta.join(name)).expect("a new file");
            file.set_len(len).expect("space");
            file.write_all_at(bytes, 0).expect("space");
        };
        write(".superblock", LOG_OFFSET, &superblock.encode().expect("a valid superblock"));
        write(".log", MIN_LOG_LEN, &LogHeader::new(MIN_LOG_LEN).expect("a valid length").encode());
        region
    }

    /// Runs `farrow mkfs` on the mount, with a program in the place of famfs that makes files there.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn mkfs(&self, args: &[&str]) -> Output {
        let famfs = famfs();
        let path = self.path.to_str().expect("a plain path");
        farrow(&[&["mkfs", "--famfs", famfs.to_str().expect("a plain path")], args, &[path]].concat())
    }
}

/// The program that stands in for the famfs tools.
///
/// # Panics
/// If it cannot be built.
pub fn famfs() -> PathBuf {
    program("famfs-stand-in")
}
