//! The region in messages of the protocol.

use std::num::NonZeroU64;

use farrow_proto::v1;
use farrow_store::{Extent, Reservation, Retention, Segment, Validation, Version};

use super::Region;

/// Bytes of memory for parts of a [`v1::MapDescriptor`], as it is made and as it is sent: no fewer than they take.
const DESCRIPTOR_BYTES: usize = 2 * (size_of::<v1::MapDescriptor>() + 64);
const SEGMENT_BYTES: usize = size_of::<v1::Segment>() + 96;
const EXTENT_BYTES: usize = size_of::<v1::Extent>() + 32;
/// The same of a pool, with its path.
const POOL_FILE_BYTES: usize = 2 * 512;

impl Region {
    /// Bytes of memory for [`map_descriptor`](Self::map_descriptor), about, and no fewer.
    pub(crate) fn descriptor_bytes(&self, version: &Version) -> u64 {
        let extents: usize = version.segments.iter().map(|segment| segment.extents.len()).sum();
        let texts = version.name.as_str().len() + self.map_socket.len();
        let pools = extents.min(self.view().pools().len()) * POOL_FILE_BYTES;
        (DESCRIPTOR_BYTES + texts + pools + version.segments.len() * SEGMENT_BYTES + extents * EXTENT_BYTES)
            as u64
    }

    /// The descriptor of a version, under `lease`.
    pub(crate) fn map_descriptor(&self, version: &Version, lease: u64) -> v1::MapDescriptor {
        let extents = version.segments.iter().flat_map(|segment| &segment.extents);
        v1::MapDescriptor {
            region_uuid: self.uuid_bytes(),
            name: version.name.as_str().to_owned(),
            version: version.number,
            segments: version.segments.iter().map(|segment| segment_message(segment)).collect(),
            pools: self.pool_files(extents),
            lease,
            rows: version.rows,
            bytes: version.bytes,
            coherency: v1::Coherency::Coherent.into(),
            map_socket: self.map_socket.clone(),
        }
    }

    /// The descriptor of a reservation.
    pub(crate) fn reservation(&self, reservation: &Reservation) -> v1::Reservation {
        v1::Reservation {
            region_uuid: self.uuid_bytes(),
            id: reservation.id,
            generation: reservation.generation,
            extents: reservation.extents.iter().map(extent_message).collect(),
            pools: self.pool_files(&reservation.extents),
            len: reservation.len,
        }
    }

    /// A version for listings.
    pub(crate) fn frame_info(&self, version: &Version) -> v1::FrameInfo {
        let validation = version.segments.iter().map(|segment| segment.validation).min().unwrap_or_default();
        let Retention { last, max_age_seconds } = self.view().retention(&version.name);
        v1::FrameInfo {
            name: version.name.as_str().to_owned(),
            version: version.number,
            rows: Some(version.rows),
            bytes: version.bytes,
            segments: u32::try_from(version.segments.len()).unwrap_or(u32::MAX),
            committed_at_micros: version.committed_at_micros,
            validation: validation_message(validation).into(),
            region_uuid: self.uuid_bytes(),
            foreign: false,
            retention: last.map_or(0, NonZeroU64::get),
            max_age_seconds: max_age_seconds.map_or(0, NonZeroU64::get),
        }
    }

    /// The use of the region's space; `leases` is the number of leases.
    pub(crate) fn usage(&self, leases: u64) -> v1::Usage {
        let usage = self.view().usage();
        v1::Usage {
            region_uuid: self.uuid_bytes(),
            pool_bytes: usage.pool_bytes,
            used: usage.used,
            held: usage.held,
            reserved: usage.reserved,
            free: usage.free,
            largest_free: usage.largest_free,
            frames: usage.frames,
            versions: usage.versions,
            leases,
            catalog_bytes: usage.catalog_bytes,
            catalog_committed: usage.catalog_committed,
            log_entries: usage.log_entries,
            log_capacity: usage.log_capacity,
            catalog_live: usage.catalog_live,
            growable: if self.medium.check_grows().is_ok() { usage.growable } else { 0 },
        }
    }

    fn pool_files<'a>(&self, extents: impl IntoIterator<Item = &'a Extent>) -> Vec<v1::PoolFile> {
        let mut used: Vec<u32> = extents.into_iter().map(|extent| extent.pool).collect();
        used.sort_unstable();
        used.dedup();
        let pools = self.view().pools();
        let pools = pools.iter().filter(|pool| used.binary_search(&pool.index).is_ok());
        pools.map(|pool| self.medium.pool_file(pool)).collect()
    }
}

fn segment_message(segment: &Segment) -> v1::Segment {
    v1::Segment {
        id: segment.id,
        generation: segment.generation,
        extents: segment.extents.iter().map(extent_message).collect(),
        len: segment.len,
        rows: segment.rows,
        batches: segment.batches,
        validation: validation_message(segment.validation).into(),
        metadata_digest: segment.metadata_digest,
    }
}

fn extent_message(extent: &Extent) -> v1::Extent {
    v1::Extent { pool: extent.pool, offset: extent.offset, length: extent.len }
}

fn validation_message(validation: Validation) -> v1::Validation {
    match validation {
        Validation::None => v1::Validation::None,
        Validation::Structure => v1::Validation::Structure,
        Validation::Values => v1::Validation::Values,
    }
}
