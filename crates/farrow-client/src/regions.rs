//! The shared memory as this process maps it: each pool file once, kept mapped.
//!
//! The agent's map socket is asked for the medium first: a descriptor that the agent has opened cannot be of another
//! file, and needs no right of this process on it. Only where there is none, and for writing, is the path opened that the
//! agent names, which in a container may lead elsewhere, and where a copy may lie by now. Either way it is compared with
//! the file that the agent has open, and the superblock's UUID with the agent's.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use farrow_proto::{FIRST_FOREIGN_FILE, v1};
use farrow_region::{FileIdentity, FileRange, ReadMapping, SealedBytes, WriteMapping};

use crate::address::Address;
use crate::error::ClientError;
use crate::inheritance::Inheritance;
use crate::map_socket;

/// The place where a famfs superblock holds the file system's UUID (16 bytes).
const SUPERBLOCK_UUID_OFFSET: usize = 48;

const FIRST_PAGE: FileRange = FileRange { offset: 0, len: 4096 };

/// Regions that this process has opened.
#[derive(Debug)]
pub(crate) struct Regions {
    /// The place where the agent's sockets are.
    sockets: Option<PathBuf>,
    inheritance: Arc<Inheritance>,
    opened: Mutex<Opened>,
}

#[derive(Debug, Default)]
struct Opened {
    /// Without files of other programs, of which there may be any number.
    files: HashMap<FileKey, Arc<File>>,
    /// By the pool's index.
    pools: HashMap<(FileKey, u32), Arc<ReadMapping>>,
}

/// A file as the agent names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FileKey {
    region: Bytes,
    path: String,
    identity: FileIdentity,
}

impl Regions {
    /// Nothing opened yet, of the agent at `address`.
    pub(crate) fn of_agent(address: &Address, inheritance: Arc<Inheritance>) -> Self {
        // The other socket lies beside this one, not beside a link to it.
        let socket = address.socket().map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.into()));
        let sockets = socket.and_then(|path| path.parent().map(Path::to_owned));
        Self { sockets, inheritance, opened: Mutex::default() }
    }

    /// The bytes of a segment, readable as long as `holder` is kept by them. Of a file that another program put into
    /// famfs nobody promises that they stay as they are: see [`ReadMapping::sealed`].
    pub(crate) fn segment<H: Send + Sync + 'static>(
        &self,
        descriptor: &v1::MapDescriptor,
        segment: &v1::Segment,
        holder: H,
    ) -> Result<SealedBytes, ClientError> {
        let len = number(segment.len, "segment length")?;
        if let Some(socket) = self.map_socket(descriptor) {
            self.inheritance.begin(&socket, &descriptor.region_uuid);
        }
        // Files of other programs are mapped as long as they are used: a process may not have that many mappings.
        if let [extent] = segment.extents.as_slice()
            && extent.pool < FIRST_FOREIGN_FILE
        {
            let pool = pool_file(&descriptor.pools, extent.pool)?;
            let mapping = self.pool(descriptor, pool)?;
            return Ok(mapping.sealed(number(extent.offset, "extent offset")?, len, holder)?);
        }
        let (medium, ranges) = medium_ranges(&descriptor.pools, &segment.extents)?;
        let file = self.readable(&mut self.opened(), descriptor, medium)?;
        Ok(ReadMapping::map_within(self.inheritance.family(), &*file, &ranges)?.sealed(0, len, holder)?)
    }

    /// The extents of a reservation, writable.
    pub(crate) fn writable(&self, reservation: &v1::Reservation) -> Result<WriteMapping, ClientError> {
        let (medium, ranges) = medium_ranges(&reservation.pools, &reservation.extents)?;
        let file = open(medium, &reservation.region_uuid, OpenOptions::new().read(true).write(true))?;
        Ok(WriteMapping::map(&file, &ranges)?)
    }

    fn pool(
        &self,
        descriptor: &v1::MapDescriptor,
        pool: &v1::PoolFile,
    ) -> Result<Arc<ReadMapping>, ClientError> {
        let key = (FileKey::new(&descriptor.region_uuid, pool), pool.index);
        let mut opened = self.opened();
        if let Some(mapping) = opened.pools.get(&key) {
            return Ok(mapping.clone());
        }
        let file = self.readable(&mut opened, descriptor, pool)?;
        let mapping = ReadMapping::map_within(self.inheritance.family(), &*file, &ranges_of(pool))?;
        opened.pools.insert(key, mapping.clone());
        Ok(mapping)
    }

    /// Opens what `medium` lies in for reading.
    fn readable(
        &self,
        opened: &mut Opened,
        descriptor: &v1::MapDescriptor,
        medium: &v1::PoolFile,
    ) -> Result<Arc<File>, ClientError> {
        let region = &descriptor.region_uuid;
        let key = FileKey::new(region, medium);
        if let Some(file) = opened.files.get(&key) {
            return Ok(file.clone());
        }
        let by_path = || open(medium, region, OpenOptions::new().read(true));
        let file = match self.map_socket(descriptor) {
            Some(socket) => match passed(&socket, medium, region) {
                Ok(file) => file,
                Err(asked) => by_path()
                    .map_err(|path| ClientError::NoDescriptor { path: path.into(), asked: asked.into() })?,
            },
            None => by_path()?,
        };
        let file = Arc::new(file);
        if medium.index < FIRST_FOREIGN_FILE || medium.superblock.is_empty() {
            opened.files.insert(key, file.clone());
        }
        Ok(file)
    }

    /// Returns where the agent's map socket is, if it has one that this process can reach.
    fn map_socket(&self, descriptor: &v1::MapDescriptor) -> Option<PathBuf> {
        let sockets = self.sockets.as_ref().filter(|_| !descriptor.map_socket.is_empty())?;
        Some(sockets.join(&descriptor.map_socket))
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileKey {
    fn new(region: &Bytes, medium: &v1::PoolFile) -> Self {
        Self { region: region.clone(), path: medium.path.clone(), identity: named(medium) }
    }
}

/// Returns which file the agent says that it has open.
fn named(medium: &v1::PoolFile) -> FileIdentity {
    FileIdentity { device: medium.device, inode: medium.inode }
}

/// Returns what `medium` lies in, as the agent passes it over its map socket, if it belongs to `region`.
fn passed(socket: &Path, medium: &v1::PoolFile, region: &Bytes) -> Result<File, ClientError> {
    let ask = |superblock| {
        let region_uuid = region.clone();
        map_socket::descriptor(
            socket,
            &v1::MapSocketRequest { region_uuid, pool: medium.index, superblock, page: false },
        )
    };
    let file = ask(false)?;
    if medium.superblock.is_empty() {
        check_region(&file, &medium.path, region)?;
    } else {
        check_region(&ask(true)?, &medium.superblock, region)?;
    }
    check_identity(&file, medium)?;
    Ok(file)
}

/// Opens the file or device that `medium` lies in, if it belongs to `region`.
fn open(medium: &v1::PoolFile, region: &Bytes, options: &OpenOptions) -> Result<File, ClientError> {
    let open = |path: &str, options: &OpenOptions| {
        options.open(path).map_err(|source| ClientError::Open { path: path.into(), source })
    };
    let file = open(&medium.path, options)?;
    if medium.superblock.is_empty() {
        check_region(&file, &medium.path, region)?;
    } else {
        let superblock = open(&medium.superblock, OpenOptions::new().read(true))?;
        check_region(&superblock, &medium.superblock, region)?;
    }
    check_identity(&file, medium)?;
    Ok(file)
}

/// Refuses a file that is not the one that the agent has open: a copy of a region has its UUID, too.
fn check_identity(file: &File, medium: &v1::PoolFile) -> Result<(), ClientError> {
    let path = Path::new(&medium.path);
    let found = FileIdentity::of(file).map_err(|source| ClientError::Open { path: path.into(), source })?;
    let expected = named(medium);
    if found == expected || expected == (FileIdentity { device: 0, inode: 0 }) {
        return Ok(());
    }
    Err(ClientError::OtherFile { path: path.into(), expected, found })
}

/// Checks whether the superblock at the start of `file` is `region`'s.
fn check_region(file: &File, path: &str, region: &Bytes) -> Result<(), ClientError> {
    // Mapped, because a device has no read(2).
    let mut found = [0; 16];
    ReadMapping::map(file, &[FIRST_PAGE])?.read_at(SUPERBLOCK_UUID_OFFSET, &mut found)?;
    if found[..] == region[..] {
        return Ok(());
    }
    let text =
        |bytes: &[u8]| uuid::Uuid::from_slice(bytes).map_or_else(|_| "?".into(), |uuid| uuid.to_string());
    Err(ClientError::OtherRegion { path: path.into(), expected: text(region), found: text(&found) })
}

/// The medium, as one of the pool files in it, and where in it `extents` lie.
fn medium_ranges<'a>(
    pools: &'a [v1::PoolFile],
    extents: &[v1::Extent],
) -> Result<(&'a v1::PoolFile, Vec<FileRange>), ClientError> {
    let mut medium: Option<&v1::PoolFile> = None;
    let mut ranges = Vec::new();
    for extent in extents {
        let pool = pool_file(pools, extent.pool)?;
        if medium.get_or_insert(pool).path != pool.path {
            return Err(answer("extents of one segment on several media"));
        }
        add_ranges(pool, extent, &mut ranges)?;
    }
    let medium = medium.ok_or_else(|| answer("a segment without extents"))?;
    Ok((medium, ranges))
}

/// Adds where `extent`, which counts from the start of `pool`, lies in the medium.
fn add_ranges(
    pool: &v1::PoolFile,
    extent: &v1::Extent,
    ranges: &mut Vec<FileRange>,
) -> Result<(), ClientError> {
    let (mut skip, mut left) = (extent.offset, extent.length);
    for range in &pool.ranges {
        if left == 0 {
            break;
        }
        if skip >= range.length {
            skip -= range.length;
            continue;
        }
        let len = left.min(range.length - skip);
        let offset =
            range.offset.checked_add(skip).ok_or_else(|| answer("a range past the end of 64 bits"))?;
        ranges.push(FileRange { offset, len });
        left -= len;
        skip = 0;
    }
    if left > 0 { Err(answer("an extent past the end of its pool file")) } else { Ok(()) }
}

fn ranges_of(pool: &v1::PoolFile) -> Vec<FileRange> {
    pool.ranges.iter().map(|&v1::MediumRange { offset, length }| FileRange { offset, len: length }).collect()
}

fn pool_file(pools: &[v1::PoolFile], index: u32) -> Result<&v1::PoolFile, ClientError> {
    let pool = pools.iter().find(|pool| pool.index == index);
    pool.ok_or_else(|| answer("an extent in a pool file that is not listed"))
}

fn number(value: u64, what: &'static str) -> Result<usize, ClientError> {
    usize::try_from(value).map_err(|_| answer(what))
}

fn answer(what: &str) -> ClientError {
    ClientError::Answer { what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> v1::PoolFile {
        let range = |offset, length| v1::MediumRange { offset, length };
        v1::PoolFile {
            index: 3,
            path: "/m".into(),
            ranges: vec![range(0x10000, 0x3000), range(0x90000, 0x2000)],
            superblock: String::new(),
            ..v1::PoolFile::default()
        }
    }

    fn ranges(offset: u64, length: u64) -> Result<Vec<FileRange>, ClientError> {
        let extent = v1::Extent { pool: 3, offset, length };
        medium_ranges(&[pool()], &[extent]).map(|(_, ranges)| ranges)
    }

    #[test]
    fn an_extent_lies_where_its_pool_file_does() {
        assert_eq!(ranges(0, 0x3000).unwrap(), [FileRange { offset: 0x10000, len: 0x3000 }]);
        assert_eq!(
            ranges(0x2000, 0x2000).unwrap(),
            [FileRange { offset: 0x12000, len: 0x1000 }, FileRange { offset: 0x90000, len: 0x1000 }]
        );
        assert_eq!(ranges(0x4000, 0x1000).unwrap(), [FileRange { offset: 0x91000, len: 0x1000 }]);
    }

    #[test]
    fn what_lies_past_the_end_is_refused() {
        for (offset, length) in [(0, 0x5001), (0x5000, 1), (u64::MAX, 1), (1, u64::MAX)] {
            assert!(matches!(ranges(offset, length), Err(ClientError::Answer { .. })), "{offset} {length}");
        }
        assert!(medium_ranges(&[pool()], &[v1::Extent { pool: 4, offset: 0, length: 1 }]).is_err());
        assert!(medium_ranges(&[pool()], &[]).is_err());
    }
}
