//! Arrow files that others put into the famfs file system, and the famfs log that names them, as it grows.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use famfs_format::{
    ENTRY_LEN, EntryBody, FileEntry, FormatError, LogEntry, LogHeader, Namespace, RelPath, Superblock,
    entry_offset,
};
use farrow_region::Media;

use crate::error::{Result, StoreError};
use crate::identity;
use crate::name::{FrameName, NameFault};
use crate::state::State;
use crate::volume::{FARROW_DIR, push_run, read_log_header};

/// The end of the path of such a file.
const SUFFIX: &str = ".arrow";

/// Entries of the famfs log behind which no file is a frame.
const MAX_INDEX: u32 = 1 << 31;

/// An Arrow file that another program put into the famfs file system: a frame of one version.
///
/// Farrow knows where its bytes are and nothing else of them. It never writes or frees them; whoever has the
/// right to write the file may do so at any time. famfs names a file before its bytes are there, so they may
/// still be on their way, and until they have come their place holds whatever it held: an older Arrow file's, perhaps,
/// whose footer is at the right place. Nothing in the bytes tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFile {
    /// Its path in the famfs file system, which is its name as a frame.
    pub name: FrameName,
    /// Index of its entry in the famfs log, less than 2^31; no other file of the region ever has it.
    pub index: u32,
    /// Exact bytes of the file.
    pub len: u64,
    /// The place where it lies on the medium, in the order of the file: (offset, length) in bytes, in whole allocation
    /// units but for the last.
    pub extents: Vec<(u64, u64)>,
    file: FileEntry,
    /// 0 until it is asked for.
    version: u64,
}

impl ForeignFile {
    /// The number of its one version: 1, or a higher number than any that frames of its name had in the catalog.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Its path in the famfs file system.
    pub fn path(&self) -> &RelPath {
        &self.file.path
    }

    /// Copies the bytes at `offset` into all of `out`.
    ///
    /// # Errors
    /// [`StoreError::PastEnd`]; what the medium says.
    pub fn read_at(&self, media: &dyn Media, offset: u64, out: &mut [u8]) -> Result<()> {
        let past_end =
            || StoreError::PastEnd { name: self.name.clone(), offset, len: out.len() as u64, size: self.len };
        let end = offset.checked_add(out.len() as u64).filter(|&end| end <= self.len);
        end.ok_or_else(past_end)?;
        let (mut offset, mut rest) = (offset, out);
        while !rest.is_empty() {
            let wanted = rest.len();
            let (at, run) = self
                .file
                .resolve(offset)
                .ok_or(StoreError::Internal { what: "a file of the famfs log has its bytes" })?;
            let here = usize::try_from(run).map_or(wanted, |run| run.min(wanted));
            let (piece, behind) = rest.split_at_mut(here);
            media.refresh(at, here as u64)?;
            media.read_at(at, piece)?;
            (offset, rest) = (offset + here as u64, behind);
        }
        Ok(())
    }

    fn new(name: FrameName, index: u32, file: &FileEntry) -> Self {
        let mut extents = Vec::new();
        file.runs().for_each(|run| push_run(&mut extents, run));
        Self { name, index, len: file.size, extents, file: file.clone(), version: 0 }
    }
}

/// The reason why an Arrow file of the famfs log is no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnamed {
    /// The file.
    pub path: RelPath,
    /// The reason why its path is no name of a frame.
    pub fault: NameFault,
}

/// The famfs log, followed as it grows: it is append-only, so what has been read stays.
pub(crate) struct FollowedLog {
    superblock: Superblock,
    /// The header as it was read last.
    header: LogHeader,
    namespace: Namespace,
    fault: Option<FormatError>,
    files: BTreeMap<FrameName, Arc<ForeignFile>>,
    unnamed: Vec<Unnamed>,
}

impl FollowedLog {
    /// Reads the log from its beginning. `superblock` fits the medium.
    pub(crate) fn read(media: &dyn Media, superblock: &Superblock) -> Result<Self> {
        let mut followed = Self {
            superblock: superblock.clone(),
            header: LogHeader::new(superblock.log_len)?,
            namespace: Namespace::new(superblock),
            fault: None,
            files: BTreeMap::new(),
            unnamed: Vec::new(),
        };
        followed.follow(media)?;
        Ok(followed)
    }

    /// Reads what has been added since: superblock and header if that is nothing.
    ///
    /// An entry that cannot be read ends what is served. It is tried again the next time: of a writer on another
    /// host the count may be seen before the entry. A header that cannot be read, or whose counters differ, takes
    /// nothing away.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] if this is the log of another file system by now; what the medium says. What is wrong
    /// with the log is in [`fault`](Self::fault).
    pub(crate) fn follow(&mut self, media: &dyn Media) -> Result<()> {
        identity::check_superblock(media, &self.superblock)?;
        self.fault = match read_log_header(media, &self.superblock) {
            Ok((header, apart)) => {
                if apart.is_none() {
                    identity::check_log(media, &self.superblock, &self.header, &header)?;
                }
                let fault = self.apply_up_to(media, &header)?;
                if header.next_index() > self.header.next_index() {
                    self.header = header;
                }
                fault.or(apart)
            }
            Err(StoreError::Famfs(fault)) => Some(fault),
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// The log's header, with the most entries that it ever counted.
    pub(crate) fn header(&self) -> &LogHeader {
        &self.header
    }

    /// All files of the log.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns what was wrong with the log when it was looked at last: a header or the first entry that could not be
    /// read.
    pub(crate) fn fault(&self) -> Option<&FormatError> {
        self.fault.as_ref()
    }

    /// The file of this name, with a number that no version of the catalog has had under the name. `state` is the
    /// catalog's.
    ///
    /// The file keeps its number as long as the catalog is known not to have given it, so that a reader finds again what
    /// it has listed. In another run of the program it may have a higher number, and never one that was another version's.
    pub(crate) fn file(&mut self, name: &FrameName, state: &State) -> Option<Arc<ForeignFile>> {
        let file = self.files.get_mut(name)?;
        if file.version <= state.known_number(name) {
            Arc::make_mut(file).version = state.highest_number(name).saturating_add(1);
        }
        Some(Arc::clone(file))
    }

    /// The file whose entry has this index in the log.
    pub(crate) fn file_at(&self, index: u32) -> Option<&Arc<ForeignFile>> {
        self.files.values().find(|file| file.index == index)
    }

    /// Files whose name begins with `prefix`, by name, at most `limit` of them, beginning behind `after`; with the
    /// numbers that [`file`](Self::file) gives them.
    pub(crate) fn list(
        &mut self,
        prefix: &str,
        after: Option<&FrameName>,
        limit: usize,
        state: &State,
    ) -> Vec<Arc<ForeignFile>> {
        let start = match after.map(FrameName::as_str) {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let found = self.files.range::<str, _>((start, Bound::Unbounded));
        let names = found.map(|(name, _)| name).take_while(|name| name.as_str().starts_with(prefix));
        let names: Vec<FrameName> = names.take(limit).cloned().collect();
        names.iter().filter_map(|name| self.file(name, state)).collect()
    }

    /// The names of all files, in order.
    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &FrameName> {
        self.files.keys()
    }

    /// Arrow files that cannot be frames, in the order of the log.
    pub(crate) fn unnamed(&self) -> &[Unnamed] {
        &self.unnamed
    }

    /// Files that are not served because an earlier one has some of their memory, by path, with what they share.
    pub(crate) fn passed_over(&self) -> impl Iterator<Item = (&RelPath, &FormatError)> {
        self.namespace.passed_over()
    }

    fn apply_up_to(&mut self, media: &dyn Media, header: &LogHeader) -> Result<Option<FormatError>> {
        let first = self.namespace.next_index();
        let Some(new) = header.next_index().checked_sub(first).filter(|&new| new > 0) else {
            return Ok(None);
        };
        media.refresh(entry_offset(first), new.saturating_mul(ENTRY_LEN as u64))?;
        for index in first..header.next_index() {
            let mut bytes = [0; ENTRY_LEN];
            media.read_at(entry_offset(index), &mut bytes)?;
            // Applied only if it ends nothing: a bad one would end the name space for good.
            let judged = LogEntry::decode(&bytes, index, self.superblock.version)
                .map(|entry| (self.namespace.check(&entry), entry));
            match judged {
                Ok((Ok(()), entry)) => {
                    self.namespace.apply(&entry)?;
                    self.add(&entry);
                }
                Ok((Err(shared), entry)) if shared.is_shared_extent() => self.namespace.apply(&entry)?,
                Ok((Err(fault), _)) | Err(fault) => return Ok(Some(fault)),
            }
        }
        Ok(None)
    }

    fn add(&mut self, entry: &LogEntry) {
        let EntryBody::File(file) = &entry.body else { return };
        let path = file.path.as_str();
        let ours = path.split('/').next() == Some(FARROW_DIR);
        if ours || !path.ends_with(SUFFIX) {
            return;
        }
        let index = u32::try_from(entry.seqnum).ok().filter(|&index| index < MAX_INDEX);
        match (FrameName::parse(path), index) {
            (Ok(name), Some(index)) => {
                let file = ForeignFile::new(name.clone(), index, file);
                self.files.insert(name, Arc::new(file));
            }
            (Err(StoreError::BadName { fault, .. }), _) => {
                self.unnamed.push(Unnamed { path: file.path.clone(), fault });
            }
            // A log of so many entries has a terabyte. What is behind them is not served.
            _ => {}
        }
    }
}
