//! `farrow cat`

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use famfs_format::{FileEntry, RelPath};
use farrow_region::shell::operand;
use farrow_store::{Mount, read_log};

use crate::args::Cat;
use crate::exit::Failure;
use crate::medium::Medium;
use crate::output;

/// Bytes read at a time.
const PIECE: usize = 1024 * 1024;

pub(crate) fn run(args: &Cat) -> anyhow::Result<()> {
    let path = RelPath::parse(&args.file).with_context(|| format!("{:?}", args.file))?;
    let media = Medium::open_log(&args.path)?;
    let named = || args.path.display().to_string();
    let log = read_log(&*media)?;
    let Some(namespace) = &log.namespace else {
        let problems: Vec<String> = log.problems.iter().map(ToString::to_string).collect();
        return Err(Failure::corrupt(format!("{}: {}", named(), problems.join("; "))).into());
    };
    for problem in &log.problems {
        output::note(format_args!("note: {}: {problem}", named()));
    }
    let Some(file) = namespace.file(&path) else {
        if namespace.dir(&path).is_some() {
            bail!("{path} in {} is a directory", named());
        }
        let message =
            format!("no file {path} in {}. Try: `farrow log {}`", named(), operand(args.path.display()));
        // Of a damaged log, what is not there may have been lost.
        let lost = !log.problems.is_empty();
        return Err(if lost { Failure::corrupt(message) } else { Failure::not_found(message) }.into());
    };
    if let Some(mount) = Mount::find(&args.path)? {
        return copy(&mount.path_of(&path), file);
    }
    // Said before the first byte and not after the last that is there.
    for extent in file.map.extents() {
        if extent.end().is_none_or(|end| end > media.len()) {
            let message = format!(
                "{path}: extent {extent} is not within {}, which has {:#x} bytes: is it the whole device?",
                named(),
                media.len()
            );
            return Err(Failure::corrupt(message).into());
        }
    }
    let mut out = std::io::stdout().lock();
    let mut buffer = vec![0; PIECE];
    for (mut offset, mut left) in file.runs() {
        media.refresh(offset, left)?;
        while left > 0 {
            let len = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let piece = &mut buffer[..len];
            media.read_at(offset, piece)?;
            out.write_all(piece)?;
            (offset, left) = (offset + len as u64, left - len as u64);
        }
    }
    Ok(out.flush()?)
}

/// Copies a file under a mount.
fn copy(path: &Path, file: &FileEntry) -> anyhow::Result<()> {
    let named = || path.display().to_string();
    let source = File::open(path).with_context(named)?;
    let len = source.metadata().with_context(named)?.len();
    if len != file.size {
        bail!(
            "{} has {len} bytes, and the famfs log says {}. Try: `umount MOUNT`, then `famfs mount DEVICE \
             MOUNT`",
            named(),
            file.size
        );
    }
    let mut out = std::io::stdout().lock();
    std::io::copy(&mut source.take(len), &mut out)?;
    Ok(out.flush()?)
}
