//! The processes that map a region, as the kernel tells it: for an agent that finds no record of its predecessor's.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::process::{ProcessId, start_time};

/// A file as a line of `/proc/PID/maps` names it (proc(5)): major and minor number of its device in hex, and its inode.
#[derive(PartialEq, Eq)]
struct Mapped(String, u64);

/// The processes but this one that map one of `files`, with their users. Those that this process may not look at, and
/// those of other pid namespaces, are not among them.
///
/// # Errors
/// If /proc or a file cannot be looked at.
pub(crate) fn of(files: &[File]) -> std::io::Result<Vec<(ProcessId, u32)>> {
    let files = files.iter().map(Mapped::of).collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else { continue };
        // An error is that it has ended, or is none of this user's.
        if let Ok(true) = maps(&entry.path(), &files)
            && let (Ok(start_time), Ok(process)) = (start_time(pid), entry.metadata())
        {
            found.push((ProcessId { pid, start_time }, process.uid()));
        }
    }
    Ok(found)
}

fn maps(process: &Path, files: &[Mapped]) -> std::io::Result<bool> {
    let maps = std::fs::read(process.join("maps"))?;
    Ok(maps.split(|byte| *byte == b'\n').filter_map(Mapped::of_line).any(|mapped| files.contains(&mapped)))
}

impl Mapped {
    fn of(file: &File) -> std::io::Result<Self> {
        let found = file.metadata()?;
        let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        Ok(Self(format!("{major:02x}:{minor:02x}"), found.ino()))
    }

    /// Address, permissions, offset, device, inode, path.
    fn of_line(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
        let device = std::str::from_utf8(fields.nth(3)?).ok()?;
        let inode = std::str::from_utf8(fields.next()?).ok()?;
        Some(Self(device.to_owned(), inode.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_file_whatever_its_path() {
        let line = b"7f5c-7f5d r--s 00001000 00:1a 4711      /dev/shm/a region\xff (deleted)";
        let found = Mapped::of_line(line).unwrap();
        assert!(found == Mapped("00:1a".to_owned(), 4711));
        for line in [&b""[..], b"7f5c-7f5d r--s 00001000 00:1a", b"7f5c-7f5d r--s 0 00:1a x"] {
            assert!(Mapped::of_line(line).is_none());
        }
    }

    #[test]
    fn this_process_maps_its_program_and_is_left_out() {
        let program = File::open("/proc/self/exe").unwrap();
        let here = Path::new("/proc/self");
        assert!(maps(here, &[Mapped::of(&program).unwrap()]).unwrap());
        assert!(!maps(here, &[Mapped::of(&File::open("/proc/self/status").unwrap()).unwrap()]).unwrap());
        assert!(of(&[program]).unwrap().iter().all(|(id, _)| id.pid != std::process::id()));
    }
}
