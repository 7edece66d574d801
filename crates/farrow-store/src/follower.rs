//! A reader of a region's catalog beside the master: in another process, or on another host.

use std::sync::Arc;

use farrow_region::Media;
use uuid::Uuid;

use crate::catalog::{CatalogFault, CatalogFile, Record};
use crate::error::{Result, StoreError};
use crate::ledger::{ATTEMPTS, replay_beside};
use crate::shared_state::SharedState;
use crate::state::State;
use crate::view::View;
use crate::volume::{FarrowFiles, Volume};

/// Feeds a [`View`] with what the master commits.
///
/// It writes nothing and locks nothing; the master does not know of it. The view has the state of one moment, whole, and
/// after each [`poll`](Self::poll) one that is not older. That a look-up finds a version does not keep the version's bytes:
/// leases do, which are the agents' business.
pub struct Follower {
    view: Arc<View>,
    /// Stands behind the last record that has been read.
    catalog: CatalogFile,
    /// A record could not be applied: only all of the region, read anew, can tell why.
    torn: bool,
}

/// All that is read of a region at first.
struct Read {
    volume: Volume,
    files: FarrowFiles,
    state: State,
    catalog: CatalogFile,
}

impl Follower {
    /// Reads a region, on any host.
    ///
    /// # Errors
    /// [`StoreError::NotFarrow`] for a famfs file system without farrow's files; what is wrong with superblock, log
    /// or catalog; [`StoreError::Overtaken`] if the master compacts faster than this can read.
    pub fn open(media: Arc<dyn Media>) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            if let Some(Read { volume, files, state, catalog }) = Read::all(&*media)? {
                let state = Arc::new(SharedState::new(state, &catalog));
                let view = View::new(media, volume, (files.catalog, files.pools), state, 0)?;
                return Ok(Self { view: Arc::new(view), catalog, torn: false });
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
        let seq = self.view.seq();
        for _ in 0..ATTEMPTS {
            if self.catch_up()? {
                self.view.state().set_committed(&self.catalog);
                let now = self.view.seq();
                if now != seq {
                    self.view.state().wake(now);
                }
                return Ok(now != seq);
            }
        }
        Err(StoreError::Overtaken { attempts: ATTEMPTS })
    }

    /// The region as it is read.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Takes in everything up to what the commit word says at the beginning. Returns whether that was possible; if
    /// not, it is worth another attempt.
    fn catch_up(&mut self) -> Result<bool> {
        if self.torn {
            return self.read_anew();
        }
        let word = self.catalog.look(&**self.view.media())?;
        if !self.catalog.is_live(word) {
            return self.move_over();
        }
        if self.catalog.committed() != word.committed {
            self.catalog.check_head(&**self.view.media())?;
        }
        while self.catalog.committed() != word.committed {
            let mut ahead = self.catalog.clone();
            let records = ahead.read_on(&**self.view.media(), word);
            // Without this, bytes of a checkpoint that is being written could be taken for records.
            if !self.catalog.is_live(self.catalog.look(&**self.view.media())?) {
                return self.move_over();
            }
            if !self.apply(&records?) {
                self.torn = true;
                return Ok(false);
            }
            self.catalog = ahead;
        }
        self.catalog.check_epoch(word, self.view.epoch())?;
        Ok(true)
    }

    /// Applies records up to the first that cannot be, which may be of a pool file that is new. True if all were.
    fn apply(&mut self, records: &[Record]) -> bool {
        // Behind a checkpoint the log may begin with what is known already.
        let known = self.view.seq();
        let news = records.iter().filter(|record| record.seq > known);
        news.map(|record| self.view.state().apply(record)).all(|applied| applied.is_ok())
    }

    /// Goes to the half that is live now: with what is known, if that goes as far as its checkpoint.
    fn move_over(&mut self) -> Result<bool> {
        let Some(mut catalog) =
            open_catalog(&**self.view.media(), self.view.catalog(), self.view.region_uuid())?
        else {
            return Ok(false);
        };
        if catalog.start().1 > self.view.seq() {
            return self.read_anew();
        }
        catalog.rewind_to_log();
        self.catalog = catalog;
        Ok(false)
    }

    fn read_anew(&mut self) -> Result<bool> {
        let Some(Read { volume, files, state, catalog }) = Read::all(&**self.view.media())? else {
            return Ok(false);
        };
        let (found, expected) = (volume.superblock.uuid, self.view.region_uuid());
        if found != expected {
            return Err(CatalogFault::HeadRegion { found, expected }.into());
        }
        // Before a look-up finds an extent of a new one.
        self.view.set_pools(files.pools);
        self.view.state().replace(state);
        (self.catalog, self.torn) = (catalog, false);
        Ok(true)
    }
}

impl Read {
    /// Reads everything. `None` if the catalog was compacted meanwhile.
    fn all(media: &dyn Media) -> Result<Option<Self>> {
        let volume = Volume::read(media)?;
        let files = volume.farrow_files()?;
        let replayed = replay_beside(media, files.catalog, volume.superblock.uuid, &files.pools)?;
        Ok(replayed.map(|(state, catalog)| Self { volume, files, state, catalog }))
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Follower").field(&self.view).finish()
    }
}

/// Finds the live half. `None` if it changed while it was looked for.
fn open_catalog(media: &dyn Media, (offset, len): (u64, u64), region: Uuid) -> Result<Option<CatalogFile>> {
    let before = CatalogFile::look_at(media, offset)?;
    let opened = CatalogFile::open(media, offset, len, region);
    let after = CatalogFile::look_at(media, offset)?;
    if after.serial == before.serial { opened.map(Some) } else { Ok(None) }
}
