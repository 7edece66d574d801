//! What readers ask: find, list, hold.

use std::num::NonZeroU64;
use std::ops::Bound;
use std::sync::Arc;

use super::Store;
use crate::changes::{Change, Changes};
use crate::error::{Result, StoreError};
use crate::frame::Version;
use crate::name::{FrameName, FrameRef};
use crate::state::State;

/// How many names a message suggests.
const NEAR: usize = 3;

impl Store {
    /// A version of a frame; `None` is the latest. It is not held: its bytes may be reused at any time.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`], [`StoreError::VersionGone`], [`StoreError::Stopped`].
    pub fn get(&self, name: &FrameName, version: Option<u64>) -> Result<Arc<Version>> {
        find(&*self.view.state()?, name, version)
    }

    /// A version of a frame, its bytes held until [`release`](Self::release). Holds count: each needs its own
    /// release. They end with this store; after a restart everything is in quarantine instead.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn acquire(&self, name: &FrameName, version: Option<u64>) -> Result<Arc<Version>> {
        // Until the hold is counted nobody can drop the version.
        let state = self.view.state()?;
        let version = find(&state, name, version)?;
        self.holds().acquire(&version);
        Ok(version)
    }

    /// As [`acquire`](Self::acquire), of several frames as of one moment; and the sequence number of the last change
    /// before it.
    ///
    /// # Errors
    /// [`StoreError::Stopped`]; of each frame those of [`get`](Self::get).
    pub fn acquire_all(&self, frames: &[FrameRef]) -> Result<(Vec<Result<Arc<Version>>>, u64)> {
        let state = self.view.state()?;
        let found: Vec<_> = frames.iter().map(|frame| find(&state, &frame.name, frame.version)).collect();
        let mut holds = self.holds();
        found.iter().flatten().for_each(|version| holds.acquire(version));
        Ok((found, state.seq()))
    }

    /// Takes back one hold. If the version was dropped and this was the last one, its extents are free: at once, or
    /// as soon as whoever makes a change at this moment is done.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] if nobody has acquired it; [`StoreError::Stopped`].
    pub fn release(&self, version: &Version) -> Result<()> {
        {
            let state = self.view.state()?;
            let mut holds = self.holds();
            if !holds.release(version) {
                return Err(StoreError::NotHeld { name: version.name.clone(), version: version.number });
            }
            // Most often there is none, and nothing to write.
            let waiting = version.segments.iter().map(|segment| segment.id);
            holds.add_released(waiting.filter(|id| state.orphans().contains(id)));
        }
        self.settle();
        Ok(())
    }

    /// All versions of a frame, oldest first.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`], [`StoreError::Stopped`].
    pub fn versions(&self, name: &FrameName) -> Result<Vec<Arc<Version>>> {
        versions(&*self.view.state()?, name)
    }

    /// What has changed behind the record `seq`, of the frames that `concerns` says; about `limit` changes, oldest
    /// first, and of each frame only the last one. `None` if more has happened since than is remembered: then
    /// [`list`](Self::list) says what there is.
    ///
    /// # Errors
    /// [`StoreError::Stopped`].
    pub fn changed_since(
        &self,
        seq: u64,
        concerns: impl Fn(&FrameName) -> bool,
        limit: usize,
    ) -> Result<Option<Changes>> {
        // Nothing is applied as long as this is locked.
        let state = self.view.state()?;
        let recent = self.view.recent();
        let Some(since) = recent.since(seq) else { return Ok(None) };
        let mut changes = Changes { changes: Vec::new(), up_to: state.seq() };
        let mut examined = seq;
        for (changed, name) in since {
            // Changes by one record stay together.
            if changes.changes.len() >= limit && *changed != examined {
                changes.up_to = examined;
                break;
            }
            examined = *changed;
            if !concerns(name) {
                continue;
            }
            let latest = state.frame(name).and_then(|frame| frame.latest());
            match latest {
                Some(latest) if latest.seq == *changed => {
                    changes.changes.push(Change::Committed(Arc::clone(latest)));
                }
                // A later change tells it.
                Some(latest) if latest.seq > *changed => {}
                _ => changes.changes.push(Change::Dropped {
                    name: name.clone(),
                    seq: *changed,
                    latest: latest.map(|latest| latest.number),
                }),
            }
        }
        Ok(Some(changes))
    }

    /// Has `wake` called after each change of what look-ups find, with its sequence number, on the thread that made
    /// the change and before it goes on. There can be one.
    pub fn on_change(&self, wake: impl Fn(u64) + Send + Sync + 'static) {
        self.view.on_change(Box::new(wake));
    }

    /// How many of its latest versions a frame keeps, if not all: see [`retain`](Self::retain). `None` for a frame
    /// that does not exist, too.
    pub fn retention(&self, name: &FrameName) -> Option<NonZeroU64> {
        NonZeroU64::new(self.view.look().frame(name)?.retention)
    }

    /// The latest version of each frame whose name begins with `prefix`, by name, at most `limit` of them,
    /// beginning behind `after`.
    pub fn list(&self, prefix: &str, after: Option<&FrameName>, limit: usize) -> Vec<Arc<Version>> {
        list(&self.view.look(), prefix, after, limit)
    }
}

pub(crate) fn find(state: &State, name: &FrameName, version: Option<u64>) -> Result<Arc<Version>> {
    let frame = state.frame(name).ok_or_else(|| not_found(state, name))?;
    let latest = frame.latest().ok_or_else(|| not_found(state, name))?;
    match version {
        None => Ok(Arc::clone(latest)),
        Some(version) => frame.versions.get(&version).cloned().ok_or_else(|| StoreError::VersionGone {
            name: name.clone(),
            version,
            given: frame.last_number,
            oldest: frame.versions.first_key_value().map_or(latest.number, |(&oldest, _)| oldest),
            latest: latest.number,
            count: frame.versions.len(),
        }),
    }
}

pub(crate) fn versions(state: &State, name: &FrameName) -> Result<Vec<Arc<Version>>> {
    let frame = state.frame(name).ok_or_else(|| not_found(state, name))?;
    Ok(frame.versions.values().cloned().collect())
}

pub(crate) fn list(
    state: &State,
    prefix: &str,
    after: Option<&FrameName>,
    limit: usize,
) -> Vec<Arc<Version>> {
    let start = match after.map(FrameName::as_str) {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    state
        .names()
        .range::<str, _>((start, Bound::Unbounded))
        .take_while(|name| name.as_str().starts_with(prefix))
        .filter_map(|name| state.frame(name)?.latest().cloned())
        .take(limit)
        .collect()
}

/// The error, with the neighbours in the order of names that share at least half of the name's beginning.
pub(super) fn not_found(state: &State, name: &FrameName) -> StoreError {
    let alike = |other: &&FrameName| {
        let pairs = name.as_str().chars().zip(other.as_str().chars());
        pairs.take_while(|(a, b)| a == b).count() * 2 >= name.as_str().chars().count()
    };
    let names = state.names();
    let after = names.range::<str, _>((Bound::Excluded(name.as_str()), Bound::Unbounded));
    let before = names.range::<str, _>((Bound::Unbounded, Bound::Excluded(name.as_str()))).rev();
    let near = after.take_while(alike).take(2).chain(before.take_while(alike).take(2));
    StoreError::FrameNotFound { name: name.clone(), near: near.take(NEAR).cloned().collect() }
}
