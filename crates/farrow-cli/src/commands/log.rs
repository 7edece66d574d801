//! `farrow log`

use std::process::ExitCode;

use famfs_format::{EntryBody, Extent, FileMap, LogEntry, Superblock};
use farrow_store::{FamfsLog, read_log};
use serde::Serialize;

use crate::args::Log;
use crate::medium::Medium;
use crate::output;

pub(crate) fn run(args: &Log) -> ExitCode {
    let log = Medium::open_log(&args.path).and_then(|media| Ok(read_log(&*media)?));
    let log = match log {
        Ok(log) => log,
        Err(error) => {
            output::error(&error);
            return ExitCode::from(2);
        }
    };
    let told = if args.json { output::json(&document(&log)) } else { tell(&log) };
    match told {
        Err(error) if !output::is_broken_pipe(&error) => {
            output::error(&error);
            ExitCode::from(2)
        }
        _ if log.problems.is_empty() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn tell(log: &FamfsLog) -> anyhow::Result<()> {
    if let Some(superblock) = &log.superblock {
        let counted = log.header.as_ref().map_or_else(
            || "an unknown number".to_owned(),
            |header| format!("{} of {}", header.next_index(), header.capacity()),
        );
        output::line(format_args!(
            "famfs version {}: region {}, master {}, {}, log of {}, {counted} entries",
            superblock.version,
            superblock.uuid,
            superblock.system_uuid,
            output::size(superblock.device_len),
            output::size(superblock.log_len),
        ))?;
        let rows: Vec<_> = log.entries.iter().map(row).collect();
        let heading = ["index", "type", "mode", "uid", "gid", "bytes", "path", "extents"];
        output::table(heading, [true, false, true, true, true, true, false, false], &rows)?;
    }
    for problem in &log.problems {
        output::line(format_args!("problem: {problem}"))?;
    }
    Ok(())
}

fn row(entry: &LogEntry) -> [String; 8] {
    let index = entry.seqnum.to_string();
    let path = entry.path().map(ToString::to_string).unwrap_or_default();
    match &entry.body {
        EntryBody::File(file) => [
            index,
            "file".to_owned(),
            mode(file.mode),
            file.uid.to_string(),
            file.gid.to_string(),
            file.size.to_string(),
            path,
            places(&file.map),
        ],
        EntryBody::Mkdir(dir) => [
            index,
            "mkdir".to_owned(),
            mode(dir.mode),
            dir.uid.to_string(),
            dir.gid.to_string(),
            String::new(),
            path,
            String::new(),
        ],
        EntryBody::AddDaxdev(device) => [
            index,
            "add_daxdev".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            device.size.to_string(),
            String::new(),
            format!("device {} {}", device.index, device.uuid),
        ],
    }
}

/// `0xa00000+0x200000`, several joined by commas.
fn places(map: &FileMap) -> String {
    let extents: Vec<String> =
        map.extents().iter().map(|e| format!("{:#x}+{:#x}", e.offset, e.len)).collect();
    match map {
        FileMap::Simple(_) => extents.join(","),
        FileMap::Interleaved { chunk_size, .. } => {
            format!("chunks of {} over {}", output::size(*chunk_size), extents.join(","))
        }
    }
}

/// In octal, as chmod takes it.
fn mode(mode: u32) -> String {
    format!("0{mode:o}")
}

#[derive(Serialize)]
struct Document {
    superblock: Option<SuperblockJson>,
    entries: Vec<EntryJson>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct SuperblockJson {
    version: u64,
    omf: String,
    log_len: u64,
    uuid: String,
    dev_uuid: String,
    system_uuid: String,
    dd_size: u64,
}

/// Fields that a type does not have are left out.
#[derive(Default, Serialize)]
struct EntryJson {
    index: u64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Octal, in text: `0644`.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extents: Option<Vec<ExtentJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strips: Option<Vec<ExtentJson>>,
    /// The number of an added device.
    #[serde(skip_serializing_if = "Option::is_none")]
    dev: Option<u32>,
    /// The UUID of an added device.
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
}

#[derive(Serialize)]
struct ExtentJson {
    dev: u64,
    offset: u64,
    len: u64,
}

fn document(log: &FamfsLog) -> Document {
    Document {
        superblock: log.superblock.as_ref().map(superblock_json),
        entries: log.entries.iter().map(entry_json).collect(),
        problems: log.problems.iter().map(ToString::to_string).collect(),
    }
}

fn superblock_json(superblock: &Superblock) -> SuperblockJson {
    let (major, minor) = superblock.version.omf();
    SuperblockJson {
        version: superblock.version.number(),
        omf: format!("{major}.{minor}"),
        log_len: superblock.log_len,
        uuid: superblock.uuid.to_string(),
        dev_uuid: superblock.dev_uuid.to_string(),
        system_uuid: superblock.system_uuid.to_string(),
        dd_size: superblock.device_len,
    }
}

fn entry_json(entry: &LogEntry) -> EntryJson {
    let path = entry.path().map(|path| path.as_str().to_owned());
    let common = EntryJson { index: entry.seqnum, path, ..EntryJson::default() };
    match &entry.body {
        EntryBody::File(file) => {
            let places = Some(file.map.extents().iter().map(extent_json).collect());
            let (extents, strips, chunk_size) = match &file.map {
                FileMap::Simple(_) => (places, None, None),
                FileMap::Interleaved { chunk_size, .. } => (None, places, Some(*chunk_size)),
            };
            EntryJson {
                r#type: "file",
                size: Some(file.size),
                mode: Some(mode(file.mode)),
                uid: Some(file.uid),
                gid: Some(file.gid),
                extents,
                strips,
                chunk_size,
                ..common
            }
        }
        EntryBody::Mkdir(dir) => EntryJson {
            r#type: "mkdir",
            mode: Some(mode(dir.mode)),
            uid: Some(dir.uid),
            gid: Some(dir.gid),
            ..common
        },
        EntryBody::AddDaxdev(device) => EntryJson {
            r#type: "add_daxdev",
            size: Some(device.size),
            dev: Some(device.index),
            uuid: Some(device.uuid.to_string()),
            ..common
        },
    }
}

fn extent_json(extent: &Extent) -> ExtentJson {
    ExtentJson { dev: extent.dev_index, offset: extent.offset, len: extent.len }
}
