//! The shared memory as this process maps it: each pool file once, kept mapped.
//!
//! The agent's map socket is asked for the medium first: a descriptor that the agent has opened cannot be of another
//! file, and needs no right of this process on it. Only where there is none is the path opened that the agent names,
//! which in a container may lead elsewhere. Either way the superblock's UUID is compared.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use farrow_proto::{FIRST_FOREIGN_FILE, v1};
use farrow_region::{FileRange, ReadMapping, SealedBytes, WriteMapping};

use crate::address::Address;
use crate::error::ClientError;
use crate::map_socket;

/// Where a famfs superblock holds the file system's UUID (16 bytes).
const SUPERBLOCK_UUID_OFFSET: usize = 48;

const FIRST_PAGE: FileRange = FileRange { offset: 0, len: 4096 };

/// Regions that this process has opened.
#[derive(Debug)]
pub(crate) struct Regions {
    /// Where the agent's sockets are.
    sockets: Option<PathBuf>,
    opened: Mutex<Opened>,
}

#[derive(Debug, Default)]
struct Opened {
    /// By the path that the agent names. Without files of other programs, of which there may be any number.
    files: HashMap<(Bytes, String), Arc<File>>,
    pools: HashMap<PoolKey, Arc<ReadMapping>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PoolKey {
    region: Bytes,
    index: u32,
    path: String,
}

impl Regions {
    /// Nothing opened yet, of the agent at `address`.
    pub(crate) fn of_agent(address: &Address) -> Self {
        let sockets = match address {
            // The other socket lies beside this one, not beside a link to it.
            Address::Unix(path) => {
                std::fs::canonicalize(path).as_ref().unwrap_or(path).parent().map(Path::to_owned)
            }
            Address::Tcp(_) => None,
        };
        Self { sockets, opened: Mutex::default() }
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
        Ok(ReadMapping::map(&*file, &ranges)?.sealed(0, len, holder)?)
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
        let region = descriptor.region_uuid.clone();
        let key = PoolKey { region, index: pool.index, path: pool.path.clone() };
        let mut opened = self.opened();
        if let Some(mapping) = opened.pools.get(&key) {
            return Ok(mapping.clone());
        }
        let file = self.readable(&mut opened, descriptor, pool)?;
        let mapping = ReadMapping::map(&*file, &ranges_of(pool))?;
        opened.pools.insert(key, mapping.clone());
        Ok(mapping)
    }

    /// What `medium` lies in, open for reading.
    fn readable(
        &self,
        opened: &mut Opened,
        descriptor: &v1::MapDescriptor,
        medium: &v1::PoolFile,
    ) -> Result<Arc<File>, ClientError> {
        let region = &descriptor.region_uuid;
        let key = (region.clone(), medium.path.clone());
        if let Some(file) = opened.files.get(&key) {
            return Ok(file.clone());
        }
        let by_path = || open(medium, region, OpenOptions::new().read(true));
        let file = match &self.sockets {
            Some(sockets) if !descriptor.map_socket.is_empty() => {
                match passed(&sockets.join(&descriptor.map_socket), medium, region) {
                    Ok(file) => file,
                    Err(asked) => by_path().map_err(|path| ClientError::NoDescriptor {
                        path: path.into(),
                        asked: asked.into(),
                    })?,
                }
            }
            _ => by_path()?,
        };
        let file = Arc::new(file);
        if medium.index < FIRST_FOREIGN_FILE || medium.superblock.is_empty() {
            opened.files.insert(key, file.clone());
        }
        Ok(file)
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `medium` lies in, as the agent passes it over its map socket, if it belongs to `region`.
fn passed(socket: &Path, medium: &v1::PoolFile, region: &Bytes) -> Result<File, ClientError> {
    let ask = |superblock| {
        let region_uuid = region.clone();
        map_socket::descriptor(socket, &v1::MapSocketRequest { region_uuid, pool: medium.index, superblock })
    };
    let file = ask(false)?;
    if medium.superblock.is_empty() {
        check_region(&file, &medium.path, region)?;
    } else {
        check_region(&ask(true)?, &medium.superblock, region)?;
    }
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
    Ok(file)
}

/// Whether the superblock at the start of `file` is `region`'s.
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
