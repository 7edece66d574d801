//! `farrow df`

use serde::Serialize;

use crate::args::Df;
use crate::output;

pub(crate) fn run(args: &Df) -> anyhow::Result<()> {
    let usage = args.agent.connect()?.usage()?;
    if args.json {
        return output::json(&Usage {
            pool_bytes: usage.pool_bytes,
            used: usage.used,
            held: usage.held,
            reserved: usage.reserved,
            free: usage.free,
            largest_free: usage.largest_free,
            frames: usage.frames,
            versions: usage.versions,
            leases: usage.leases,
            catalog_bytes: usage.catalog_bytes,
            catalog_committed: usage.catalog_committed,
            log_entries: usage.log_entries,
            log_capacity: usage.log_capacity,
        });
    }
    let row = |what: &str, bytes: u64, remark: String| [what.to_owned(), output::size(bytes), remark];
    let of = |part: u64, whole: u64| format!("of {}", whole.max(part));
    let rows = [
        row("pool", usage.pool_bytes, String::new()),
        row("used", usage.used, format!("{} frames, {} versions", usage.frames, usage.versions)),
        row("held", usage.held, format!("dropped, but still mapped; {} leases in all", usage.leases)),
        row("reserved", usage.reserved, "being written".to_owned()),
        row("free", usage.free, format!("largest extent {}", output::size(usage.largest_free))),
        row("catalog", usage.catalog_committed, format!("of {}", output::size(usage.catalog_bytes))),
        [
            "famfs log".to_owned(),
            usage.log_entries.to_string(),
            of(usage.log_entries, usage.log_capacity) + " entries",
        ],
    ];
    Ok(output::table(["", "bytes", ""], [false, true, false], &rows)?)
}

#[derive(Serialize)]
struct Usage {
    pool_bytes: u64,
    used: u64,
    held: u64,
    reserved: u64,
    free: u64,
    largest_free: u64,
    frames: u64,
    versions: u64,
    leases: u64,
    catalog_bytes: u64,
    catalog_committed: u64,
    log_entries: u64,
    log_capacity: u64,
}
