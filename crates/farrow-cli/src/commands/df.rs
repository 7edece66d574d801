//! `farrow df`

use std::path::Path;

use farrow_region::PageUse;
use farrow_store::{check, read_log};
use serde::Serialize;

use crate::args::{Agent, Df};
use crate::exit::Failure;
use crate::medium::Medium;
use crate::output;

pub(crate) fn run(args: &Df, agent: &Agent) -> anyhow::Result<()> {
    let usage = match &args.path {
        Some(path) => of_medium(path)?,
        None => of_agent(agent)?,
    };
    if args.json { output::json(&usage) } else { tell(&usage) }
}

/// The figures of an agent, and those that can be had without one. Bytes.
#[derive(Default, Serialize)]
struct Usage {
    /// Figures that only a look at the medium tells.
    #[serde(flatten)]
    device: Option<Device>,
    /// Figures that only farrow's catalog tells.
    #[serde(flatten)]
    pool: Option<Pool>,
    /// A figure that only an agent knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    leases: Option<u64>,
    /// The most that `farrow grow` can add. Without an agent `largest_unallocated` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    growable: Option<u64>,
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
    /// Memory that is faulted in after superblock, log and catalog were read, and the part of it in huge pages.
    resident_bytes: u64,
    huge_bytes: u64,
    /// Of those, a device's memory behind a file system: by which pages the kernel does not say.
    direct_bytes: u64,
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
    catalog_live: u64,
}

fn of_agent(agent: &Agent) -> anyhow::Result<Usage> {
    let usage = agent.connect()?.usage()?;
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
            catalog_live: usage.catalog_live,
        }),
        leases: Some(usage.leases),
        growable: Some(usage.growable),
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
            direct_bytes: pages.direct,
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
            catalog_live: usage.catalog_live,
        }),
        leases: None,
        growable: None,
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
        rows.push(row("files", device.file_bytes, output::counted(device.files, "file")));
        let largest = output::size(device.largest_unallocated);
        rows.push(row("unallocated", device.unallocated, format!("in no file; largest range {largest}")));
        let (mapped, huge, direct) = (device.resident_bytes, device.huge_bytes, device.direct_bytes);
        let advice = PageUse { mapped, huge, resident: mapped, direct }.advice();
        let advice = advice.map(|advice| format!(". {advice}")).unwrap_or_default();
        let of = format!("of {} read just now{advice}", output::size(mapped));
        rows.push(match direct {
            0 => row("huge pages", huge, of),
            _ => row("device's memory", direct, format!("mapped directly, {of}")),
        });
    }
    if let Some(pool) = &usage.pool {
        let held = match usage.leases {
            Some(leases) => {
                format!("dropped, but still mapped; {} in all", output::counted(leases, "lease"))
            }
            None => "dropped, but not freed by an agent yet".to_owned(),
        };
        rows.push(row("pool", pool.pool_bytes, String::new()));
        let (frames, versions) =
            (output::counted(pool.frames, "frame"), output::counted(pool.versions, "version"));
        rows.push(row("used", pool.used, format!("{frames}, {versions}")));
        rows.push(row("held", pool.held, held));
        rows.push(row("reserved", pool.reserved, "being written".to_owned()));
        rows.push(row("free", pool.free, format!("largest extent {}", output::size(pool.largest_free))));
        let (of, written) = (output::size(pool.catalog_bytes), output::size(pool.catalog_committed));
        rows.push(row(
            "catalog",
            pool.catalog_live,
            format!("of {of}, one of two halves; {written} until it is compacted"),
        ));
    }
    if let Some(growable) = usage.growable.filter(|&growable| growable > 0) {
        rows.push(row("unallocated", growable, "`farrow grow` adds up to so much".to_owned()));
    }
    rows.push([
        "famfs log".to_owned(),
        usage.log_entries.to_string(),
        format!("of {} entries", usage.log_capacity),
    ]);
    Ok(output::table(["", "bytes", ""], [false, true, false], &rows)?)
}
