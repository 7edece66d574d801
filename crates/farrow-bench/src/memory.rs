//! What this process has on its heap.

use anyhow::Context;

/// Bytes of private memory that are resident: without what is mapped of the region (RssAnon, proc(5)).
pub(crate) fn private() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .context("RssAnon is not in /proc/self/status")?
        .parse()
        .context("RssAnon of /proc/self/status")?;
    Ok(kib * 1024)
}
