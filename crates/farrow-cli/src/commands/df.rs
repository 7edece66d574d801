//! `farrow df`

use std::path::Path;

use farrow_region::PageUse;
use farrow_store::{check, read_log};
use serde::Serialize;

use crate::args::Df;
use crate::exit::Failure;
use crate::medium::Medium;
use crate::output;

pub(crate) fn run(args: &Df) -> anyhow::Result<()> {
    let usage = match &args.path {
        Some(path) => of_medium(path)?,
        None => of_agent(args)?,
    };
    if args.json { output::json(&usage) } else { tell(&usage) }
}

/// What an agent says, and what can be seen without one. Bytes.
#[derive(Default, Serialize)]
struct Usage {
    /// What only a look at the medium tells.
    #[serde(flatten)]
    device: Option<Device>,
    /// What only farrow's catalog tells.
    #[serde(flatten)]
    pool: Option<Pool>,
    /// What only an agent knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    leases: Option<u64>,
    log_entries: u64,
    log_capacity: u64,
}

#[derive(Serialize)]
struct Device {
    device_bytes: u64,
    /// Superblock and log.
    metadata_bytes: u64,
    /// Space of files, the pool among them, in allocation units.
    file_bytes: u64,
    files: u64,
    /// Space of no file.
    unallocated: u64,
    largest_unallocated: u64,
    /// What was read just now, in whole pages, and how much of it lies in huge ones.
    resident_bytes: u64,
    huge_bytes: u64,
}

#[derive(Serialize)]
struct Pool {
    pool_bytes: u64,
    used: u64,
    held: u64,
    reserved: u64,
    free: u64,
    largest_free: u64,
    frames: u64,
    versions: u64,
    catalog_bytes: u64,
    catalog_committed: u64,
}

fn of_agent(args: &Df) -> anyhow::Result<Usage> {
    let usage = args.agent.connect()?.usage()?;
    Ok(Usage {
        device: None,
        pool: Some(Pool {
            pool_bytes: usage.pool_bytes,
            used: usage.used,
            held: usage.held,
            reserved: usage.reserved,
            free: usage.free,
            largest_free: usage.largest_free,
            frames: usage.frames,
            versions: usage.versions,
            catalog_bytes: usage.catalog_bytes,
            catalog_committed: usage.catalog_committed,
        }),
        leases: Some(usage.leases),
        log_entries: usage.log_entries,
        log_capacity: usage.log_capacity,
    })
}

fn of_medium(path: &Path) -> anyhow::Result<Usage> {
    let media = Medium::open(path)?;
    let log = read_log(&*media)?;
    let (Some(superblock), Some(header), Some(namespace)) = (&log.superblock, &log.header, &log.namespace)
    else {
        let problems: Vec<String> = log.problems.iter().map(ToString::to_string).collect();
        return Err(Failure::corrupt(format!("{}: {}", path.display(), problems.join("; "))).into());
    };
    let report = check(&*media)?;
    for problem in &report.problems {
        output::note(format_args!("note: {}: {problem}", path.display()));
    }
    let pages = media.page_use()?.of_resident();
    let unallocated = namespace.free_bytes();
    Ok(Usage {
        device: Some(Device {
            device_bytes: superblock.device_len,
            metadata_bytes: superblock.data_offset(),
            file_bytes: (superblock.device_len - superblock.data_offset()).saturating_sub(unallocated),
            files: namespace.files().len() as u64,
            unallocated,
            largest_unallocated: namespace.largest_free(),
            resident_bytes: pages.resident,
            huge_bytes: pages.huge,
        }),
        pool: report.catalog.map(|catalog| catalog.usage).map(|usage| Pool {
            pool_bytes: usage.pool_bytes,
            used: usage.used,
            held: usage.held,
            reserved: usage.reserved,
            free: usage.free,
            largest_free: usage.largest_free,
            frames: usage.frames,
            versions: usage.versions,
            catalog_bytes: usage.catalog_bytes,
            catalog_committed: usage.catalog_committed,
        }),
        leases: None,
        log_entries: header.next_index(),
        log_capacity: header.capacity(),
    })
}

fn tell(usage: &Usage) -> anyhow::Result<()> {
    let row = |what: &str, bytes: u64, remark: String| [what.to_owned(), output::size(bytes), remark];
    let mut rows = Vec::new();
    if let Some(device) = &usage.device {
        rows.push(row("device", device.device_bytes, String::new()));
        rows.push(row("superblock, log", device.metadata_bytes, String::new()));
        rows.push(row("files", device.file_bytes, format!("{} files", device.files)));
        let largest = output::size(device.largest_unallocated);
        rows.push(row("unallocated", device.unallocated, format!("in no file; largest range {largest}")));
        let (mapped, huge) = (device.resident_bytes, device.huge_bytes);
        let advice = PageUse { mapped, huge, resident: mapped }.advice();
        let advice = advice.map(|advice| format!(". {advice}")).unwrap_or_default();
        rows.push(row("huge pages", huge, format!("of {} read just now{advice}", output::size(mapped))));
    }
    if let Some(pool) = &usage.pool {
        let held = match usage.leases {
            Some(leases) => format!("dropped, but still mapped; {leases} leases in all"),
            None => "dropped, but not freed by an agent yet".to_owned(),
        };
        rows.push(row("pool", pool.pool_bytes, String::new()));
        rows.push(row("used", pool.used, format!("{} frames, {} versions", pool.frames, pool.versions)));
        rows.push(row("held", pool.held, held));
        rows.push(row("reserved", pool.reserved, "being written".to_owned()));
        rows.push(row("free", pool.free, format!("largest extent {}", output::size(pool.largest_free))));
        rows.push(row("catalog", pool.catalog_committed, format!("of {}", output::size(pool.catalog_bytes))));
    }
    rows.push([
        "famfs log".to_owned(),
        usage.log_entries.to_string(),
        format!("of {} entries", usage.log_capacity),
    ]);
    Ok(output::table(["", "bytes", ""], [false, true, false], &rows)?)
}
