//! The medium that a path or a descriptor leads to: its kind, its size, and what mappings of it are multiples of.
//!
//! Devices say neither by stat: the kernel tells in sysfs. It must be asked before anything is mapped,
//! because device-dax maps past its end without complaint and faults later.

use std::fmt;
use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, StatFs};

use crate::RegionError;

/// The place where the kernel describes devices.
pub(crate) const SYSFS: &str = "/sys";

/// f_type of hugetlbfs and sysfs (Linux include/uapi/linux/magic.h).
const HUGETLBFS_MAGIC: u32 = 0x958458f6;
const SYSFS_MAGIC: u32 = 0x62656572;

/// The flag of a PCI resource that is memory (IORESOURCE_MEM, Linux include/linux/ioport.h).
const RESOURCE_IS_MEMORY: u64 = 0x200;

/// The kind of a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediumKind {
    /// A regular file: tmpfs, hugetlbfs, a mounted famfs, any file system.
    File,
    /// A device-dax node, `/dev/dax0.0`.
    DeviceDax,
    /// Memory of a PCI device, `/sys/bus/pci/devices/…/resource2`: the shared memory of QEMU's ivshmem.
    PciBar,
}

impl fmt::Display for MediumKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a regular file",
            Self::DeviceDax => "a device-dax node",
            Self::PciBar => "a PCI BAR",
        })
    }
}

/// Something that can be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Medium {
    pub(crate) kind: MediumKind,
    /// Bytes that can be mapped. A multiple of `unit`, but for files with pages of the machine's size.
    pub(crate) len: u64,
    /// The unit of offset, length and address of a mapping: a power of two, at least a page.
    pub(crate) unit: usize,
}

impl Medium {
    /// Returns what `fd` is, called `what` in messages.
    pub(crate) fn of(fd: BorrowedFd<'_>, what: String, sysfs: &Path) -> Result<Self, RegionError> {
        let failed = |e: rustix::io::Errno| RegionError::Io {
            action: "look at",
            what: what.clone(),
            source: e.into(),
        };
        let stat = rustix::fs::fstat(fd).map_err(failed)?;
        let file_system = rustix::fs::fstatfs(fd).ok();
        // Only what lies in sysfs is looked up by its path, and nothing can be renamed there.
        let path = || fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        Facts { what: what.clone(), stat, file_system, path: &path }.medium(sysfs)
    }

    /// [`called`](Self::called) as it is named.
    #[cfg(test)]
    pub(crate) fn at(path: &Path, sysfs: &Path) -> Result<Self, RegionError> {
        Self::called(path, path, sysfs)
    }

    /// Returns what is at `path`, without opening it: opening a pipe waits, and opening a device may act. Messages give
    /// it the name that leads there.
    pub(crate) fn called(name: &Path, path: &Path, sysfs: &Path) -> Result<Self, RegionError> {
        let what = name.display().to_string();
        let failed = |e: rustix::io::Errno| RegionError::Io {
            action: "look at",
            what: what.clone(),
            source: e.into(),
        };
        let stat = rustix::fs::stat(path).map_err(failed)?;
        let file_system = rustix::fs::statfs(path).ok();
        let real_path = || fs::canonicalize(path);
        Facts { what: what.clone(), stat, file_system, path: &real_path }.medium(sysfs)
    }
}

/// The facts that the kernel tells of a file without sysfs.
struct Facts<'a> {
    /// For messages.
    what: String,
    stat: Stat,
    /// None where the file system does not say. Those that make a difference here always do: hugetlbfs and sysfs answer
    /// from the kernel's own memory. The daemon that serves a famfs over FUSE answers for directories alone (EBADF
    /// for every file, commit 5d0919f).
    file_system: Option<StatFs>,
    path: &'a dyn Fn() -> std::io::Result<PathBuf>,
}

impl Facts<'_> {
    fn medium(&self, sysfs: &Path) -> Result<Medium, RegionError> {
        let page = rustix::param::page_size();
        let kind = FileType::from_raw_mode(self.stat.st_mode);
        let size = u64::try_from(self.stat.st_size).unwrap_or(0);
        match kind {
            FileType::RegularFile if self.is_in(SYSFS_MAGIC) => self.pci_bar(size, page),
            FileType::RegularFile => {
                let unit = self.file_system.as_ref().map_or(page, page_of);
                // hugetlbfs gives nothing of a page that the file ends within.
                let len = if unit > page { whole_units(size, unit) } else { size };
                Ok(Medium { kind: MediumKind::File, len, unit })
            }
            FileType::CharacterDevice => {
                let device = self.stat.st_rdev;
                dax_device(sysfs, rustix::fs::major(device), rustix::fs::minor(device), page)?
                    .ok_or_else(|| self.not_a_file("a character device other than device-dax"))
            }
            other => Err(self.not_a_file(name_of(other))),
        }
    }

    /// True if it is in a file system of that f_type.
    fn is_in(&self, magic: u32) -> bool {
        self.file_system.is_some_and(|found| u32::try_from(found.f_type) == Ok(magic))
    }

    fn pci_bar(&self, size: u64, page: usize) -> Result<Medium, RegionError> {
        let path = (self.path)().map_err(|source| RegionError::Io {
            action: "find the path of",
            what: self.what.clone(),
            source,
        })?;
        pci_bar(&path, size, page)?.ok_or_else(|| self.not_a_file("a file in sysfs other than a PCI BAR"))
    }

    fn not_a_file(&self, kind: &'static str) -> RegionError {
        RegionError::NotAFile { what: self.what.clone(), kind }
    }
}

/// The device-dax device of that number; None if it is a device of another kind.
///
/// Its directory has `size` and `align`, both in decimal bytes (Linux drivers/dax/bus.c); before 5.10
/// the alignment was its region's.
fn dax_device(sysfs: &Path, major: u32, minor: u32, page: usize) -> Result<Option<Medium>, RegionError> {
    let directory = sysfs.join(format!("dev/char/{major}:{minor}"));
    if link_name(&directory.join("subsystem")).as_deref() != Some("dax") {
        return Ok(None);
    }
    let driver = directory.join("driver");
    if let Some(found) = link_name(&driver)
        && found != "device_dax"
    {
        // kmem has made it system memory; fsdev_dax keeps it for a mounted famfs.
        return Err(odd(driver, found, "device_dax, the driver whose node can be mapped"));
    }
    let size = directory.join("size");
    let len = number(&size)?;
    let own_align = directory.join("align");
    let align = if own_align.exists() { own_align } else { directory.join("../dax_region/align") };
    let unit = match usize::try_from(number(&align)?) {
        Ok(unit) if unit.is_power_of_two() && unit >= page => unit,
        _ => return Err(odd(align.clone(), text(&align)?, "a power of two, at least a page")),
    };
    if len == 0 {
        return Err(odd(size, "0".to_owned(), "a size: the device has no memory yet"));
    }
    Ok(Some(Medium { kind: MediumKind::DeviceDax, len: whole_units(len, unit), unit }))
}

/// The PCI BAR at `path`, a file of `size` bytes in sysfs; None if it is another file.
///
/// Beside `resourceN` lies `resource`, which has a line for each BAR: first and last address and flags
/// in hexadecimal (Linux Documentation/PCI/sysfs-pci.rst).
fn pci_bar(path: &Path, size: u64, page: usize) -> Result<Option<Medium>, RegionError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let bar = name.strip_prefix("resource").map(|rest| rest.strip_suffix("_wc").unwrap_or(rest));
    // A device has six BARs.
    let Some(bar) = bar.and_then(|digits| digits.parse::<usize>().ok()).filter(|bar| *bar < 6) else {
        return Ok(None);
    };
    let resources = path.with_file_name("resource");
    let all = text(&resources)?;
    let line = all.lines().nth(bar).unwrap_or_default();
    let numbers: Vec<_> = line.split_whitespace().map(parse).collect();
    let [Some(first), Some(last), Some(flags)] = numbers[..] else {
        return Err(odd(resources, line.to_owned(), "first address, last address and flags of the BAR"));
    };
    if flags & RESOURCE_IS_MEMORY == 0 {
        return Err(odd(resources, line.to_owned(), "a BAR of memory (flag 0x200)"));
    }
    let len = last.checked_sub(first).and_then(|less_one| less_one.checked_add(1));
    if len != Some(size) {
        return Err(odd(resources, line.to_owned(), "as many bytes as the file of the BAR has"));
    }
    Ok(Some(Medium { kind: MediumKind::PciBar, len: whole_units(size, page), unit: page }))
}

/// The number in a file of sysfs.
fn number(path: &Path) -> Result<u64, RegionError> {
    let text = text(path)?;
    parse(&text).ok_or_else(|| odd(path.to_owned(), text, "a number of bytes"))
}

/// A number as sysfs has it: decimal, or hexadecimal after 0x.
fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn text(path: &Path) -> Result<String, RegionError> {
    let text = fs::read_to_string(path).map_err(|source| RegionError::Io {
        action: "read",
        what: path.display().to_string(),
        source,
    })?;
    Ok(text.trim().to_owned())
}

/// The last component of what a symbolic link says.
fn link_name(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
}

fn odd(path: PathBuf, found: String, expected: &'static str) -> RegionError {
    RegionError::Sysfs { path, found, expected }
}

fn whole_units(len: u64, unit: usize) -> u64 {
    len - len % unit as u64
}

/// Bytes in a page of the files of a file system: mmap rounds lengths up to it and refuses other offsets.
pub(crate) fn page_of(file_system: &StatFs) -> usize {
    let page = rustix::param::page_size();
    if u32::try_from(file_system.f_type) == Ok(HUGETLBFS_MAGIC) {
        usize::try_from(file_system.f_bsize).unwrap_or(page).max(page)
    } else {
        page
    }
}

/// The name of a descriptor in a message.
pub(crate) fn describe(fd: BorrowedFd<'_>) -> String {
    format!("descriptor {}", fd.as_raw_fd())
}

/// Returns what a file is by its mode, for messages.
fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "something unknown",
    }
}

#[cfg(test)]
mod tests;
