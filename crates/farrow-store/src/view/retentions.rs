//! Retentions, and the versions that they are for.

use std::ops::Bound;

use super::View;
use crate::name::FrameName;
use crate::old_versions::OldVersions;
use crate::prefix::Prefix;
use crate::retention::{Retention, RetentionRule};

impl View {
    /// The retention that holds for a frame of this name: see [`retain`](crate::Store::retain).
    pub fn retention(&self, name: &FrameName) -> Retention {
        self.state.look().retention(name)
    }

    /// The retentions of prefixes, by the text of the prefix, at most `limit` of them, beginning behind `after`. There are
    /// at most [`MAX_RETENTIONS`](crate::MAX_RETENTIONS).
    pub fn prefix_retentions(&self, after: Option<&Prefix>, limit: usize) -> Vec<RetentionRule> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.text()));
        self.state.look().prefix_retentions(from).take(limit).collect()
    }

    /// The retentions of single names that begin with the text `start`, by name, at most `limit` of them, beginning behind
    /// `after`.
    pub fn name_retentions(
        &self,
        start: &str,
        after: Option<&FrameName>,
        limit: usize,
    ) -> Vec<RetentionRule> {
        let from = match after.map(FrameName::as_str) {
            Some(after) if after >= start => Bound::Excluded(after),
            _ => Bound::Included(start),
        };
        let state = self.state.look();
        let names = state.name_retentions(from).take_while(|(name, _)| name.as_str().starts_with(start));
        names.map(|(_, rule)| rule).take(limit).collect()
    }

    /// The frame whose versions before its latest hold most, of those that `may` takes.
    pub fn most_old(&self, may: impl Fn(&FrameName) -> bool) -> Option<OldVersions> {
        self.state.look().most_old(may)
    }
}
