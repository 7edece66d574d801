//! More pool files.

use famfs_format::{ALLOC_UNIT, EntryBody, FILE_FLAGS, FileEntry, FileMap, FormatError, LogEntry, RelPath};

use super::{Store, Writer};
use crate::error::{Result, StoreError};
use crate::volume::{PoolFile, Volume, pool_path};

impl Store {
    /// Makes one more pool file, out of space that is in no famfs file: `len` bytes of it, rounded up to units of
    /// 2 MiB, or with `None` the largest range there is. Its pages are free at once.
    ///
    /// It takes one entry of the famfs log, and famfs never gives it back. The entry is persisted before the log's
    /// header counts it: a crash leaves the pool file or none.
    ///
    /// # Errors
    /// [`StoreError::NoSpaceToGrow`]; [`StoreError::Famfs`] for a log that is full or damaged; as for every change.
    pub fn add_pool(&self, len: Option<u64>) -> Result<PoolFile> {
        self.change(|writer| {
            writer.ledger.check_master(&*self.media)?;
            // Read anew: others may have made files in it.
            let mut volume = Volume::read(&*self.media)?;
            volume.mend_counters(&*self.media)?;
            if let Some(fault) = volume.log_fault.take() {
                return Err(fault.into());
            }
            let count = volume.farrow_files()?.pools.len();
            let entry = entry(&volume, count, len)?;
            volume.append(&*self.media, &entry)?;
            self.take_up(writer, &volume)
        })
    }

    /// Gives the allocator the pool files that it does not know yet. Returns the last one.
    fn take_up(&self, writer: &mut Writer, volume: &Volume) -> Result<PoolFile> {
        let pools = volume.farrow_files()?.pools;
        let new = pools.strip_prefix(&*self.view.pools()).and_then(|new| Some((new, new.last()?.clone())));
        let (new, last) = new.ok_or(StoreError::Internal { what: "pool files are only added" })?;
        let added: Vec<(u32, u64)> = new.iter().map(|pool| (pool.index, pool.len)).collect();
        // Before the first extent of them is given out.
        self.view.set_pools(pools);
        added.into_iter().try_for_each(|(pool, len)| writer.ledger.add_pool(pool, len))?;
        Ok(last)
    }
}

/// The entry that makes pool file `index`.
fn entry(volume: &Volume, index: usize, len: Option<u64>) -> Result<LogEntry> {
    let largest_free = volume.namespace.largest_free();
    let no_space = |need| {
        let free = volume.namespace.free_bytes();
        StoreError::NoSpaceToGrow { need, largest_free, free }
    };
    let len = match len {
        Some(0) => return Err(StoreError::NoLength),
        Some(len) => len.checked_next_multiple_of(ALLOC_UNIT).ok_or_else(|| no_space(len))?,
        None if largest_free == 0 => return Err(no_space(ALLOC_UNIT)),
        None => largest_free,
    };
    let extent = volume.namespace.allocate(len).map_err(|error| match error {
        FormatError::NoSpace { need, .. } => no_space(need),
        error => error.into(),
    })?;
    let index = u32::try_from(index).map_err(|_| StoreError::Internal { what: "pool files are few" })?;
    let (path, map) = (RelPath::parse(&pool_path(index))?, FileMap::Simple(vec![extent]));
    let file = FileEntry { path, size: len, flags: FILE_FLAGS, uid: 0, gid: 0, mode: 0o600, map };
    let entry = LogEntry { seqnum: volume.log.next_index(), body: EntryBody::File(file) };
    volume.namespace.check(&entry)?;
    Ok(entry)
}
