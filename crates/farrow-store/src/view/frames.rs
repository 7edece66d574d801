//! Frames: looked up, listed, watched.

use std::ops::Bound;
use std::sync::Arc;

use super::View;
use crate::changes::{Change, Changes};
use crate::error::{Result, StoreError};
use crate::frame::Version;
use crate::name::FrameName;
use crate::state::State;

/// The most names that a message suggests.
const NEAR: usize = 3;

/// Segments that one look at a frame's versions goes through: nothing is committed meanwhile.
const SEGMENTS: usize = 16 * 1024;

/// A version in the list of its frame's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// The version.
    pub version: Arc<Version>,
    /// Bytes of extents that no other version has, and that are therefore given up when this one alone is dropped.
    pub own_bytes: u64,
}

impl View {
    /// A version of a frame; `None` is the latest. It is not held: its bytes may be reused at any time.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`], [`StoreError::VersionGone`], [`StoreError::Stopped`].
    pub fn get(&self, name: &FrameName, version: Option<u64>) -> Result<Arc<Version>> {
        find(&*self.state.state()?, name, version)
    }

    /// All versions of a frame, oldest first.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`], [`StoreError::Stopped`].
    pub fn versions(&self, name: &FrameName) -> Result<Vec<Arc<Version>>> {
        let state = self.state.state()?;
        let frame = state.frame(name).ok_or_else(|| not_found(&state, name))?;
        Ok(frame.versions.values().cloned().collect())
    }

    /// The versions of a frame behind the number `after`, oldest first: at most `limit` of them, and fewer where they
    /// have very many segments. None are left behind the last one once there is none in the answer.
    ///
    /// # Errors
    /// [`StoreError::FrameNotFound`], [`StoreError::Stopped`].
    pub fn versions_behind(&self, name: &FrameName, after: u64, limit: usize) -> Result<Vec<ListedVersion>> {
        let state = self.state.state()?;
        let frame = state.frame(name).ok_or_else(|| not_found(&state, name))?;
        let behind = frame.versions.range((Bound::Excluded(after), Bound::Unbounded)).take(limit);
        let mut segments = 0;
        let within = behind.take_while(|(_, version)| {
            let first = segments == 0;
            segments += version.segments.len();
            first || segments <= SEGMENTS
        });
        let listed = |version: &Arc<Version>| ListedVersion {
            version: Arc::clone(version),
            own_bytes: state.own_bytes(version),
        };
        Ok(within.map(|(_, version)| listed(version)).collect())
    }

    /// The changes behind the record `seq`, of the frames that `concerns` says; about `limit` changes, oldest
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
        let state = self.state.state()?;
        let recent = self.state.recent();
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
                _ => {
                    // Of several drops the last one tells what is left.
                    changes.changes.retain(
                        |told| !matches!(told, Change::Dropped { name: before, .. } if before == name),
                    );
                    changes.changes.push(Change::Dropped {
                        name: name.clone(),
                        seq: *changed,
                        latest: latest.map(|latest| latest.number),
                    });
                }
            }
        }
        Ok(Some(changes))
    }

    /// Has `wake` called after each change of what look-ups find, with its sequence number, on the thread that made
    /// the change and before it goes on. There can be one.
    pub fn on_change(&self, wake: impl Fn(u64) + Send + Sync + 'static) {
        self.state.on_change(Box::new(wake));
    }

    /// The latest version of each frame whose name begins with the text `start`, by name, at most `limit` of them,
    /// beginning behind `after`.
    pub fn list(&self, start: &str, after: Option<&FrameName>, limit: usize) -> Vec<Arc<Version>> {
        list(&self.state.look(), start, after, limit)
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

pub(super) fn list(state: &State, start: &str, after: Option<&FrameName>, limit: usize) -> Vec<Arc<Version>> {
    let from = match after.map(FrameName::as_str) {
        Some(after) if after >= start => Bound::Excluded(after),
        _ => Bound::Included(start),
    };
    state
        .names()
        .range::<str, _>((from, Bound::Unbounded))
        .take_while(|name| name.as_str().starts_with(start))
        .filter_map(|name| state.frame(name)?.latest().cloned())
        .take(limit)
        .collect()
}

/// The error, with the first names below this one, or else with the neighbours in the order of names that share at least
/// half of the name's beginning.
fn not_found(state: &State, name: &FrameName) -> StoreError {
    let alike = |other: &&FrameName| {
        let pairs = name.as_str().chars().zip(other.as_str().chars());
        pairs.take_while(|(a, b)| a == b).count() * 2 >= name.as_str().chars().count()
    };
    let names = state.names();
    let below = format!("{name}/");
    let below = names
        .range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded))
        .take_while(|other| other.as_str().starts_with(&below))
        .take(NEAR)
        .cloned()
        .collect::<Vec<_>>();
    if !below.is_empty() {
        return StoreError::FrameNotFound { name: name.clone(), near: below };
    }
    let after = names.range::<str, _>((Bound::Excluded(name.as_str()), Bound::Unbounded));
    let before = names.range::<str, _>((Bound::Unbounded, Bound::Excluded(name.as_str()))).rev();
    let near = after.take_while(alike).take(2).chain(before.take_while(alike).take(2));
    StoreError::FrameNotFound { name: name.clone(), near: near.take(NEAR).cloned().collect() }
}
