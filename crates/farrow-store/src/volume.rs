//! Farrow's files in a famfs file system.

use famfs_format::{
    ENTRY_LEN, FileEntry, FormatError, LOG_HEADER_LEN, LOG_OFFSET, LogEntry, LogHeader, Namespace, RelPath,
    SUPERBLOCK_LEN, Superblock, entry_offset,
};
use farrow_region::{Media, RegionError};

use crate::allocator::PAGE;
use crate::catalog::CatalogFault;
use crate::error::{Result, StoreError};
use crate::frame::Extent;

/// Directory of farrow's files.
pub(crate) const FARROW_DIR: &str = "farrow";
/// Directory of the pool files.
pub(crate) const POOL_DIR: &str = "farrow/pool";
/// The catalog.
pub(crate) const CATALOG_FILE: &str = "farrow/catalog";
/// A slot for each host.
pub(crate) const HOSTS_FILE: &str = "farrow/hosts";

/// The path of a pool file.
pub(crate) fn pool_path(index: u32) -> String {
    format!("{POOL_DIR}/{index:04}")
}

/// A famfs file in which frames are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolFile {
    /// Its number, which [`Extent::pool`] refers to.
    pub index: u32,
    /// Its path in the famfs file system.
    pub path: RelPath,
    /// Its bytes.
    pub len: u64,
    /// The place where it lies on the medium, in the order of the file: (offset, length) in bytes.
    pub extents: Vec<(u64, u64)>,
    file: FileEntry,
}

/// A famfs file system as its superblock and log describe it.
pub(crate) struct Volume {
    pub(crate) superblock: Superblock,
    pub(crate) log: LogHeader,
    pub(crate) namespace: Namespace,
    /// The first entry that could not be read. What stands before it counts.
    pub(crate) log_fault: Option<FormatError>,
}

/// Farrow's own files in a volume.
pub(crate) struct FarrowFiles {
    /// The place where the catalog lies on the medium: offset and length.
    pub(crate) catalog: (u64, u64),
    /// By index, from 0, without gaps.
    pub(crate) pools: Vec<PoolFile>,
}

impl Volume {
    /// Reads superblock and log. Entries behind one that cannot be read are not looked at.
    pub(crate) fn read(media: &dyn Media) -> Result<Self> {
        let superblock = read_superblock(media)?;
        superblock.check_media_len(media.len())?;
        Self::read_log(media, superblock)
    }

    /// Replays the log of a file system whose superblock fits the medium.
    pub(crate) fn read_log(media: &dyn Media, superblock: Superblock) -> Result<Self> {
        let (log, mut log_fault) = read_log_header(media, &superblock)?;
        let mut namespace = Namespace::new(&superblock);
        let end = entry_offset(log.next_index());
        media.refresh(LOG_OFFSET, end - LOG_OFFSET)?;
        for index in 0..log.next_index() {
            let mut bytes = [0; ENTRY_LEN];
            media.read_at(entry_offset(index), &mut bytes)?;
            if let Err(fault) = namespace.apply_bytes(&bytes) {
                // Later entries are only given to the name space so that it knows their space.
                log_fault.get_or_insert(fault);
            }
        }
        Ok(Self { superblock, log, namespace, log_fault })
    }

    /// Mends what an append to the famfs log leaves that was cut off between the log's two counters. For the
    /// master alone.
    ///
    /// One word changes, so a crash of this leaves the counters as they were, or mended. A log that is open for
    /// reading stays as it is: on a mounted famfs it is its tools' to write, which take it like that.
    pub(crate) fn mend_counters(&mut self, media: &dyn Media) -> Result<()> {
        let Some(FormatError::Counters { next_seqnum, next_index }) = self.log_fault else { return Ok(()) };
        if next_seqnum.abs_diff(next_index) == 1 {
            match media.write_at(LOG_OFFSET, &self.log.encode()) {
                Err(RegionError::ReadOnly { .. }) => return Ok(()),
                written => written?,
            }
            media.persist(LOG_OFFSET, LOG_HEADER_LEN as u64)?;
            self.log_fault = None;
        }
        Ok(())
    }

    /// Adds an entry to the log: first the entry, then the header that counts it. For the master alone.
    pub(crate) fn append(&mut self, media: &dyn Media, entry: &LogEntry) -> Result<()> {
        let bytes = entry.encode()?;
        // A log may have a file that shares memory with another; farrow writes none.
        self.namespace.check(entry)?;
        self.namespace.apply(entry)?;
        let header = self.log.advanced()?;
        let at = entry_offset(entry.seqnum);
        media.write_at(at, &bytes)?;
        media.persist(at, bytes.len() as u64)?;
        media.write_at(LOG_OFFSET, &header.encode())?;
        media.persist(LOG_OFFSET, LOG_HEADER_LEN as u64)?;
        self.log = header;
        Ok(())
    }

    /// Finds catalog and pools.
    pub(crate) fn farrow_files(&self) -> Result<FarrowFiles> {
        let catalog = self.catalog()?;
        let mut pools = Vec::new();
        // A region has at least one pool file; the first number without one ends them.
        pools.push(PoolFile::new(0, self.file(&pool_path(0))?));
        for index in 1_u32.. {
            let path = RelPath::parse(&pool_path(index))?;
            let Some(file) = self.namespace.file(&path) else { break };
            pools.push(PoolFile::new(index, file));
        }
        Ok(FarrowFiles { catalog, pools })
    }

    /// Returns where the catalog lies on the medium: offset and length.
    pub(crate) fn catalog(&self) -> Result<(u64, u64)> {
        let catalog = self.file(CATALOG_FILE)?;
        match runs(catalog)[..] {
            [run] => Ok(run),
            ref runs => Err(CatalogFault::File { len: catalog.size, extents: runs.len() }.into()),
        }
    }

    fn file(&self, path: &str) -> Result<&FileEntry> {
        self.namespace.file(&RelPath::parse(path)?).ok_or_else(|| match &self.log_fault {
            // What is missing may stand behind it: this is no file system to be made anew.
            Some(fault) => fault.clone().into(),
            None => StoreError::NotFarrow { region: self.superblock.uuid, path: path.into() },
        })
    }
}

impl PoolFile {
    pub(crate) fn new(index: u32, file: &FileEntry) -> Self {
        Self { index, path: file.path.clone(), len: file.size, extents: runs(file), file: file.clone() }
    }

    /// Bytes of the whole pages that can be given out.
    pub(crate) fn page_bytes(&self) -> u64 {
        self.len - self.len % PAGE
    }

    /// Returns where an extent of this pool lies on the medium, added to `out`.
    fn resolve(&self, extent: &Extent, out: &mut Vec<(u64, u64)>) -> Option<()> {
        let end = extent.offset.checked_add(extent.len).filter(|&end| end <= self.len)?;
        let mut offset = extent.offset;
        while offset < end {
            let (at, len) = self.file.resolve(offset)?;
            let len = len.min(end - offset);
            push_run(out, (at, len));
            offset += len;
        }
        Some(())
    }
}

/// Reads the log's header. Counters that differ are no error: they come as the second value.
///
/// An append that was cut off between the two counters leaves them one apart. Then the entry that only one of
/// them counts is there if it is valid, as farrow persists it before it counts it.
pub(crate) fn read_log_header(
    media: &dyn Media,
    superblock: &Superblock,
) -> Result<(LogHeader, Option<FormatError>)> {
    let mut bytes = [0; LOG_HEADER_LEN];
    media.refresh(LOG_OFFSET, LOG_HEADER_LEN as u64)?;
    media.read_at(LOG_OFFSET, &mut bytes)?;
    let (agreed, apart) = LogHeader::decode_agreed(&bytes, superblock)?;
    match apart {
        Some(FormatError::Counters { next_seqnum, next_index }) if next_seqnum.abs_diff(next_index) == 1 => {
            let index = agreed.next_index();
            let mut entry = [0; ENTRY_LEN];
            media.refresh(entry_offset(index), ENTRY_LEN as u64)?;
            media.read_at(entry_offset(index), &mut entry)?;
            let header = match (LogEntry::decode(&entry, index, superblock.version), agreed.advanced()) {
                (Ok(_), Ok(advanced)) => advanced,
                _ => agreed,
            };
            Ok((header, apart))
        }
        _ => Ok((agreed, apart)),
    }
}

/// Reads and checks the superblock, though not whether it fits the medium.
pub(crate) fn read_superblock(media: &dyn Media) -> Result<Superblock> {
    let mut bytes = [0; SUPERBLOCK_LEN];
    media.refresh(0, SUPERBLOCK_LEN as u64)?;
    media.read_at(0, &mut bytes)?;
    Ok(Superblock::decode(&bytes)?)
}

/// Returns where extents lie on the medium, in order; neighbours are joined.
pub(crate) fn media_ranges(pools: &[PoolFile], extents: &[Extent]) -> Result<Vec<(u64, u64)>> {
    let mut out = Vec::with_capacity(extents.len());
    for extent in extents {
        usize::try_from(extent.pool)
            .ok()
            .and_then(|index| pools.get(index))
            .and_then(|pool| pool.resolve(extent, &mut out))
            .ok_or(StoreError::NoSuchExtent { extent: *extent })?;
    }
    Ok(out)
}

fn runs(file: &FileEntry) -> Vec<(u64, u64)> {
    let mut runs = Vec::new();
    file.runs().for_each(|run| push_run(&mut runs, run));
    runs
}

pub(crate) fn push_run(runs: &mut Vec<(u64, u64)>, (offset, len): (u64, u64)) {
    match runs.last_mut() {
        Some((last, last_len)) if last.checked_add(*last_len) == Some(offset) => *last_len += len,
        _ => runs.push((offset, len)),
    }
}

#[cfg(test)]
mod tests;
