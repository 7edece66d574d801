//! `farrow mkfs`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use famfs_format::{FormatError, FormatVersion, MIN_DEVICE_LEN};
use farrow_region::shell::operand;
use farrow_region::{Access, FileMedia, Media};
use farrow_store::{FamfsTools, FormatOptions, FormatReport, HostId, Mount, MountOptions, Store, StoreError};

use crate::args::{Mkfs, variable};
use crate::exit::Failure;
use crate::output;

pub(crate) fn run(args: &Mkfs) -> anyhow::Result<()> {
    let host = HostId::discover(args.system_uuid_file.as_deref())?;
    if let Some(mount) = Mount::find(&args.path)? {
        return on_mount(args, &mount, MountOptions::new(host));
    }
    let mut options = FormatOptions {
        reserve: args.reserve.0,
        device_path: args.path.as_os_str().as_encoded_bytes().to_vec(),
        force: args.force,
        catalog_len: args.catalog.map(|len| len.0),
        ..FormatOptions::new(host)
    };
    options.log_len = args.log_len.map_or(options.log_len, |len| len.0);
    options.version = args.omf.map_or(options.version, FormatVersion::from);
    let size = args.size.map(|size| size.0);
    let (media, report) = match std::fs::metadata(&args.path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let size = size.with_context(|| {
                let path = args.path.display();
                format!(
                    "{path}: there is no such file, and no size to make it with. Try: `farrow mkfs --size 1GiB {}`",
                    operand(&path)
                )
            })?;
            check(&options, &args.path, size)?;
            let media = FileMedia::create(&args.path, size, false)?;
            let report =
                Store::format(&media, &options).inspect_err(|_| remove(&args.path)).map_err(understood)?;
            (media, report)
        }
        Ok(found) if size.is_some_and(|size| !found.is_file() || size != found.len()) => {
            if found.is_file() && !args.force {
                bail!(
                    "{} has {}, and {} was asked for: say --force to replace it with everything in it",
                    args.path.display(),
                    output::size(found.len()),
                    output::size(size.unwrap_or_default())
                );
            }
            let size = size.unwrap_or_default();
            if found.is_file() {
                // Creating the new file removes the old one, and with it the region in it.
                check(&options, &args.path, size)?;
            }
            // A device is refused here: it has its size.
            let media = FileMedia::create(&args.path, size, args.force)?;
            let report = Store::format(&media, &options).map_err(understood)?;
            (media, report)
        }
        // What cannot be looked at cannot be opened either, and the opening says why.
        _ => {
            let media = FileMedia::open(&args.path, Access::ReadWrite)?;
            let report = Store::format(&media, &options).map_err(understood)?;
            (media, report)
        }
    };
    tell(&args.path, &media, &report);
    Ok(())
}

/// Makes farrow's files on a famfs that is there already.
fn on_mount(args: &Mkfs, mount: &Mount, options: MountOptions) -> anyhow::Result<()> {
    let place = args.path.display();
    for (option, given) in [("--log-len", args.log_len.is_some()), ("--omf", args.omf.is_some())] {
        if given {
            bail!("{option}: the famfs mounted at {place} is there already; mkfs.famfs decided that");
        }
    }
    if args.size.is_some() && args.reserve.0 > 0 {
        bail!(
            "on a mounted famfs --size says how large the pool is, and --reserve what it leaves: give one of them"
        );
    }
    let options = MountOptions {
        pool_len: args.size.map(|size| size.0),
        reserve: args.reserve.0,
        force: args.force,
        catalog_len: args.catalog.map(|len| len.0),
        ..options
    };
    let famfs = args.famfs.clone().or_else(|| variable("FARROW_FAMFS").map(PathBuf::from));
    let famfs = famfs.unwrap_or_else(|| "famfs".into());
    let report = mount.format(&FamfsTools::new(&famfs), &options)?;
    if report.replaced.is_some() {
        output::note("the frames that were in it are gone");
    }
    output::note(format_args!(
        "{place}: region {} on a mounted famfs, {} of it for frames, {} for their catalog, {} in no file",
        report.superblock.uuid,
        output::size(report.pool_len),
        output::size(report.catalog_len),
        output::size(report.unpooled),
    ));
    Ok(())
}

fn tell(path: &Path, media: &FileMedia, report: &FormatReport) {
    let media_len = media.len();
    if let Some(replaced) = report.replaced {
        output::note(format_args!("region {replaced} is gone"));
    }
    output::note(format_args!(
        "{}: region {} of {}, {} of them for frames, {} for their catalog",
        path.display(),
        report.superblock.uuid,
        output::size(media_len),
        output::size(report.pool_len),
        output::size(report.catalog_len),
    ));
    if report.unpooled > 0 {
        output::note(format_args!(
            "{} are left outside the pool for other files",
            output::size(report.unpooled)
        ));
    }
    match media.page_use() {
        Ok(pages) => {
            let advice = pages.advice().map(|advice| format!(". {advice}")).unwrap_or_default();
            output::note(format_args!("{pages}{advice}"));
        }
        Err(error) => output::note(format_args!("by which pages it is mapped is not known: {error}")),
    }
    if media_len < MIN_DEVICE_LEN {
        output::note(format_args!(
            "note: famfs's own tools take no device under {}; farrow does",
            output::size(MIN_DEVICE_LEN)
        ));
    }
}

/// Checks what is asked for before anything is made or removed.
fn check(options: &FormatOptions, path: &Path, size: u64) -> anyhow::Result<()> {
    options.check(&path.display().to_string(), size).map_err(understood)
}

/// The log's length is the one thing that may be wrong about the superblock of a region that is not there yet.
fn understood(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Famfs(error @ FormatError::LogLen { .. }) => Failure::usage(error.to_string()).into(),
        error => error.into(),
    }
}

/// A file that could not be made into a region is not left behind.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        output::note(format_args!("{}: left behind: {error}", path.display()));
    }
}
