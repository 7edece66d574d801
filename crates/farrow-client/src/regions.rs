//! The shared memory as this process maps it: each pool file once, kept mapped.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use farrow_proto::{FIRST_FOREIGN_FILE, v1};
use farrow_region::{FileRange, ReadMapping, SealedBytes, WriteMapping};

use crate::error::ClientError;

/// Where a famfs superblock holds the file system's UUID (16 bytes).
const SUPERBLOCK_UUID_OFFSET: usize = 48;

const FIRST_PAGE: FileRange = FileRange { offset: 0, len: 4096 };

/// Regions that this process has opened.
#[derive(Debug, Default)]
pub(crate) struct Regions {
    pools: Mutex<HashMap<PoolKey, Arc<ReadMapping>>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PoolKey {
    region: Bytes,
    index: u32,
    path: String,
}

impl Regions {
    /// The bytes of a segment, readable as long as `holder` is kept by them. Of a file that another program put into
    /// famfs nobody promises that they stay as they are: see [`ReadMapping::sealed`].
    pub(crate) fn segment<H: Send + Sync + 'static>(
        &self,
        region: &Bytes,
        pools: &[v1::PoolFile],
        segment: &v1::Segment,
        holder: H,
    ) -> Result<SealedBytes, ClientError> {
        let len = number(segment.len, "segment length")?;
        // Files of other programs are mapped as long as they are used: a process may not have that many mappings.
        if let [extent] = segment.extents.as_slice()
            && extent.pool < FIRST_FOREIGN_FILE
        {
            let pool = pool_file(pools, extent.pool)?;
            let mapping = self.pool(region, pool)?;
            return Ok(mapping.sealed(number(extent.offset, "extent offset")?, len, holder)?);
        }
        let (medium, ranges) = medium_ranges(pools, &segment.extents)?;
        let file = open(medium, region, OpenOptions::new().read(true))?;
        Ok(ReadMapping::map(&file, &ranges)?.sealed(0, len, holder)?)
    }

    /// The extents of a reservation, writable.
    pub(crate) fn writable(&self, reservation: &v1::Reservation) -> Result<WriteMapping, ClientError> {
        let (medium, ranges) = medium_ranges(&reservation.pools, &reservation.extents)?;
        let file = open(medium, &reservation.region_uuid, OpenOptions::new().read(true).write(true))?;
        Ok(WriteMapping::map(&file, &ranges)?)
    }

    fn pool(&self, region: &Bytes, pool: &v1::PoolFile) -> Result<Arc<ReadMapping>, ClientError> {
        let key = PoolKey { region: region.clone(), index: pool.index, path: pool.path.clone() };
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = pools.get(&key) {
            return Ok(mapping.clone());
        }
        let file = open(pool, region, OpenOptions::new().read(true))?;
        let mapping = ReadMapping::map(&file, &ranges_of(pool))?;
        pools.insert(key, mapping.clone());
        Ok(mapping)
    }
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
