//! The processes that may still map or write something, kept over the end of an agent.
//!
//! An agent that dies takes the knowledge of its leases with it, but not the mappings of its clients. So the processes
//! that ever took a lease or a reservation are written to a file of the host, each before its first grant, and the
//! next agent frees nothing that is older than itself before all of them have ended. The file is rewritten whole and
//! renamed into place: an agent killed at any point leaves the old one or the new one. The list in memory
//! is the file's: a process that could not be written is in neither. It need not outlive the host, whose processes end with
//! it: a boot id tells an older boot's file apart.
//!
//! ```text
//! farrow holders 2
//! boot 0c3d…
//! pid 4711 start 123456 uid 1000 ns 4026531836
//! ```
//!
//! A number means a process within its pid namespace. Those of other namespaces are kept, and never seen to end.
//!
//! One agent at a time has the file: it holds a lock on a file beside it (`.lock`) as long as it lives.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::OFlags;

use crate::lock_holder::{LockHolder, after_the_dying};
use crate::process::ProcessId;

const FIRST_LINE: &str = "farrow holders 2";

/// Without pid namespaces.
const FIRST_LINE_BEFORE: &str = "farrow holders 1";

/// The file of processes that may hold something, and its content.
#[derive(Debug)]
pub(crate) struct Holders {
    path: PathBuf,
    boot_id: String,
    /// The pid namespace of this process.
    namespace: u64,
    /// The user of each process.
    processes: BTreeMap<ProcessId, u32>,
    /// Processes of other pid namespaces: their namespace, and their user.
    elsewhere: Vec<(ProcessId, u32, u64)>,
    /// Device and inode of the file as it was read or written last; none if there was none.
    file: Option<(u64, u64)>,
    /// The file was found missing, and could not be written anew yet.
    lost: bool,
    _lock: File,
}

impl Holders {
    /// Reads the file at `path`, and keeps other agents from it; a missing one, or one of an earlier boot, holds nobody.
    ///
    /// # Errors
    /// Another agent has it. A file that cannot be read or understood: then nobody knows who still maps what, and
    /// nothing may be freed.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .context("read /proc/sys/kernel/random/boot_id")?
            .trim()
            .to_owned();
        let namespace = std::fs::metadata("/proc/self/ns/pid").context("look at /proc/self/ns/pid")?.ino();
        let lock = lock(path)?;
        let mut holders = Self {
            path: path.to_owned(),
            boot_id,
            namespace,
            processes: BTreeMap::new(),
            elsewhere: Vec::new(),
            file: None,
            lost: false,
            _lock: lock,
        };
        match options().read(true).open(path) {
            Ok(file) => holders.read(file).with_context(|| {
                format!(
                    "{} lists the processes of an earlier agent that may still map this region. \
                     Remove it only once none of them runs",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        }
        Ok(holders)
    }

    /// The processes, with their users.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (ProcessId, u32)> {
        self.processes.iter().map(|(id, uid)| (*id, *uid))
    }

    /// Returns how many processes of other pid namespaces there are, of which nobody here can know whether they run.
    pub(crate) fn elsewhere(&self) -> usize {
        self.elsewhere.len()
    }

    /// True if there is no file: nobody was ever put on record in this place, or it was removed.
    pub(crate) fn is_missing(&self) -> bool {
        self.file.is_none()
    }

    /// The file's path, for people.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a process and makes that last before it returns. After an error it is not on record.
    pub(crate) fn add(&mut self, id: ProcessId, uid: u32) -> std::io::Result<()> {
        if self.processes.contains_key(&id) && !self.lost {
            return Ok(());
        }
        let mut processes = self.processes.clone();
        processes.insert(id, uid);
        self.save(processes)
    }

    /// Takes out the processes that need not be on record. After an error all of them still are.
    pub(crate) fn retain(&mut self, needed: impl Fn(ProcessId) -> bool) -> std::io::Result<()> {
        if self.processes.keys().all(|id| needed(*id)) {
            return Ok(());
        }
        let mut processes = self.processes.clone();
        processes.retain(|id, _| needed(*id));
        self.save(processes)
    }

    /// Writes the file again if it is not there any more, or is another one. Returns whether it was so.
    pub(crate) fn restore(&mut self) -> std::io::Result<bool> {
        let there = match std::fs::symlink_metadata(&self.path) {
            Ok(found) => Some(identity(&found)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if there == self.file {
            return Ok(false);
        }
        self.lost = true;
        self.save(self.processes.clone()).map(|()| true)
    }

    fn save(&mut self, processes: BTreeMap<ProcessId, u32>) -> std::io::Result<()> {
        let mut text = format!("{FIRST_LINE}\nboot {}\n", self.boot_id);
        let own = processes.iter().map(|(id, uid)| (*id, *uid, self.namespace));
        for (ProcessId { pid, start_time }, uid, namespace) in own.chain(self.elsewhere.iter().copied()) {
            let _ = writeln!(text, "pid {pid} start {start_time} uid {uid} ns {namespace}");
        }
        let new = self.path.with_extension("new");
        // Left by an agent that was killed.
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Whoever could change it could have memory freed that is mapped.
        let mut file = options().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        // Some file systems say only now that there is no room.
        file.sync_data()?;
        let written = identity(&file.metadata()?);
        std::fs::rename(&new, &self.path)?;
        (self.processes, self.file, self.lost) = (processes, Some(written), false);
        Ok(())
    }

    fn read(&mut self, mut file: File) -> anyhow::Result<()> {
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        self.parse(&text)?;
        self.file = Some(identity(&file.metadata()?));
        Ok(())
    }

    fn parse(&mut self, text: &str) -> anyhow::Result<()> {
        let mut lines = text.lines();
        if !matches!(lines.next(), Some(FIRST_LINE | FIRST_LINE_BEFORE)) {
            bail!("line 1: expected {FIRST_LINE:?}");
        }
        let Some(boot_id) = lines.next().and_then(|line| line.strip_prefix("boot ")) else {
            bail!("line 2: expected \"boot ID\"");
        };
        if boot_id != self.boot_id {
            return Ok(());
        }
        for (number, line) in lines.enumerate() {
            let words: Vec<&str> = line.split(' ').collect();
            let &["pid", pid, "start", start_time, "uid", uid, ref namespace @ ..] = words.as_slice() else {
                bail!("line {}: expected \"pid N start N uid N ns N\", found {line:?}", number + 3);
            };
            let context = || format!("line {}: {line:?}", number + 3);
            let id = ProcessId {
                pid: pid.parse().with_context(context)?,
                start_time: start_time.parse().with_context(context)?,
            };
            let uid = uid.parse().with_context(context)?;
            let namespace = match namespace {
                [] => self.namespace,
                ["ns", namespace] => namespace.parse().with_context(context)?,
                _ => bail!("line {}: expected \"ns N\" at the end, found {line:?}", number + 3),
            };
            if namespace == self.namespace {
                self.processes.insert(id, uid);
            } else {
                self.elsewhere.push((id, uid, namespace));
            }
        }
        Ok(())
    }
}

/// Keeps other agents from the file at `path`, as long as what is returned lives.
fn lock(path: &Path) -> anyhow::Result<File> {
    let place = path.with_extension("lock");
    let file = options().write(true).create(true).mode(0o600).open(&place);
    let file = file.with_context(|| format!("make {}", place.display()))?;
    let locked = |error: &TryLockError| matches!(error, TryLockError::WouldBlock).then(|| place.clone());
    match after_the_dying(|| file.try_lock(), locked) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let holder = LockHolder::of(&place).map(|holder| holder.to_string());
            let holder = holder.unwrap_or_else(|| "another process".to_owned());
            bail!(
                "{} is locked by {holder}: it serves a region of the same UUID, of which one is a copy, and keeps on \
                 record there who maps it. Give this agent a directory of its own: --state-dir",
                place.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", place.display())),
    }
}

/// Returns how every file here is opened: a link in its place is an error.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn identity(found: &std::fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ONE: ProcessId = ProcessId { pid: 17, start_time: 1_000 };
    const TWO: ProcessId = ProcessId { pid: 18, start_time: 2_000 };

    #[test]
    fn processes_are_kept_over_a_restart_until_they_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holders");
        let mut holders = Holders::open(&path).unwrap();
        holders.add(ONE, 0).unwrap();
        holders.add(TWO, 1000).unwrap();
        holders.add(TWO, 1000).unwrap();

        drop(holders);
        let mut again = Holders::open(&path).unwrap();
        assert_eq!(again.processes().collect::<Vec<_>>(), [(ONE, 0), (TWO, 1000)]);
        again.retain(|id| id != ONE).unwrap();
        drop(again);
        assert_eq!(Holders::open(&path).unwrap().processes().collect::<Vec<_>>(), [(TWO, 1000)]);
    }

    /// A directory in the place of the file that is to be written next.
    fn blocked(path: &Path) -> PathBuf {
        let place = path.with_extension("new");
        std::fs::create_dir(&place).unwrap();
        place
    }

    #[test]
    fn a_process_that_cannot_be_put_on_record_is_refused_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holders");
        let mut holders = Holders::open(&path).unwrap();
        holders.add(ONE, 0).unwrap();
        let place = blocked(&path);
        for _ in 0..3 {
            holders.add(TWO, 1000).unwrap_err();
        }
        std::fs::remove_dir(place).unwrap();
        holders.add(TWO, 1000).unwrap();
        drop(holders);
        assert_eq!(Holders::open(&path).unwrap().processes().collect::<Vec<_>>(), [(ONE, 0), (TWO, 1000)]);
    }

    #[test]
    fn a_process_that_cannot_be_taken_off_the_record_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holders");
        let mut holders = Holders::open(&path).unwrap();
        holders.add(ONE, 0).unwrap();
        holders.add(TWO, 0).unwrap();
        let place = blocked(&path);
        holders.retain(|id| id != ONE).unwrap_err();
        assert_eq!(holders.processes().count(), 2, "as the file has it");
        std::fs::remove_dir(place).unwrap();
        holders.retain(|id| id != ONE).unwrap();
        drop(holders);
        assert_eq!(Holders::open(&path).unwrap().processes().collect::<Vec<_>>(), [(TWO, 0)]);
    }

    #[test]
    fn a_file_that_was_removed_or_replaced_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holders");
        let mut holders = Holders::open(&path).unwrap();
        assert!(!holders.restore().unwrap(), "there is none yet");
        holders.add(ONE, 0).unwrap();
        assert!(!holders.restore().unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(holders.restore().unwrap());
        std::fs::rename(&path, directory.path().join("moved")).unwrap();
        std::fs::write(&path, "of another agent\n").unwrap();
        assert!(holders.restore().unwrap());
        std::fs::remove_file(&path).unwrap();
        let place = blocked(&path);
        holders.restore().unwrap_err();
        holders.add(ONE, 0).expect_err("it was on record, and is not any more");
        std::fs::remove_dir(place).unwrap();
        holders.add(ONE, 0).unwrap();
        drop(holders);
        assert_eq!(Holders::open(&path).unwrap().processes().collect::<Vec<_>>(), [(ONE, 0)]);
    }

    #[test]
    fn one_agent_has_it_and_a_second_is_told_which() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holders");
        let first = Holders::open(&path).unwrap();
        let error = format!("{:#}", Holders::open(&path).unwrap_err());
        for part in [&format!("locked by process {} ", std::process::id()), "--state-dir", "holders.lock"] {
            assert!(error.contains(part), "{error}");
        }
        drop(first);
        Holders::open(&path).unwrap();
    }

    #[test]
    fn processes_of_another_pid_namespace_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holders");
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let text = format!("farrow holders 2\nboot {}\npid 1 start 2 uid 3 ns 4\n", boot.trim());
        std::fs::write(&path, text).unwrap();
        let mut holders = Holders::open(&path).unwrap();
        assert_eq!((holders.processes().count(), holders.elsewhere()), (0, 1));
        holders.add(ONE, 0).unwrap();
        holders.retain(|_| false).unwrap();
        drop(holders);
        let again = Holders::open(&path).unwrap();
        assert_eq!((again.processes().count(), again.elsewhere()), (0, 1));
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (directory.path().join("holders"), directory.path().join("victim"));
        std::fs::write(&victim, "kept").unwrap();
        let mut holders = Holders::open(&path).unwrap();
        std::os::unix::fs::symlink(&victim, path.with_extension("new")).unwrap();
        holders.add(ONE, 0).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        drop(holders);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        Holders::open(&path).unwrap_err();
    }

    #[test]
    fn another_boot_left_no_processes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holders");
        std::fs::write(&path, "farrow holders 1\nboot of-another-time\npid 1 start 2 uid 3\n").unwrap();
        assert_eq!(Holders::open(&path).unwrap().processes().count(), 0);
    }

    #[test]
    fn others_cannot_read_or_change_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holders");
        Holders::open(&path).unwrap().add(ONE, 0).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_not_understood_is_not_taken_for_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("holders");
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        for text in [
            "",
            "something else\n",
            &format!("farrow holders 1\nboot {}\npid x start 2 uid 3\n", boot.trim()),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", Holders::open(&path).unwrap_err());
            assert!(error.contains("may still map this region"), "{error}");
        }
    }
}
