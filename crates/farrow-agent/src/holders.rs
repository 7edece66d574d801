//! Which processes may still map or write something, kept over the end of an agent.
//!
//! An agent that dies takes the knowledge of its leases with it, but not the mappings of its clients. So the processes
//! that ever took a lease or a reservation are written to a file of the host, each before its first grant, and the
//! next agent frees nothing that is older than itself before all of them have ended. The file is rewritten whole and
//! renamed into place: an agent killed at any point leaves the old one or the new one. It need not outlive the host,
//! whose processes end with it: a boot id tells an older boot's file apart.
//!
//! ```text
//! farrow holders 1
//! boot 0c3d…
//! pid 4711 start 123456 uid 1000
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process::ProcessId;

const FIRST_LINE: &str = "farrow holders 1";

/// The file of processes that may hold something, and its content.
#[derive(Debug)]
pub(crate) struct Holders {
    path: PathBuf,
    boot_id: String,
    /// The user of each process.
    processes: BTreeMap<ProcessId, u32>,
}

impl Holders {
    /// Reads the file at `path`; a missing one, or one of an earlier boot, holds nobody.
    ///
    /// # Errors
    /// A file that cannot be read or understood: then nobody knows who still maps what, and nothing may be freed.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .context("read /proc/sys/kernel/random/boot_id")?
            .trim()
            .to_owned();
        let mut holders = Self { path: path.to_owned(), boot_id, processes: BTreeMap::new() };
        match std::fs::read_to_string(path) {
            Ok(text) => holders.parse(&text).with_context(|| {
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

    /// Adds a process and makes that last before it returns.
    pub(crate) fn add(&mut self, id: ProcessId, uid: u32) -> std::io::Result<()> {
        if self.processes.insert(id, uid).is_none() { self.save() } else { Ok(()) }
    }

    /// Takes out a process that has ended.
    pub(crate) fn remove(&mut self, id: ProcessId) -> std::io::Result<()> {
        if self.processes.remove(&id).is_some() { self.save() } else { Ok(()) }
    }

    fn save(&self) -> std::io::Result<()> {
        let mut text = format!("{FIRST_LINE}\nboot {}\n", self.boot_id);
        for (ProcessId { pid, start_time }, uid) in &self.processes {
            let _ = writeln!(text, "pid {pid} start {start_time} uid {uid}");
        }
        let new = self.path.with_extension("new");
        // Whoever could change it could have memory freed that is mapped.
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&new, &self.path)
    }

    fn parse(&mut self, text: &str) -> anyhow::Result<()> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
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
            let &["pid", pid, "start", start_time, "uid", uid] = words.as_slice() else {
                bail!("line {}: expected \"pid N start N uid N\", found {line:?}", number + 3);
            };
            let context = || format!("line {}: {line:?}", number + 3);
            let id = ProcessId {
                pid: pid.parse().with_context(context)?,
                start_time: start_time.parse().with_context(context)?,
            };
            self.processes.insert(id, uid.parse().with_context(context)?);
        }
        Ok(())
    }
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

        let mut again = Holders::open(&path).unwrap();
        assert_eq!(again.processes().collect::<Vec<_>>(), [(ONE, 0), (TWO, 1000)]);
        again.remove(ONE).unwrap();
        assert_eq!(Holders::open(&path).unwrap().processes().collect::<Vec<_>>(), [(TWO, 1000)]);
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
