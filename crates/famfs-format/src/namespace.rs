//! The result of a replay of the log: files, directories, and the space that is left.

use std::collections::BTreeMap;

use crate::error::{EntryError, FormatError};
use crate::extent::Extent;
use crate::free_space::FreeSpace;
use crate::geometry::{ALLOC_UNIT, FormatVersion};
use crate::log::{EntryBody, FileEntry, LogEntry, MkdirEntry, claimed_by_bytes};
use crate::path::RelPath;
use crate::raw::ENTRY_ADD_DAXDEV;
use crate::superblock::Superblock;

/// The files and directories of a log, and the allocator of its data area.
///
/// Entries go in from index 0 on, through [`apply`](Self::apply) or [`apply_bytes`](Self::apply_bytes), the
/// same way when a log is read and when an entry has just been written to it.
///
/// The first entry that is refused stops the replay. What came before stays as it is and can be read; later
/// entries only have their space marked, and [`allocate`](Self::allocate) refuses, because the space of an
/// entry that cannot be read is not known.
///
/// One kind of bad entry stops nothing: a file that is sound but for extents that an earlier file has, as `famfs clone`
/// makes it. Its path and its space are taken, and it is [passed over](Self::passed_over): no file of the namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    version: FormatVersion,
    data_offset: u64,
    device_len: u64,
    next_index: u64,
    stopped_at: Option<u64>,
    files: BTreeMap<RelPath, FileEntry>,
    /// The extents of `files`, which do not overlap: start, and end with the file's path.
    owners: BTreeMap<u64, (u64, RelPath)>,
    passed_over: BTreeMap<RelPath, FormatError>,
    dirs: BTreeMap<RelPath, MkdirEntry>,
    free: FreeSpace,
}

impl Namespace {
    /// The namespace of an empty log.
    ///
    /// Its capacity is the superblock's `device_len`, which is under no checksum: hold it against the medium
    /// first, with [`Superblock::check_media_len`].
    pub fn new(superblock: &Superblock) -> Self {
        Self {
            version: superblock.version,
            data_offset: superblock.data_offset(),
            device_len: superblock.device_len,
            next_index: 0,
            stopped_at: None,
            files: BTreeMap::new(),
            owners: BTreeMap::new(),
            passed_over: BTreeMap::new(),
            dirs: BTreeMap::new(),
            free: FreeSpace::new(superblock.data_offset(), superblock.device_len),
        }
    }

    /// Decodes and applies the next entry of the log.
    ///
    /// # Errors
    /// As [`LogEntry::decode`] and [`apply`](Self::apply). The space of a refused entry counts as used as
    /// far as it can be known: its checksum matches, and the extent is inside the data area.
    pub fn apply_bytes(&mut self, bytes: &[u8]) -> Result<LogEntry, FormatError> {
        match LogEntry::decode(bytes, self.next_index, self.version) {
            Ok(entry) => self.apply(&entry).map(|()| entry),
            Err(error) => {
                self.take(&claimed_by_bytes(bytes));
                Err(self.refuse(error))
            }
        }
    }

    /// Applies the next entry of the log: makes its file or directory, and marks its space as used.
    ///
    /// # Errors
    /// As [`check`](Self::check), but for a file that is [passed over](Self::passed_over). The replay stops there, and
    /// the space of the refused entry counts as used where it is inside the data area.
    pub fn apply(&mut self, entry: &LogEntry) -> Result<(), FormatError> {
        let verdict = self.check(entry);
        self.take(entry.extents());
        match (verdict, &entry.body) {
            (Ok(()), _) => {}
            (Err(shared), EntryBody::File(file)) if shared.is_shared_extent() => {
                self.next_index += 1;
                self.passed_over.insert(file.path.clone(), shared);
                return Ok(());
            }
            (Err(error), _) => return Err(self.refuse(error)),
        }
        self.next_index += 1;
        match &entry.body {
            EntryBody::File(file) => {
                for extent in file.map.extents() {
                    // It was in the data area, so it does not wrap around.
                    let end = extent.offset.saturating_add(extent.len);
                    self.owners.insert(extent.offset, (end, file.path.clone()));
                }
                self.files.insert(file.path.clone(), file.clone());
            }
            EntryBody::Mkdir(dir) => {
                self.dirs.insert(dir.path.clone(), dir.clone());
            }
            EntryBody::AddDaxdev(_) => {}
        }
        Ok(())
    }

    /// Checks whether [`apply`](Self::apply) would make the file or directory of `entry`, as the next one; without any
    /// effect, so that a writer can ask before it writes.
    ///
    /// # Errors
    /// [`FormatError::Entry`] if the sequence number is not the next one, the path exists, its parent does
    /// not or is a file, or if an extent is not aligned, outside the data area, in use, or too short for the
    /// file's size. [`FormatError::Stopped`] after a bad entry.
    pub fn check(&self, entry: &LogEntry) -> Result<(), FormatError> {
        if let Some(index) = self.stopped_at {
            return Err(FormatError::Stopped { index });
        }
        let index = self.next_index;
        if entry.seqnum != index {
            return Err(EntryError::Seqnum { found: entry.seqnum, expected: index }.at(index));
        }
        entry.validate()?;
        let problem = match &entry.body {
            EntryBody::File(file) => {
                self.check_path(&file.path).and_then(|()| self.check_extents(file.map.extents()))
            }
            EntryBody::Mkdir(dir) => self.check_path(&dir.path),
            EntryBody::AddDaxdev(_) if self.version < FormatVersion::V48 => {
                Err(EntryError::Type { found: ENTRY_ADD_DAXDEV, version: self.version })
            }
            EntryBody::AddDaxdev(_) => Ok(()),
        };
        problem.map_err(|problem| problem.at(index))
    }

    /// The extent of a new file of `len_bytes` bytes: first fit, contiguous, in whole units. It is marked only
    /// when the file's entry is applied.
    ///
    /// # Errors
    /// [`FormatError::EmptyAllocation`] for no bytes, [`FormatError::NoSpace`] if no free range is long
    /// enough, [`FormatError::Stopped`] after a bad entry.
    pub fn allocate(&self, len_bytes: u64) -> Result<Extent, FormatError> {
        if let Some(index) = self.stopped_at {
            return Err(FormatError::Stopped { index });
        }
        if len_bytes == 0 {
            return Err(FormatError::EmptyAllocation);
        }
        let len = len_bytes.checked_next_multiple_of(ALLOC_UNIT);
        match len.and_then(|len| Some(Extent { dev_index: 0, offset: self.free.first_fit(len)?, len })) {
            Some(extent) => Ok(extent),
            None => Err(FormatError::NoSpace {
                need: len.unwrap_or(len_bytes),
                largest_free: self.largest_free(),
                free: self.free_bytes(),
            }),
        }
    }

    /// The files, by path.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &FileEntry> {
        self.files.values()
    }

    /// The directories, by path, the root not among them.
    pub fn dirs(&self) -> impl ExactSizeIterator<Item = &MkdirEntry> {
        self.dirs.values()
    }

    /// Files that are none of the namespace because an earlier one has some of their memory, by path, with what they
    /// share: [`EntryError::Overlap`] or [`EntryError::OverlapPassedOver`].
    pub fn passed_over(&self) -> impl ExactSizeIterator<Item = (&RelPath, &FormatError)> {
        self.passed_over.iter()
    }

    /// The file of this path.
    pub fn file(&self, path: &RelPath) -> Option<&FileEntry> {
        self.files.get(path)
    }

    /// The directory of this path.
    pub fn dir(&self, path: &RelPath) -> Option<&MkdirEntry> {
        self.dirs.get(path)
    }

    /// Index and sequence number of the next entry: how many have been accepted, or, after a bad one, read.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Index of the bad entry that stopped the replay.
    pub fn stopped_at(&self) -> Option<u64> {
        self.stopped_at
    }

    /// Bytes of the largest free range.
    pub fn largest_free(&self) -> u64 {
        self.free.largest()
    }

    /// Free bytes in all.
    pub fn free_bytes(&self) -> u64 {
        self.free.bytes()
    }

    fn check_path(&self, path: &RelPath) -> Result<(), EntryError> {
        let is_file = |path: &RelPath| self.files.contains_key(path) || self.passed_over.contains_key(path);
        if is_file(path) || self.dirs.contains_key(path) {
            return Err(EntryError::Exists { path: path.clone() });
        }
        match path.parent() {
            Some(parent) if is_file(&parent) => Err(EntryError::ParentIsFile { path: path.clone(), parent }),
            Some(parent) if !self.dirs.contains_key(&parent) => {
                Err(EntryError::NoParent { path: path.clone(), parent })
            }
            _ => Ok(()),
        }
    }

    fn check_extents(&self, extents: &[Extent]) -> Result<(), EntryError> {
        // First of all extents: one that is not in the data area makes the whole entry one that nobody may believe.
        if let Some(extent) = extents.iter().find(|extent| !self.in_bounds(extent)) {
            let (data_offset, device_len) = (self.data_offset, self.device_len);
            return Err(EntryError::Bounds { extent: *extent, data_offset, device_len });
        }
        let Some(extent) = extents.iter().find(|extent| !self.free.contains(extent)) else { return Ok(()) };
        Err(match self.owner(extent) {
            Some((other, path)) => EntryError::Overlap { extent: *extent, other, path: path.clone() },
            None => EntryError::OverlapPassedOver { extent: *extent },
        })
    }

    fn in_bounds(&self, extent: &Extent) -> bool {
        extent.offset >= self.data_offset && extent.end().is_some_and(|end| end <= self.device_len)
    }

    /// The last file of the namespace that has bytes of `extent`, and its extent.
    fn owner(&self, extent: &Extent) -> Option<(Extent, &RelPath)> {
        let (&offset, (end, path)) = self.owners.range(..extent.end()?).next_back()?;
        (*end > extent.offset).then(|| (Extent { dev_index: 0, offset, len: end - offset }, path))
    }

    fn take(&mut self, extents: &[Extent]) {
        for extent in extents.iter().filter(|extent| extent.dev_index == 0) {
            if self.in_bounds(extent) {
                self.free.take(extent);
            }
        }
    }

    fn refuse(&mut self, error: FormatError) -> FormatError {
        let index = self.next_index;
        self.next_index += 1;
        match self.stopped_at {
            Some(index) => FormatError::Stopped { index },
            None => {
                self.stopped_at = Some(index);
                error
            }
        }
    }
}
