//! A version as a famfs file of its own, for programs that know nothing of farrow.

use std::sync::Arc;

use famfs_format::{
    EntryBody, Extent, FILE_FLAGS, FileEntry, FileMap, FormatError, LogEntry, MkdirEntry, RelPath,
};
use farrow_region::Media;
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::frame::Version;
use crate::ledger::Ledger;
use crate::name::FrameRef;
use crate::view::find;
use crate::volume::{FARROW_DIR, Volume, media_ranges};

/// Bytes copied at a time.
const PIECE: usize = 1024 * 1024;

/// The result of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The version.
    pub version: Arc<Version>,
    /// The file that has its bytes now.
    pub file: FileEntry,
    /// Entries that the famfs log has room for after it.
    pub log_left: u64,
}

/// Copies a version into a famfs file of its own: one complete Arrow IPC file, which any program finds under the
/// mount. Directories on the way to it are made.
///
/// The file takes space outside the pool (see [`FormatOptions::reserve`](crate::FormatOptions::reserve)) and one
/// entry of the famfs log; famfs gives neither back. The bytes are persisted before the log names them, and an
/// entry before the header counts it: a crash leaves the log with the file or without it, and the log as
/// valid as before.
///
/// Nobody else may write the region meanwhile: the caller has it open for writing, and with it its lock.
///
/// # Errors
/// [`StoreError::NotMaster`] unless `host` is the region's master; [`StoreError::NotFarrow`];
/// [`StoreError::FrameNotFound`], [`StoreError::VersionGone`]; [`StoreError::ManySegments`];
/// [`StoreError::ExportPath`] for a path in farrow's own directory; [`StoreError::NoSpaceToExport`]; what famfs
/// refuses: a path that exists, a full log, a damaged log.
pub fn export(media: &dyn Media, host: Uuid, frame: &FrameRef, path: &RelPath) -> Result<Exported> {
    let mut volume = Volume::read(media)?;
    let master = volume.superblock.system_uuid;
    if host != master {
        return Err(StoreError::NotMaster { host, master });
    }
    volume.mend_counters(media)?;
    if let Some(fault) = volume.log_fault.take() {
        return Err(fault.into());
    }
    if path.as_str().split('/').next() == Some(FARROW_DIR) {
        return Err(StoreError::ExportPath { path: path.clone() });
    }
    let files = volume.farrow_files()?;
    let ledger = Ledger::replay(media, files.catalog, volume.superblock.uuid, &files.pools)?;
    let version = find(&ledger.state(), &frame.name, frame.version)?;
    let mut segments = version.segments.iter();
    let (Some(segment), None) = (segments.next(), segments.next()) else {
        let (name, version, segments) = (version.name.clone(), version.number, version.segments.len());
        return Err(StoreError::ManySegments { name, version, segments });
    };

    let to = volume.namespace.allocate(segment.len).map_err(|error| match error {
        FormatError::NoSpace { need, largest_free, free } => {
            StoreError::NoSpaceToExport { need, largest_free, free }
        }
        error => error.into(),
    })?;
    let map = FileMap::Simple(vec![to]);
    let file = FileEntry {
        path: path.clone(),
        size: segment.len,
        flags: FILE_FLAGS,
        uid: 0,
        gid: 0,
        mode: 0o644,
        map,
    };
    let entries = entries(&volume, &file)?;
    // All or nothing, as far as that can be known beforehand: every entry is tried, and the last has room.
    let mut trial = volume.namespace.clone();
    let mut header = volume.log.clone();
    for entry in &entries {
        trial.apply(entry)?;
        header = header.advanced()?;
    }

    copy(media, &media_ranges(&files.pools, &segment.extents)?, segment.len, &to)?;
    for entry in &entries {
        volume.append(media, entry)?;
    }
    Ok(Exported { version, file, log_left: header.capacity() - header.next_index() })
}

/// The entries that make `file` and the directories it still lacks.
fn entries(volume: &Volume, file: &FileEntry) -> Result<Vec<LogEntry>> {
    let mut bodies = vec![EntryBody::File(file.clone())];
    let mut dir = file.path.parent();
    while let Some(path) = dir.filter(|path| volume.namespace.dir(path).is_none()) {
        dir = path.parent();
        bodies.push(EntryBody::Mkdir(MkdirEntry { path, uid: 0, gid: 0, mode: 0o755 }));
    }
    Ok((volume.log.next_index()..)
        .zip(bodies.into_iter().rev())
        .map(|(seqnum, body)| LogEntry { seqnum, body })
        .collect())
}

/// Copies `len` bytes, and zeroes what is left of the file's extent: what lay there is nobody's business.
fn copy(media: &dyn Media, from: &[(u64, u64)], len: u64, to: &Extent) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    let (mut at, mut left) = (to.offset, len);
    for &(mut offset, run) in from {
        let mut run = run.min(left);
        left -= run;
        while run > 0 {
            let piece = first(&mut buffer, run);
            let done = piece.len() as u64;
            media.read_at(offset, piece)?;
            media.write_at(at, piece)?;
            (at, offset, run) = (at + done, offset + done, run - done);
        }
    }
    if left > 0 {
        return Err(StoreError::Internal { what: "the extents of a segment have its bytes" });
    }
    buffer.fill(0);
    let end = to.offset.saturating_add(to.len);
    while at < end {
        let piece = first(&mut buffer, end - at);
        media.write_at(at, piece)?;
        at += piece.len() as u64;
    }
    Ok(media.persist(to.offset, to.len)?)
}

/// The first `len` bytes of the buffer, or all of it.
fn first(buffer: &mut [u8], len: u64) -> &mut [u8] {
    let len = usize::try_from(len).map_or(buffer.len(), |len| len.min(buffer.len()));
    &mut buffer[..len]
}
