//! The state of a catalog as threads share it, with its recent changes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use crate::catalog::{CatalogFile, Place, Record};
use crate::changes::Recent;
use crate::error::{Result, StoreError};
use crate::state::State;

/// The state of a catalog, for everybody who looks at it while one writes or reads the catalog, which takes long: only
/// applying a record, which does not, keeps others out.
///
/// It has one feeder: the ledger of the master, or the follower of any other process.
pub(crate) struct SharedState {
    state: RwLock<State>,
    /// Set for ever once it is open whether a record exists.
    stopped: AtomicBool,
    /// Committed bytes of the catalog's live half, and the bytes of a half.
    committed: AtomicU64,
    half_len: u64,
    /// Only locked while `state` is, so that the two fit.
    recent: Mutex<Recent>,
    wake: OnceLock<Wake>,
}

type Wake = Box<dyn Fn(u64) + Send + Sync>;

impl SharedState {
    /// The state that `catalog` led to.
    pub(crate) fn new(state: State, catalog: &CatalogFile) -> Self {
        Self {
            recent: Mutex::new(Recent::new(state.seq())),
            wake: OnceLock::new(),
            state: RwLock::new(state),
            stopped: AtomicBool::new(false),
            committed: AtomicU64::new(catalog.committed()),
            half_len: catalog.half_len(),
        }
    }

    /// The state after all records so far; [`StoreError::Stopped`] once it cannot be relied on.
    pub(crate) fn state(&self) -> Result<RwLockReadGuard<'_, State>> {
        self.check_running()?;
        Ok(self.look())
    }

    /// The state after all records that are known to exist: for figures, which are still of use after the store has
    /// stopped.
    pub(crate) fn look(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Committed bytes of the catalog's live half, and the bytes of a half.
    pub(crate) fn catalog_bytes(&self) -> (u64, u64) {
        (self.committed.load(Ordering::Relaxed), self.half_len)
    }

    /// The last changes. The state is locked as long as they are.
    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `wake` after each change that [`recent`](Self::recent) has, from now on. Only the first one is called.
    pub(crate) fn on_change(&self, wake: Wake) {
        let _ = self.wake.set(wake);
    }

    /// Fails with [`StoreError::Stopped`] once the state cannot be relied on.
    pub(crate) fn check_running(&self) -> Result<()> {
        if self.stopped.load(Ordering::Acquire) { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// Applies the next record of the log. Returns true if look-ups of a latest version find something else now: whoever
    /// waits is [woken](Self::wake) by the feeder, once the record is known to stay.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for a record that does not fit the state; [`StoreError::Stopped`].
    pub(crate) fn apply(&self, record: &Record) -> Result<bool> {
        let mut state = self.state.write().map_err(|_| StoreError::Stopped)?;
        let names = state.latest_changed_by(&record.body);
        let changed = !names.is_empty();
        state.apply(Place::Log, record).map_err(|fault| StoreError::Unreadable { fault })?;
        self.recent().add(record.seq, names);
        Ok(changed)
    }

    /// Takes another state, which was read anew. No change behind the old one is remembered.
    pub(crate) fn replace(&self, new: State) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *self.recent() = Recent::new(new.seq());
        *state = new;
    }

    /// One more pool file is there.
    pub(crate) fn add_pool(&self, pool: u32, len: u64) -> Result<()> {
        self.state.write().map_err(|_| StoreError::Stopped)?.add_pool(pool, len);
        Ok(())
    }

    /// Tells the length of the live half, for figures.
    pub(crate) fn set_committed(&self, catalog: &CatalogFile) {
        self.committed.store(catalog.committed(), Ordering::Relaxed);
    }

    /// Tells whoever waits that look-ups find something else since record `seq`.
    pub(crate) fn wake(&self, seq: u64) {
        if let Some(wake) = self.wake.get() {
            wake(seq);
        }
    }

    /// From here on it is open what the catalog says, until that is decided.
    pub(crate) fn undecided(&self) -> Undecided<'_> {
        Undecided(self)
    }
}

/// While this lives it is open what the catalog says. Unless it is decided, by neither error nor panic, nothing that
/// depends on it is answered any more.
pub(crate) struct Undecided<'a>(&'a SharedState);

impl Undecided<'_> {
    pub(crate) fn decided(self) {
        std::mem::forget(self);
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
    }
}
