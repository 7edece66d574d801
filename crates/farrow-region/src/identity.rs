//! The file or device that a descriptor is of, whatever its path means by now.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Stat, fstat, lstat};

/// A file or device of this host. As long as anybody has it open, no other one is equal to it. Containers see the same
/// numbers; only of a file below /sys, another network namespace sees another device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Of a file its st_dev, of a device node its st_rdev.
    pub device: u64,
    /// Of a file its st_ino, of a device node 0: one device may have several nodes.
    pub inode: u64,
}

impl FileIdentity {
    /// The one that a descriptor is of.
    ///
    /// # Errors
    /// The error of fstat.
    pub fn of(descriptor: impl AsFd) -> io::Result<Self> {
        Ok(Self::in_stat(&fstat(descriptor)?))
    }

    /// The one that a path names now; a symbolic link is itself one.
    ///
    /// # Errors
    /// The error of lstat.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::in_stat(&lstat(path)?))
    }

    fn in_stat(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice | FileType::BlockDevice => Self { device: stat.st_rdev, inode: 0 },
            _ => Self { device: stat.st_dev, inode: stat.st_ino },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_copy_is_another_file_and_a_second_name_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        fs::write(path("file"), "content").unwrap();
        let file = File::open(path("file")).unwrap();
        let identity = FileIdentity::of(&file).unwrap();
        fs::hard_link(path("file"), path("name")).unwrap();
        assert_eq!(FileIdentity::at(&path("name")).unwrap(), identity);
        fs::copy(path("file"), path("copy")).unwrap();
        fs::rename(path("copy"), path("file")).unwrap();
        assert_ne!(FileIdentity::at(&path("file")).unwrap(), identity);
        assert_eq!(FileIdentity::of(&file).unwrap(), identity);
    }

    #[test]
    fn every_node_of_a_device_is_the_same() {
        let null = FileIdentity::of(File::open("/dev/null").unwrap()).unwrap();
        assert_eq!(null.inode, 0);
        assert_ne!(null, FileIdentity::of(File::open("/dev/zero").unwrap()).unwrap());
    }
}
