//! The frames whose old versions hold most.

use std::collections::BTreeSet;

use super::State;
use crate::name::FrameName;
use crate::old_versions::OldVersions;

/// Frames that are looked at for one answer.
const LOOKS: usize = 4096;

/// Bytes that versions before the latest have and the latest has not, by frame; frames without such bytes are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OldBytes(BTreeSet<(u64, FrameName)>);

impl OldBytes {
    /// A frame had `before` such bytes, and has `after`.
    pub(super) fn change(&mut self, name: &FrameName, before: u64, after: u64) {
        if before == after {
            return;
        }
        if before > 0 {
            self.0.remove(&(before, name.clone()));
        }
        if after > 0 {
            self.0.insert((after, name.clone()));
        }
    }
}

impl State {
    /// The frame whose old versions hold most, of those that `may` takes. `None`, too, if it takes none of the first
    /// few thousand.
    pub(crate) fn most_old(&self, may: impl Fn(&FrameName) -> bool) -> Option<OldVersions> {
        let (bytes, name) = self.old.0.iter().rev().take(LOOKS).find(|(_, name)| may(name))?;
        let versions = self.frames.get(name).map_or(0, |frame| frame.versions.len() as u64 - 1);
        Some(OldVersions { name: name.clone(), versions, bytes: *bytes })
    }
}
