//! The retentions that are set.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::ops::Bound;

use crate::catalog::{RetentionSet, retention_record_len};
use crate::name::FrameName;
use crate::prefix::Prefix;
use crate::retention::{Retention, RetentionRule, RetentionTarget};

/// The retention of one name or prefix, and the user who set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) retention: Retention,
    pub(crate) uid: u32,
}

/// All retentions. One holds for a frame as a whole: its own, or else that of the longest prefix that has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Retentions {
    /// Of single names.
    names: BTreeMap<FrameName, Setting>,
    /// Of prefixes, by their text.
    prefixes: BTreeMap<String, Setting>,
    /// The number of `names` that have no frame yet.
    waiting: usize,
    /// The number of prefixes and of waiting names that each user has set.
    by_user: HashMap<u32, usize>,
    /// The number of those that have an age.
    aging: usize,
    /// Bytes of the records that keep all this in a checkpoint.
    records_len: u64,
}

impl Retentions {
    /// The retention that holds for a frame of this name.
    pub(super) fn of(&self, name: &FrameName) -> Retention {
        self.names.get(name).map_or_else(|| self.by_prefix(name, None), |own| own.retention)
    }

    /// The one that would hold for it after this change.
    pub(super) fn of_after(&self, name: &FrameName, set: &RetentionSet) -> Retention {
        match &set.target {
            RetentionTarget::Frame(changed) if changed == name => {
                set.retention.unwrap_or_else(|| self.by_prefix(name, None))
            }
            RetentionTarget::Prefix(prefix) if !self.names.contains_key(name) => {
                self.by_prefix(name, Some((prefix.text(), set.retention)))
            }
            _ => self.of(name),
        }
    }

    /// The retention of the longest prefix of a name that has one, with `changed` in place of what that prefix has.
    fn by_prefix(&self, name: &FrameName, changed: Option<(&str, Option<Retention>)>) -> Retention {
        if self.prefixes.is_empty() && changed.is_none() {
            return Retention::default();
        }
        let found = prefixes_of(name.as_str()).find_map(|text| match changed {
            Some((prefix, retention)) if prefix == text => retention,
            _ => self.prefixes.get(text).map(|setting| setting.retention),
        });
        found.unwrap_or_default()
    }

    /// The retention that is set for a name or prefix, with its user.
    pub(super) fn get(&self, target: &RetentionTarget) -> Option<&Setting> {
        match target {
            RetentionTarget::Frame(name) => self.names.get(name),
            RetentionTarget::Prefix(prefix) => self.prefixes.get(prefix.text()),
        }
    }

    /// Makes a change. `waits` is true of a name that has no frame.
    pub(super) fn set(&mut self, set: &RetentionSet, waits: bool) {
        let setting = set.retention.map(|retention| Setting { retention, uid: set.uid });
        let (before, counted, text) = match &set.target {
            RetentionTarget::Frame(name) => {
                let before = replace(self.names.entry(name.clone()), setting);
                if waits {
                    self.waiting += usize::from(setting.is_some());
                    self.waiting -= usize::from(before.is_some());
                }
                (before, waits, name.as_str())
            }
            RetentionTarget::Prefix(prefix) => {
                (replace(self.prefixes.entry(prefix.text().to_owned()), setting), true, prefix.text())
            }
        };
        let len = retention_record_len(text);
        for setting in setting.iter() {
            self.records_len += len;
            self.aging += usize::from(setting.retention.max_age_seconds.is_some());
            if counted {
                self.count(setting.uid, 1);
            }
        }
        for setting in before.iter() {
            self.records_len -= len;
            self.aging -= usize::from(setting.retention.max_age_seconds.is_some());
            if counted {
                self.count(setting.uid, -1);
            }
        }
    }

    /// A frame keeps so many of its latest versions, 0 for all, and each as long as its own retention said.
    pub(super) fn keep(&mut self, name: &FrameName, last: u64, uid: u32) {
        let own = self.names.get(name).map_or_else(Retention::default, |own| own.retention);
        let retention = Some(Retention { last: NonZeroU64::new(last), ..own });
        self.set(&RetentionSet { target: RetentionTarget::Frame(name.clone()), retention, uid }, false);
    }

    /// A name has a frame from here on.
    pub(super) fn came(&mut self, name: &FrameName) {
        if let Some(&Setting { uid, .. }) = self.names.get(name) {
            self.waiting -= 1;
            self.count(uid, -1);
        }
    }

    /// A name has no frame any more, and what was set for it alone ends.
    pub(super) fn went(&mut self, name: &FrameName) {
        let target = RetentionTarget::Frame(name.clone());
        self.set(&RetentionSet { target, retention: None, uid: 0 }, false);
    }

    fn count(&mut self, uid: u32, change: isize) {
        let count = self.by_user.entry(uid).or_default();
        *count = count.saturating_add_signed(change);
        // Equal states are equal whatever was there before.
        if *count == 0 {
            self.by_user.remove(&uid);
        }
    }

    /// The number of prefixes and waiting names that have one, and the number of these that a user has set.
    pub(super) fn counted(&self, uid: u32) -> (usize, usize) {
        (self.prefixes.len() + self.waiting, self.by_user.get(&uid).copied().unwrap_or(0))
    }

    /// The number of retentions.
    pub(super) fn len(&self) -> usize {
        self.names.len() + self.prefixes.len()
    }

    /// True if any says how long versions are kept.
    pub(super) fn any_ages(&self) -> bool {
        self.aging > 0
    }

    /// Bytes of the records of all of them.
    pub(super) fn records_len(&self) -> u64 {
        self.records_len
    }

    /// Those of prefixes from a text on, by their text.
    pub(super) fn of_prefixes(&self, from: Bound<&str>) -> impl DoubleEndedIterator<Item = RetentionRule> {
        let prefixes = self.prefixes.range::<str, _>((from, Bound::Unbounded));
        prefixes.filter_map(|(text, &Setting { retention, uid })| {
            // Each key is the text of a prefix, so it parses.
            let target = RetentionTarget::Prefix(Prefix::parse(text).ok()?);
            Some(RetentionRule { target, retention, uid })
        })
    }

    /// Those of single names from a name on, in order.
    pub(super) fn of_names(&self, from: Bound<&str>) -> impl Iterator<Item = (&FrameName, RetentionRule)> {
        self.names.range::<str, _>((from, Bound::Unbounded)).map(|(name, &Setting { retention, uid })| {
            (name, RetentionRule { target: RetentionTarget::Frame(name.clone()), retention, uid })
        })
    }
}

fn replace<K: Ord>(entry: Entry<'_, K, Setting>, setting: Option<Setting>) -> Option<Setting> {
    match (entry, setting) {
        (Entry::Occupied(mut there), Some(setting)) => Some(there.insert(setting)),
        (Entry::Occupied(there), None) => Some(there.remove()),
        (Entry::Vacant(vacant), Some(setting)) => {
            vacant.insert(setting);
            None
        }
        (Entry::Vacant(_), None) => None,
    }
}

/// The texts of all prefixes in which a frame of this name is, the longest first: of `a/b` they are `a/b`, `a/`, `a` and
/// the empty one.
fn prefixes_of(name: &str) -> impl Iterator<Item = &str> {
    let shorter = name.rmatch_indices('/').flat_map(|(at, _)| [&name[..=at], &name[..at]]);
    std::iter::once(name).chain(shorter).chain([""])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_prefixes_that_cover_it() {
        for name in ["a", "a/b", "größe/ä/x-y"] {
            let texts: Vec<_> = prefixes_of(name).collect();
            assert!(texts.is_sorted_by_key(|text| std::cmp::Reverse(text.len())), "{texts:?}");
            let name = FrameName::parse(name).unwrap();
            for text in &texts {
                let prefix = Prefix::parse(text).unwrap();
                assert!(prefix.covers(&name) && prefix.text() == *text, "{text:?} {name:?}");
            }
            assert_eq!(texts.len(), 2 * name.as_str().split('/').count());
        }
    }
}
