//! A reader of a region's catalog beside the master: in another process, or on another host.

use std::sync::Arc;

use farrow_region::Media;
use uuid::Uuid;

use crate::catalog::{CatalogFault, CatalogFile, Place, Record};
use crate::error::{Result, StoreError};
use crate::frame::Version;
use crate::ledger::{ATTEMPTS, replay_beside};
use crate::name::FrameName;
use crate::prefix::Prefix;
use crate::retention::RetentionRule;
use crate::state::State;
use crate::store::{find, list, name_retentions, prefix_retentions, versions};
use crate::volume::{FarrowFiles, PoolFile, Volume};

/// A copy of what the catalog says that follows what the master commits.
///
/// It writes nothing and locks nothing; the master does not know of it. It has the state of one moment, whole, and each
/// [`poll`](Self::poll) one that is not older. That it finds a version does not keep the version's bytes: leases
/// do, which are the agents' business.
pub struct Follower {
    media: Arc<dyn Media>,
    region: Uuid,
    pools: Vec<PoolFile>,
    /// The place of the catalog on the medium: offset and length.
    place: (u64, u64),
    /// Stands behind the last record that has been read.
    catalog: CatalogFile,
    state: State,
    /// A record could not be applied: only all of the region, read anew, can tell why.
    torn: bool,
}

impl Follower {
    /// Reads a region, on any host.
    ///
    /// # Errors
    /// [`StoreError::NotFarrow`] for a famfs file system without farrow's files; what is wrong with superblock, log
    /// or catalog; [`StoreError::Overtaken`] if the master compacts faster than this can read.
    pub fn open(media: Arc<dyn Media>) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            if let Some(follower) = Self::read(&media)? {
                return Ok(follower);
            }
        }
        Err(StoreError::Overtaken { attempts: ATTEMPTS })
    }

    /// Takes in what was committed since. Returns whether anything was.
    ///
    /// If nothing was, it costs the refresh and the load of one cache line.
    ///
    /// # Errors
    /// As for [`open`](Self::open). What was there stays, and another poll may succeed.
    pub fn poll(&mut self) -> Result<bool> {
        let seq = self.state.seq();
        for _ in 0..ATTEMPTS {
            if self.catch_up()? {
                return Ok(self.state.seq() != seq);
            }
        }
        Err(StoreError::Overtaken { attempts: ATTEMPTS })
    }

    /// The UUID of the region: that of its famfs file system.
    pub fn region_uuid(&self) -> Uuid {
        self.region
    }

    /// The pool files, by index.
    pub fn pools(&self) -> &[PoolFile] {
        &self.pools
    }

    /// The master's epoch.
    pub fn epoch(&self) -> u64 {
        self.state.epoch()
    }

    /// The sequence number of the last record taken in.
    pub fn seq(&self) -> u64 {
        self.state.seq()
    }

    /// A version of a frame; `None` is the latest.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`], [`StoreError::VersionGone`].
    pub fn get(&self, name: &FrameName, version: Option<u64>) -> Result<Arc<Version>> {
        find(&self.state, name, version)
    }

    /// All versions of a frame, oldest first.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`].
    pub fn versions(&self, name: &FrameName) -> Result<Vec<Arc<Version>>> {
        versions(&self.state, name)
    }

    /// The latest version of each frame whose name begins with the text `start`, by name, at most `limit` of them,
    /// beginning behind `after`.
    pub fn list(&self, start: &str, after: Option<&FrameName>, limit: usize) -> Vec<Arc<Version>> {
        list(&self.state, start, after, limit)
    }

    /// The retentions of prefixes, by the text of the prefix, at most `limit` of them, beginning behind `after`.
    pub fn prefix_retentions(&self, after: Option<&Prefix>, limit: usize) -> Vec<RetentionRule> {
        prefix_retentions(&self.state, after, limit)
    }

    /// The retentions of single names that begin with the text `start`, by name, at most `limit` of them, beginning behind
    /// `after`.
    pub fn name_retentions(
        &self,
        start: &str,
        after: Option<&FrameName>,
        limit: usize,
    ) -> Vec<RetentionRule> {
        name_retentions(&self.state, start, after, limit)
    }

    /// Reads everything. `None` if the catalog was compacted meanwhile.
    fn read(media: &Arc<dyn Media>) -> Result<Option<Self>> {
        let volume = Volume::read(&**media)?;
        let region = volume.superblock.uuid;
        let FarrowFiles { catalog: place, pools } = volume.farrow_files()?;
        let replayed = replay_beside(&**media, place, region, &pools)?;
        let Some((state, catalog)) = replayed else { return Ok(None) };
        Ok(Some(Self { media: Arc::clone(media), region, pools, place, catalog, state, torn: false }))
    }

    /// Takes in everything up to what the commit word says at the beginning. Returns whether that was possible; if
    /// not, it is worth another attempt.
    fn catch_up(&mut self) -> Result<bool> {
        if self.torn {
            return self.read_anew();
        }
        let word = self.catalog.look(&*self.media)?;
        if !self.catalog.is_live(word) {
            return self.move_over();
        }
        if self.catalog.committed() != word.committed {
            self.catalog.check_head(&*self.media)?;
        }
        while self.catalog.committed() != word.committed {
            let mut ahead = self.catalog.clone();
            let records = ahead.read_on(&*self.media, word);
            // Without this, bytes of a checkpoint that is being written could be taken for records.
            if !self.catalog.is_live(self.catalog.look(&*self.media)?) {
                return self.move_over();
            }
            if !self.apply(&records?) {
                self.torn = true;
                return Ok(false);
            }
            self.catalog = ahead;
        }
        self.catalog.check_epoch(word, self.state.epoch())?;
        Ok(true)
    }

    /// Applies records up to the first that cannot be, which may be of a pool file that is new. True if all were.
    fn apply(&mut self, records: &[Record]) -> bool {
        // Behind a checkpoint the log may begin with what is known already.
        let known = self.state.seq();
        let news = records.iter().filter(|record| record.seq > known);
        news.map(|record| self.state.apply(Place::Log, record)).all(|applied| applied.is_ok())
    }

    /// Goes to the half that is live now: with what is known, if that goes as far as its checkpoint.
    fn move_over(&mut self) -> Result<bool> {
        let Some(mut catalog) = open_catalog(&*self.media, self.place, self.region)? else {
            return Ok(false);
        };
        if catalog.start().1 > self.state.seq() {
            return self.read_anew();
        }
        catalog.rewind_to_log();
        self.catalog = catalog;
        Ok(false)
    }

    fn read_anew(&mut self) -> Result<bool> {
        let Some(read) = Self::read(&self.media)? else { return Ok(false) };
        if read.region != self.region {
            let (found, expected) = (read.region, self.region);
            return Err(CatalogFault::HeadRegion { found, expected }.into());
        }
        *self = read;
        Ok(true)
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (place, seq) = (self.media.describe(), self.seq());
        f.debug_struct("Follower")
            .field("region", &self.region)
            .field("media", &place)
            .field("seq", &seq)
            .finish()
    }
}

/// Finds the live half. `None` if it changed while it was looked for.
fn open_catalog(media: &dyn Media, (offset, len): (u64, u64), region: Uuid) -> Result<Option<CatalogFile>> {
    let before = CatalogFile::look_at(media, offset)?;
    let opened = CatalogFile::open(media, offset, len, region);
    let after = CatalogFile::look_at(media, offset)?;
    if after.serial == before.serial { opened.map(Some) } else { Ok(None) }
}
