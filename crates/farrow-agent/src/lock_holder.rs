//! The process that holds the lock on a file, and whether it is about to end.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

/// The time to wait for what a killed process has: its memory is given back first, which takes time.
const ENDING: Duration = Duration::from_secs(5);

/// The time to wait for a lock whose holder is not known.
const UNKNOWN: Duration = Duration::from_secs(1);

const PAUSE: Duration = Duration::from_millis(20);

/// Flag of a process that is exiting, in field 9 of `/proc/PID/stat` (include/linux/sched.h).
const PF_EXITING: u64 = 0x4;

/// A process that has a lock on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockHolder {
    pid: u32,
}

impl LockHolder {
    /// The holder of a lock on the file at `path`, by /proc/locks (proc(5)); `None` where it does not say, or calls the
    /// file's device by another number than stat does (btrfs).
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        let file = format!("{major:02x}:{minor:02x}:{}", found.ino());
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        // "1: FLOCK  ADVISORY  WRITE 4711 00:1b:1234 0 EOF": pid, device and inode.
        let pid = locks.lines().find_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let &[_, "FLOCK", _, _, pid, locked, ..] = words.as_slice() else { return None };
            (locked == file).then_some(pid)
        })?;
        // A process of another pid namespace has no number here.
        let pid = pid.parse().ok().filter(|pid| *pid > 0)?;
        Some(Self { pid })
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = std::fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        write!(f, "process {} ({})", self.pid, command.trim_end())
    }
}

/// Tries again as long as `locked` names a file in the error whose holder is about to end: an agent that starts right
/// after another was killed.
pub(crate) fn after_the_dying<T, E>(
    mut attempt: impl FnMut() -> Result<T, E>,
    locked: impl Fn(&E) -> Option<PathBuf>,
) -> Result<T, E> {
    let begun = Instant::now();
    loop {
        let error = match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let patience = match locked(&error).map(|path| LockHolder::of(&path)) {
            Some(Some(holder)) if is_ending(holder.pid) => ENDING,
            Some(None) => UNKNOWN,
            Some(Some(_)) | None => Duration::ZERO,
        };
        if begun.elapsed() >= patience {
            return Err(error);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits as long as `busy` names a process that is about to end. Returns whether it names none any more.
pub(crate) fn until_the_dying_are_gone(mut busy: impl FnMut() -> Option<u32>) -> bool {
    let begun = Instant::now();
    loop {
        match busy() {
            None => return true,
            Some(pid @ 1..) if is_ending(pid) && begun.elapsed() < ENDING => std::thread::sleep(PAUSE),
            Some(_) => return false,
        }
    }
}

/// True if a process has ended, is exiting, or was killed by a signal that it has not taken yet.
fn is_ending(pid: u32) -> bool {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
    let (Ok(stat), Ok(status)) = (read("stat"), read("status")) else { return true };
    // The command's name, in parentheses, may have any characters.
    let words: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
    let [state, _, _, _, _, _, flags, ..] = words.as_slice() else { return true };
    if ["Z", "X"].contains(state) || flags.parse().is_ok_and(|flags: u64| flags & PF_EXITING != 0) {
        return true;
    }
    let kill = 1_u64 << (Signal::KILL.as_raw() - 1);
    let pending = status.lines().filter_map(|line| {
        line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:")).map(str::trim)
    });
    pending.filter_map(|mask| u64::from_str_radix(mask, 16).ok()).any(|mask| mask & kill != 0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_ending_once_it_was_killed() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id();
        assert!(!is_ending(pid));
        child.kill().unwrap();
        assert!(is_ending(pid), "killed, and not waited for");
        child.wait().unwrap();
        assert!(is_ending(pid), "gone");
        assert!(!is_ending(std::process::id()));
    }

    #[test]
    fn who_lives_is_not_waited_for_and_who_is_not_known_for_a_moment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let locked = file.path().to_owned();
        let mut attempts = 0;
        let mut fail = || {
            attempts += 1;
            Err::<(), ()>(())
        };
        file.as_file().lock().unwrap();
        if LockHolder::of(&locked).is_some() {
            after_the_dying(&mut fail, |()| Some(locked.clone())).unwrap_err();
            assert_eq!(attempts, 1);
        }
        file.as_file().unlock().unwrap();
        let mut left = 3;
        let mut last = || {
            left -= 1;
            if left > 0 { Err(()) } else { Ok(()) }
        };
        after_the_dying(&mut last, |()| Some(locked.clone())).unwrap();
        assert_eq!(after_the_dying(|| Err::<(), ()>(()), |()| None), Err(()));
    }
}
