//! Memory of processes, and of the machine.

use anyhow::{Context, ensure};

/// Bytes of private memory that are resident: without what is mapped of the region (RssAnon, proc(5)).
pub(crate) fn private() -> anyhow::Result<u64> {
    field("/proc/self/status", "RssAnon:")
}

/// The same of another process.
pub(crate) fn private_of(pid: u32) -> anyhow::Result<u64> {
    field(&format!("/proc/{pid}/status"), "RssAnon:")
}

/// Bytes that count as `pid`'s: pages that are shared count in equal parts for all who map them (Pss, proc(5)).
pub(crate) fn proportional(pid: u32) -> anyhow::Result<u64> {
    field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// Refuses to go on where it would take what others use.
pub(crate) fn ensure_available(bytes: u64) -> anyhow::Result<()> {
    let available = field("/proc/meminfo", "MemAvailable:")?;
    ensure!(
        bytes <= available / 10 * 9,
        "this takes {} MiB of memory, and {} MiB are available. Try: smaller sizes (--help)",
        bytes >> 20,
        available >> 20,
    );
    Ok(())
}

/// A line of a file of /proc, in KiB there.
fn field(path: &str, name: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .with_context(|| format!("{name} is not in {path}"))?
        .parse()
        .with_context(|| format!("{name} in {path}"))?;
    Ok(kib * 1024)
}
