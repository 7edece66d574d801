//! Making a region.

pub(crate) mod share;

use famfs_format::{
    ALLOC_UNIT, EntryBody, FILE_FLAGS, FileEntry, FileMap, FormatError, FormatVersion, LOG_OFFSET, LogEntry,
    LogHeader, MIN_LOG_LEN, MkdirEntry, Namespace, RelPath, SUPERBLOCK_LEN, Structure, Superblock,
    entry_offset,
};
use farrow_region::Media;
use uuid::Uuid;

use crate::catalog::{CatalogFile, MAX_CATALOG_LEN, MIN_CATALOG_LEN};
use crate::error::{Result, StoreError};
use crate::volume::{CATALOG_FILE, FARROW_DIR, HOSTS_FILE, POOL_DIR, pool_path, read_superblock};

/// Bytes of zeros written at a time.
const ZEROS: usize = 1024 * 1024;

/// The options of making a region. Lengths are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatOptions {
    /// Length of the famfs log, a power of two from 8 MiB. 8 MiB hold 15,420 entries, of which farrow needs 5.
    pub log_len: u64,
    /// The famfs version whose tools are to read the region.
    pub version: FormatVersion,
    /// The host that is to be the master.
    pub system_uuid: Uuid,
    /// The device as the superblock names it; at most 64 bytes count.
    pub device_path: Vec<u8>,
    /// Length of the catalog: a multiple of 4096, from 32 KiB to 64 GiB. `None` is a ninth of what pool and catalog have
    /// together, and of more than about a gigabyte less: up to there the pool is full of the smallest frames before the
    /// catalog is.
    pub catalog_len: Option<u64>,
    /// Length of the file with a slot for each host: a multiple of 4096.
    pub hosts_len: u64,
    /// Bytes left outside the pool, rounded up to units of 2 MiB: for famfs files of others, for
    /// [`export`](crate::export), and for [more pool files](crate::Store::add_pool).
    pub reserve: u64,
    /// Make the region even if there is a famfs file system already, which is lost.
    pub force: bool,
}

impl FormatOptions {
    /// The usual region, of which this host is the master.
    pub fn new(system_uuid: Uuid) -> Self {
        Self {
            log_len: MIN_LOG_LEN,
            version: FormatVersion::V48,
            system_uuid,
            device_path: Vec::new(),
            catalog_len: None,
            hosts_len: ALLOC_UNIT,
            reserve: 0,
            force: false,
        }
    }

    /// Checks that a region can be made with these options on a medium of `len` bytes, called `place` in errors. Nothing is
    /// read or written: for callers that replace what is there.
    ///
    /// # Errors
    /// Those of [`Store::format`](crate::Store::format) that come from the options and the length.
    pub fn check(&self, place: &str, len: u64) -> Result<()> {
        Plan::new(place, len, self).map(drop)
    }
}

/// The region that was made. Lengths are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatReport {
    /// The superblock, with the UUIDs that were drawn.
    pub superblock: Superblock,
    /// Length of the catalog.
    pub catalog_len: u64,
    /// Length of the pool file.
    pub pool_len: u64,
    /// Bytes outside the pool that are free for others' files.
    pub unpooled: u64,
    /// Entries in the famfs log.
    pub log_entries: u64,
    /// The file system that was there before and is lost.
    pub replaced: Option<Uuid>,
}

pub(crate) fn format(media: &dyn Media, options: &FormatOptions) -> Result<FormatReport> {
    let replaced = what_is_there(media, options.force)?;
    let plan = Plan::new(&media.describe(), media.len(), options)?;
    let superblock = plan.superblock;

    // From here on nothing of an earlier file system counts.
    zero(media, 0, SUPERBLOCK_LEN as u64)?;
    zero(media, LOG_OFFSET, options.log_len)?;
    for entry in &plan.entries {
        media.write_at(entry_offset(entry.seqnum), &entry.encode()?)?;
    }
    media.write_at(LOG_OFFSET, &plan.header.encode())?;
    media.persist(LOG_OFFSET, options.log_len)?;

    zero(media, plan.hosts, options.hosts_len)?;
    CatalogFile::create(media, plan.catalog, plan.catalog_len, superblock.uuid)?;
    write_superblock(media, &superblock)?;

    let (log_entries, unpooled) = (plan.header.next_index(), plan.namespace.free_bytes());
    let Plan { catalog_len, pool_len, .. } = plan;
    Ok(FormatReport { superblock, catalog_len, pool_len, unpooled, log_entries, replaced })
}

/// The superblock and the log's entries of a region that is to be made, and where its files lie.
struct Plan {
    superblock: Superblock,
    entries: Vec<LogEntry>,
    header: LogHeader,
    catalog: u64,
    catalog_len: u64,
    hosts: u64,
    pool_len: u64,
    namespace: Namespace,
}

impl Plan {
    /// Of a medium of `len` bytes, called `place` in errors.
    fn new(place: &str, len: u64, options: &FormatOptions) -> Result<Self> {
        let catalog_len = catalog_len(len, options)?;
        let superblock = Superblock {
            version: options.version,
            log_len: options.log_len,
            alloc_unit: ALLOC_UNIT,
            uuid: Uuid::new_v4(),
            dev_uuid: Uuid::new_v4(),
            system_uuid: options.system_uuid,
            device_len: len,
            device_path: options.device_path.clone(),
        };
        let hosts_len = options.hosts_len;
        let reserve = options.reserve.div_ceil(ALLOC_UNIT).saturating_mul(ALLOC_UNIT);
        let header = LogHeader::new(superblock.log_len)?;
        let too_small = || {
            let files = catalog_len.div_ceil(ALLOC_UNIT) + hosts_len.div_ceil(ALLOC_UNIT) + 1;
            let need = superblock.data_offset().saturating_add(files.saturating_mul(ALLOC_UNIT));
            let need = need.saturating_add(reserve);
            StoreError::MediaTooSmall {
                place: place.to_owned(),
                len,
                need,
                log: options.log_len,
                catalog: catalog_len,
                reserve,
            }
        };
        if len < superblock.data_offset() {
            return Err(too_small());
        }
        let namespace = Namespace::new(&superblock);
        let mut plan = Self {
            superblock: superblock.clone(),
            entries: Vec::new(),
            header,
            catalog: 0,
            catalog_len,
            hosts: 0,
            pool_len: 0,
            namespace,
        };
        plan.add_dir(FARROW_DIR)?;
        plan.add_dir(POOL_DIR)?;
        let full = |error| match error {
            StoreError::Famfs(FormatError::NoSpace { .. }) => too_small(),
            error => error,
        };
        plan.catalog = plan.add_file(CATALOG_FILE, catalog_len).map_err(full)?;
        plan.hosts = plan.add_file(HOSTS_FILE, hosts_len).map_err(full)?;
        // One file for all that is left, but for what others are to have.
        plan.pool_len = plan.namespace.largest_free().saturating_sub(reserve);
        if plan.pool_len == 0 {
            return Err(too_small());
        }
        plan.add_file(&pool_path(0), plan.pool_len)?;
        Ok(plan)
    }

    fn add_dir(&mut self, path: &str) -> Result<()> {
        self.add(EntryBody::Mkdir(MkdirEntry { path: RelPath::parse(path)?, uid: 0, gid: 0, mode: 0o755 }))
    }

    /// Returns where the file lies on the medium.
    fn add_file(&mut self, path: &str, size: u64) -> Result<u64> {
        let extent = self.namespace.allocate(size)?;
        let (path, map) = (RelPath::parse(path)?, FileMap::Simple(vec![extent]));
        let file = FileEntry { path, size, flags: FILE_FLAGS, uid: 0, gid: 0, mode: 0o600, map };
        self.add(EntryBody::File(file))?;
        Ok(extent.offset)
    }

    fn add(&mut self, body: EntryBody) -> Result<()> {
        let entry = LogEntry { seqnum: self.header.next_index(), body };
        self.namespace.apply(&entry)?;
        self.header = self.header.advanced()?;
        self.entries.push(entry);
        Ok(())
    }
}

/// The file system that is there, if it may be overwritten.
fn what_is_there(media: &dyn Media, force: bool) -> Result<Option<Uuid>> {
    if media.len() < SUPERBLOCK_LEN as u64 {
        return Ok(None);
    }
    let place = || media.describe();
    match read_superblock(media) {
        Ok(found) if force => Ok(Some(found.uuid)),
        Ok(found) => Err(StoreError::Occupied { place: place(), region: found.uuid }),
        // Anything but a famfs superblock is taken for free memory: a fresh device holds whatever it held.
        Err(StoreError::Famfs(FormatError::Magic { structure: Structure::Superblock, .. })) => Ok(None),
        Err(StoreError::Famfs(_)) if force => Ok(None),
        Err(StoreError::Famfs(fault)) => Err(StoreError::OccupiedUnreadable { place: place(), fault }),
        Err(error) => Err(error),
    }
}

/// The length of the catalog on a medium of `len` bytes.
fn catalog_len(len: u64, options: &FormatOptions) -> Result<u64> {
    check_hosts_len(options.hosts_len)?;
    let others = LOG_OFFSET.saturating_add(options.log_len).saturating_add(options.hosts_len);
    let catalog_len = options.catalog_len.unwrap_or(share::of_space(len.saturating_sub(others)));
    check_catalog_len(catalog_len)?;
    Ok(catalog_len)
}

pub(crate) fn check_catalog_len(len: u64) -> Result<()> {
    if !(MIN_CATALOG_LEN..=MAX_CATALOG_LEN).contains(&len) || !len.is_multiple_of(4096) {
        return Err(StoreError::CatalogLen { len });
    }
    Ok(())
}

pub(crate) fn check_hosts_len(len: u64) -> Result<()> {
    if len == 0 || !len.is_multiple_of(4096) {
        return Err(StoreError::HostsLen { len });
    }
    Ok(())
}

/// Writes the superblock so that it is valid with its last persist and not before: the line with the magic
/// number comes after all others.
fn write_superblock(media: &dyn Media, superblock: &Superblock) -> Result<()> {
    const FIRST_LINE: usize = 64;
    let bytes = superblock.encode()?;
    let (first, rest) = bytes.split_at(FIRST_LINE);
    media.write_at(FIRST_LINE as u64, rest)?;
    media.persist(FIRST_LINE as u64, rest.len() as u64)?;
    media.write_at(0, first)?;
    media.persist(0, FIRST_LINE as u64)?;
    Ok(())
}

pub(crate) fn zero(media: &dyn Media, offset: u64, len: u64) -> Result<()> {
    let zeros = vec![0; ZEROS];
    let mut done = 0;
    while done < len {
        let now = (len - done).min(ZEROS as u64);
        let piece = usize::try_from(now).ok().and_then(|now| zeros.get(..now)).unwrap_or(&zeros);
        media.write_at(offset + done, piece)?;
        done += now;
    }
    media.persist(offset, len)?;
    Ok(())
}
