//! The famfs log of any image, read as far as it can be read.

use famfs_format::{
    ENTRY_LEN, FormatError, LOG_OFFSET, LogEntry, LogHeader, Namespace, Superblock, entry_offset,
};
use farrow_region::Media;

use crate::error::{Result, StoreError};
use crate::volume::{read_log_header, read_superblock};

/// The superblock and log of a famfs file system, damaged or not.
#[derive(Debug)]
pub struct FamfsLog {
    /// The superblock; without one nothing else is known.
    pub superblock: Option<Superblock>,
    /// The log's header, if it can be read.
    pub header: Option<LogHeader>,
    /// Every entry that can be read by itself, by index. One that replay refuses is among them, and so are those
    /// behind it; [`namespace`](Self::namespace) has neither.
    pub entries: Vec<LogEntry>,
    /// The namespace that a replay serves: files and directories as far as the first bad entry.
    pub namespace: Option<Namespace>,
    /// Everything that is wrong, in the order of the medium; files that replay passes over come last.
    pub problems: Vec<FormatError>,
}

/// Reads superblock and log of any famfs image, and nothing else; nothing is written.
///
/// A bad entry ends the replay, not the reading: what stands behind it is listed too. Without a valid header,
/// whose counter says where the log ends, entries are read as far as the first that is none.
///
/// # Errors
/// Only what the medium says: whatever its bytes are is in [`FamfsLog::problems`].
pub fn read_log(media: &dyn Media) -> Result<FamfsLog> {
    let mut log = FamfsLog {
        superblock: None,
        header: None,
        entries: Vec::new(),
        namespace: None,
        problems: Vec::new(),
    };
    match read_superblock(media) {
        Ok(superblock) => log.fill(media, superblock)?,
        Err(StoreError::Famfs(fault)) => log.problems.push(fault),
        Err(error) => return Err(error),
    }
    Ok(log)
}

impl FamfsLog {
    fn fill(&mut self, media: &dyn Media, superblock: Superblock) -> Result<()> {
        let superblock = &*self.superblock.insert(superblock);
        let short = superblock.check_media_len(media.len()).err();
        self.problems.extend(short);
        // A medium that ends within the log is too short for its superblock, which has been said.
        let Some(room) = media.len().checked_sub(entry_offset(0)) else { return Ok(()) };
        let fits = room / ENTRY_LEN as u64;

        let claimed = match read_log_header(media, superblock) {
            Ok((header, apart)) => {
                self.problems.extend(apart);
                self.header.insert(header).next_index()
            }
            Err(StoreError::Famfs(fault)) => {
                self.problems.push(fault);
                LogHeader::new(superblock.log_len)?.capacity()
            }
            Err(error) => return Err(error),
        };
        self.read_entries(media, claimed.min(fits))
    }

    fn read_entries(&mut self, media: &dyn Media, count: u64) -> Result<()> {
        let Some(superblock) = &self.superblock else { return Ok(()) };
        let namespace = self.namespace.insert(Namespace::new(superblock));
        let mut stopped = false;
        media.refresh(LOG_OFFSET, entry_offset(count) - LOG_OFFSET)?;
        for index in 0..count {
            let mut bytes = [0; ENTRY_LEN];
            media.read_at(entry_offset(index), &mut bytes)?;
            let entry = LogEntry::decode(&bytes, index, superblock.version);
            if entry.is_err() && self.header.is_none() {
                break;
            }
            let applied = namespace.apply_bytes(&bytes);
            match (entry, applied) {
                (Ok(entry), Ok(_)) => self.entries.push(entry),
                // Said once of all that follow the bad entry.
                (Ok(entry), Err(fault @ FormatError::Stopped { .. })) => {
                    self.entries.push(entry);
                    if !stopped {
                        self.problems.push(fault);
                    }
                    stopped = true;
                }
                (Ok(entry), Err(fault)) => {
                    self.entries.push(entry);
                    self.problems.push(fault);
                }
                (Err(fault), _) => self.problems.push(fault),
            }
        }
        self.problems.extend(namespace.passed_over().map(|(_, shared)| shared.clone()));
        Ok(())
    }
}
