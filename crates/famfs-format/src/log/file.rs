//! The FILE entry.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use crate::error::EntryError;
use crate::extent::Extent;
use crate::geometry::MAX_EXTENTS;
use crate::log::map::FileMap;
use crate::path::RelPath;
use crate::raw::{EXTENTS_INTERLEAVED, EXTENTS_SIMPLE, RawExtent, RawFile, RawInterleavedMap, RawSimpleMap};

/// The `fm_flags` that the famfs tools give every file ("all hosts may write"); no tool reads them.
pub const FILE_FLAGS: u32 = 2;

/// A file: where it is found by path, and where its bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the mount.
    pub path: RelPath,
    /// Exact bytes, at least 1.
    pub size: u64,
    /// [`FILE_FLAGS`]; kept, not judged.
    pub flags: u32,
    /// Owner; famfs applies owner and group only if both are nonzero.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits; kept, not judged.
    pub mode: u32,
    /// The place where its bytes lie.
    pub map: FileMap,
}

impl FileEntry {
    /// Device offset of byte `file_offset`, and how many bytes of the file from there on follow each other in
    /// one extent or one chunk, at least 1. `None` at or past the end of the file.
    pub fn resolve(&self, file_offset: u64) -> Option<(u64, u64)> {
        let left = self.size.checked_sub(file_offset).filter(|&left| left > 0)?;
        let (media_offset, len) = self.map.resolve(file_offset)?;
        Some((media_offset, len.min(left)))
    }

    /// The whole file in pieces of device offset and length, in the order of the file.
    ///
    /// An interleaved file has a piece for each chunk.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut file_offset = 0;
        std::iter::from_fn(move || {
            let run = self.resolve(file_offset)?;
            file_offset += run.1;
            Some(run)
        })
    }

    pub(crate) fn validate(&self) -> Result<(), EntryError> {
        if self.size == 0 {
            return Err(EntryError::EmptyFile);
        }
        self.map.validate(self.size)
    }

    pub(crate) fn from_raw(raw: &RawFile) -> Result<Self, EntryError> {
        Ok(Self {
            path: RelPath::from_field(&raw.path)?,
            size: raw.size.get(),
            flags: raw.flags.get(),
            uid: raw.uid.get(),
            gid: raw.gid.get(),
            mode: raw.mode.get(),
            map: map_from_raw(raw)?,
        })
    }

    /// The body's bytes; of a map with too many extents, which `validate` refuses, only the first ones.
    pub(crate) fn to_raw(&self) -> RawFile {
        let mut raw = RawFile::new_zeroed();
        raw.size = U64::new(self.size);
        raw.flags = U32::new(self.flags);
        raw.uid = U32::new(self.uid);
        raw.gid = U32::new(self.gid);
        raw.mode = U32::new(self.mode);
        raw.path = self.path.to_field();
        match &self.map {
            FileMap::Simple(extents) => {
                raw.extent_type = U32::new(EXTENTS_SIMPLE);
                let mut map = RawSimpleMap::new_zeroed();
                let count = fill(&mut map.extents, extents);
                raw.count = U32::new(count);
                raw.map.copy_from_slice(map.as_bytes());
            }
            FileMap::Interleaved { chunk_size, strips } => {
                raw.extent_type = U32::new(EXTENTS_INTERLEAVED);
                raw.count = U32::new(1);
                let mut map = RawInterleavedMap::new_zeroed();
                map.nstrips = U64::new(fill(&mut map.strips, strips).into());
                map.chunk_size = U64::new(*chunk_size);
                raw.map.copy_from_slice(map.as_bytes());
            }
        }
        raw
    }
}

/// The extents that a FILE body names, whatever else is wrong with it: those its counts reach, as far as
/// there is room for them.
pub(crate) fn claimed_extents(raw: &RawFile) -> Vec<Extent> {
    let (extents, count) = match raw.extent_type.get() {
        EXTENTS_SIMPLE => (simple_map(raw).extents, u64::from(raw.count.get())),
        EXTENTS_INTERLEAVED => {
            let map = interleaved_map(raw);
            (map.strips, map.nstrips.get())
        }
        _ => return Vec::new(),
    };
    let count = usize::try_from(count).unwrap_or(MAX_EXTENTS);
    extents.iter().take(count).map(Extent::from).collect()
}

fn map_from_raw(raw: &RawFile) -> Result<FileMap, EntryError> {
    match raw.extent_type.get() {
        EXTENTS_SIMPLE => {
            let found = u64::from(raw.count.get());
            let extents = first(&simple_map(raw).extents, found).ok_or(EntryError::ExtentCount { found })?;
            Ok(FileMap::Simple(extents))
        }
        EXTENTS_INTERLEAVED => {
            let found = raw.count.get();
            if found != 1 {
                return Err(EntryError::InterleaveCount { found });
            }
            let map = interleaved_map(raw);
            let found = map.nstrips.get();
            let strips = first(&map.strips, found).ok_or(EntryError::StripCount { found })?;
            Ok(FileMap::Interleaved { chunk_size: map.chunk_size.get(), strips })
        }
        found => Err(EntryError::ExtentType { found }),
    }
}

fn simple_map(raw: &RawFile) -> RawSimpleMap {
    zerocopy::transmute!(raw.map)
}

fn interleaved_map(raw: &RawFile) -> RawInterleavedMap {
    zerocopy::transmute!(raw.map)
}

fn first(extents: &[RawExtent; MAX_EXTENTS], count: u64) -> Option<Vec<Extent>> {
    Some(extents.get(..usize::try_from(count).ok()?)?.iter().map(Extent::from).collect())
}

fn fill(slots: &mut [RawExtent; MAX_EXTENTS], extents: &[Extent]) -> u32 {
    let mut count = 0;
    for (slot, extent) in slots.iter_mut().zip(extents) {
        *slot = extent.into();
        count += 1;
    }
    count
}
