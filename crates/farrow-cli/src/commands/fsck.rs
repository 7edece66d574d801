//! `farrow fsck`

use std::process::ExitCode;

use farrow_region::counted;
use farrow_store::{Report, check};
use serde::Serialize;

use crate::args::Fsck;
use crate::medium::Medium;
use crate::output;

pub(crate) fn run(args: &Fsck) -> ExitCode {
    let report = Medium::open(&args.path).and_then(|media| Ok(check(&*media)?));
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            output::error(&error);
            return ExitCode::from(2);
        }
    };
    let told = if args.json { output::json(&summary(&report)) } else { tell(args, &report) };
    match told {
        Err(error) if !output::is_broken_pipe(&error) => {
            output::error(&error);
            ExitCode::from(2)
        }
        _ if report.is_clean() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn tell(args: &Fsck, report: &Report) -> anyhow::Result<()> {
    for problem in &report.problems {
        output::line(format_args!("problem: {problem}"))?;
    }
    if let Some(superblock) = &report.superblock {
        let (log_entries, log_capacity) = (report.log_entries, report.log_capacity);
        output::line(format_args!(
            "famfs: region {}, {}, {log_entries} of {log_capacity} log entries, {}, {}",
            superblock.uuid,
            output::size(superblock.device_len),
            counted(report.files, "file"),
            counted(report.dirs, "directory")
        ))?;
    }
    let unnamed =
        report.unnamed.iter().map(|file| format!("{}: as a frame's name {}", file.path, file.fault));
    let hidden = report.hidden.iter().map(|name| format!("`{name}`: farrow has a frame of that name"));
    for file in unnamed.chain(hidden) {
        output::line(format_args!("note: Arrow file not served, {file}"))?;
    }
    if let Some(catalog) = &report.catalog {
        let usage = &catalog.usage;
        output::line(format_args!(
            "farrow: {}, {}, {} served, {} used, {} held, {} reserved, {} free",
            counted(usage.frames, "frame"),
            counted(usage.versions, "version"),
            counted(report.foreign, "famfs file"),
            output::size(usage.used),
            output::size(usage.held),
            output::size(usage.reserved),
            output::size(usage.free)
        ))?;
    }
    let found = match report.problems.len() {
        0 => "clean".to_owned(),
        count => counted(count, "problem").to_string(),
    };
    Ok(output::line(format_args!("{}: {found}", args.path.display()))?)
}

#[derive(Serialize)]
struct Summary {
    clean: bool,
    problems: Vec<String>,
    region: Option<String>,
    log_entries: u64,
    log_capacity: u64,
    files: u64,
    dirs: u64,
    /// Arrow files of other programs: those that are served, and the paths of those that are not.
    foreign: u64,
    not_served: Vec<String>,
    catalog: Option<Catalog>,
}

#[derive(Serialize)]
struct Catalog {
    epoch: u64,
    seq: u64,
    frames: u64,
    versions: u64,
    segments: u64,
    reservations: u64,
    pool_bytes: u64,
    used: u64,
    held: u64,
    reserved: u64,
    free: u64,
    largest_free: u64,
}

fn summary(report: &Report) -> Summary {
    Summary {
        clean: report.is_clean(),
        problems: report.problems.iter().map(ToString::to_string).collect(),
        region: report.superblock.as_ref().map(|superblock| superblock.uuid.to_string()),
        log_entries: report.log_entries,
        log_capacity: report.log_capacity,
        files: report.files,
        dirs: report.dirs,
        foreign: report.foreign,
        not_served: report
            .unnamed
            .iter()
            .map(|file| file.path.as_str().to_owned())
            .chain(report.hidden.iter().map(|name| name.as_str().to_owned()))
            .collect(),
        catalog: report.catalog.as_ref().map(|catalog| Catalog {
            epoch: catalog.epoch,
            seq: catalog.seq,
            frames: catalog.usage.frames,
            versions: catalog.usage.versions,
            segments: catalog.segments,
            reservations: catalog.reservations,
            pool_bytes: catalog.usage.pool_bytes,
            used: catalog.usage.used,
            held: catalog.usage.held,
            reserved: catalog.usage.reserved,
            free: catalog.usage.free,
            largest_free: catalog.usage.largest_free,
        }),
    }
}
