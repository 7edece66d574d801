//! Who has a file locked, for people who wonder why they cannot.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The process that has a lock on the file at `path`, by /proc/locks (proc(5)); `None` where it does not say.
pub(crate) fn lock_holder(path: &Path) -> Option<String> {
    let inode = std::fs::metadata(path).ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // "1: FLOCK  ADVISORY  WRITE 4711 00:1b:1234 0 EOF": pid, device and inode.
    let pid = locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let &[_, "FLOCK", _, _, pid, file, ..] = words.as_slice() else { return None };
        (file.rsplit(':').next() == Some(&inode)).then_some(pid)
    })?;
    // A process of another pid namespace has no number here.
    pid.parse::<u32>().ok().filter(|pid| *pid > 0)?;
    let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({})", command.trim_end()))
}
