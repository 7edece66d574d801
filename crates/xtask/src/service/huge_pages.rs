//! Huge pages that the kernel keeps for the checks.

use anyhow::{Context, ensure};
use xshell::Shell;

const NUMBER: &str = "/proc/sys/vm/nr_hugepages";

/// Given back when this is dropped.
pub(super) struct HugePages<'a> {
    shell: &'a Shell,
    before: u64,
}

impl<'a> HugePages<'a> {
    /// Has the kernel keep `count` more.
    pub(super) fn keep(shell: &'a Shell, count: u64) -> anyhow::Result<Self> {
        let number = || -> anyhow::Result<u64> { Ok(shell.read_file(NUMBER)?.trim().parse()?) };
        let before = number().with_context(|| format!("read {NUMBER}"))?;
        let pages = Self { shell, before };
        shell.write_file(NUMBER, (before + count).to_string())?;
        ensure!(number()? == before + count, "the kernel has no {count} huge pages");
        Ok(pages)
    }
}

impl Drop for HugePages<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.shell.write_file(NUMBER, self.before.to_string()) {
            eprintln!("{NUMBER} stays as it is: {error}");
        }
    }
}
