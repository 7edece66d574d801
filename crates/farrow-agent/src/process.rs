//! Processes of this host that hold leases and reservations, and their end.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, bail};
use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process, so that a pid given out again is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ProcessId {
    /// Its number, in the agent's pid namespace.
    pub(crate) pid: u32,
    /// The time of its start, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub(crate) start_time: u64,
}

/// Checks whether /proc shows the processes of the agent's own pid namespace: in another one, the agent would take
/// other processes for those that map the region.
pub(crate) fn check_proc() -> anyhow::Result<()> {
    let shown = std::fs::read_link("/proc/self").context("/proc/self: is /proc mounted?")?;
    let own = std::process::id();
    if shown.as_os_str() != own.to_string().as_str() {
        bail!(
            "/proc shows the processes of another pid namespace: the agent is {own} and found there as {}. Mount it \
             anew in the agent's namespace (`unshare --mount-proc`)",
            shown.display()
        );
    }
    if let Err(error) = start_time(1) {
        tracing::warn!(
            %error,
            "/proc does not show the processes of other users (its mount option hidepid, or ProtectProc= of the unit): \
             they are given no memory, and those that an earlier agent has given some are taken to hold it until their \
             numbers are free"
        );
    }
    Ok(())
}

/// A process that was alive when this was made, and a descriptor by which the kernel tells of its end.
#[derive(Debug)]
pub(crate) struct Process {
    id: ProcessId,
    uid: u32,
    pidfd: OwnedFd,
}

impl Process {
    /// The process with number `pid` now, of user `uid`.
    ///
    /// # Errors
    /// `ESRCH` if there is none, or what the system says.
    pub(crate) fn open(pid: i32, uid: u32) -> std::io::Result<Self> {
        let number = Pid::from_raw(pid).ok_or_else(gone)?;
        let pidfd = pidfd_open(number, PidfdFlags::empty())?;
        let pid = u32::try_from(pid).map_err(|_| gone())?;
        let process = Self { id: ProcessId { pid, start_time: start_time(pid)? }, uid, pidfd };
        process.check_alive()?;
        Ok(process)
    }

    /// The process that connected the other end of a unix socket, which has number `pid` and was of user `uid` then;
    /// and its supplementary groups.
    ///
    /// # Errors
    /// `ESRCH` if it has ended, or what the system says.
    pub(crate) fn of_peer(socket: BorrowedFd<'_>, pid: i32, uid: u32) -> std::io::Result<(Self, Vec<u32>)> {
        let process = match getsockopt(&socket, sockopt::PeerPidfd) {
            Ok(pidfd) => {
                let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or_else(gone)?;
                Self { id: ProcessId { pid, start_time: start_time(pid)? }, uid, pidfd }
            }
            // A kernel before Linux 6.5. In the moment since it connected, its number may have become another's.
            Err(nix::Error::ENOPROTOOPT) => Self::open(pid, uid)?,
            Err(error) => return Err(error.into()),
        };
        let groups = supplementary_groups(process.id.pid)?;
        process.check_alive()?;
        Ok((process, groups))
    }

    /// This process itself.
    pub(crate) fn this() -> std::io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Self::open(pid, rustix::process::getuid().as_raw())
    }

    /// The process `id`; `None` if it has ended for certain. Where the system does not say which process has the number
    /// now, that one is taken for it: it ends no earlier.
    ///
    /// # Errors
    /// The system's error: then the process may run, and its end cannot be watched now.
    pub(crate) fn reopen(id: ProcessId, uid: u32) -> std::io::Result<Option<Self>> {
        let Some(number) = i32::try_from(id.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let pidfd = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let process = Self { id, uid, pidfd };
        process.known_by(start_time(id.pid))
    }

    /// This process, whose number was opened before that number's start time was read; `None` if it has ended.
    fn known_by(self, start_time: std::io::Result<u64>) -> std::io::Result<Option<Self>> {
        // The process that had the number has ended, so this one has, too.
        if self.has_ended()? {
            return Ok(None);
        }
        match start_time {
            Ok(found) => Ok((found == self.id.start_time).then_some(self)),
            Err(error) => {
                let pid = self.id.pid;
                tracing::warn!(pid, %error, "it may be another process by now, and is taken for the one on record");
                Ok(Some(self))
            }
        }
    }

    /// Returns which process this is.
    pub(crate) fn id(&self) -> ProcessId {
        self.id
    }

    /// The user it ran as when it connected.
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// Checks whether it has not ended. Until it has, its number is no other's: what was read under that number before
    /// this was its own.
    fn check_alive(&self) -> std::io::Result<()> {
        if self.has_ended()? { Err(gone()) } else { Ok(()) }
    }

    fn has_ended(&self) -> std::io::Result<bool> {
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        Ok(poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
    }

    /// Becomes readable when the process ends (pidfd_open(2)).
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Field 22 of `/proc/PID/stat` (proc(5)): clock ticks between boot and the start of the process.
pub(crate) fn start_time(pid: u32) -> std::io::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name, in parentheses, may hold anything: count from its end. What follows is field 3.
    stat.rsplit_once(')')
        .and_then(|(_, fields)| fields.split_ascii_whitespace().nth(22 - 3))
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, format!("/proc/{pid}/stat: no start time"))
        })
}

/// `Groups` of `/proc/PID/status` (proc(5)).
fn supplementary_groups(pid: u32) -> std::io::Result<Vec<u32>> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"));
    groups
        .and_then(|groups| groups.split_ascii_whitespace().map(|group| group.parse().ok()).collect())
        .ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, format!("/proc/{pid}/status: no groups"))
        })
}

fn gone() -> std::io::Error {
    rustix::io::Errno::SRCH.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_a_socket_is_known() {
        let (mine, _its) = std::os::unix::net::UnixStream::pair().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let (process, groups) = Process::of_peer(mine.as_fd(), pid, 0).unwrap();
        assert_eq!(process.id(), Process::open(pid, 0).unwrap().id());
        let told = nix::unistd::getgroups().unwrap();
        assert_eq!(groups, told.into_iter().map(nix::unistd::Gid::as_raw).collect::<Vec<_>>());
    }

    #[test]
    fn a_process_that_ended_cannot_be_opened_again() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::open(i32::try_from(child.id()).unwrap(), 0).unwrap();
        assert!(Process::reopen(process.id(), 0).unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Process::reopen(process.id(), 0).unwrap().is_none());
    }

    #[test]
    fn another_process_with_the_same_number_is_another() {
        let me = Process::open(std::process::id().try_into().unwrap(), 0).unwrap();
        let earlier = ProcessId { start_time: me.id().start_time - 1, ..me.id() };
        assert!(Process::reopen(earlier, 0).unwrap().is_none());
    }

    #[test]
    fn a_process_that_cannot_be_looked_at_is_taken_to_run_until_its_number_is_free() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let open = || Process::open(i32::try_from(child.id()).unwrap(), 0).unwrap();
        let (before, after) = (open(), open());
        // As hidepid has it, and as a full table of files has it.
        for errno in [rustix::io::Errno::NOENT, rustix::io::Errno::ACCESS, rustix::io::Errno::MFILE] {
            assert!(open().known_by(Err(errno.into())).unwrap().is_some());
        }
        assert!(before.known_by(Ok(0)).unwrap().is_none(), "another one has the number");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(after.known_by(Err(rustix::io::Errno::NOENT.into())).unwrap().is_none());
    }
}
