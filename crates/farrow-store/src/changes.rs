//! Recent changes, for those who wait for them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::frame::Version;
use crate::name::FrameName;

/// Changes that are remembered: who is further behind looks at all frames instead.
const REMEMBERED: usize = 8192;

/// A change of what a look-up of a frame's latest version finds.
#[derive(Clone, Debug)]
pub enum Change {
    /// This version was committed, and is the latest still.
    Committed(Arc<Version>),
    /// The latest version was dropped.
    Dropped {
        /// Its frame.
        name: FrameName,
        /// Sequence number of the record that dropped it.
        seq: u64,
        /// The version that is the latest now, if there is any.
        latest: Option<u64>,
    },
}

/// Some changes, in their order.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The changes.
    pub changes: Vec<Change>,
    /// Sequence number up to which these are all; what comes later is asked for from here on.
    pub up_to: u64,
}

/// The last changes, by name: what a change has led to is looked up when somebody asks.
pub(crate) struct Recent {
    changes: VecDeque<(u64, FrameName)>,
    /// All changes behind this sequence number are remembered.
    complete_behind: u64,
}

impl Recent {
    /// Knows nothing of what was before `seq`.
    pub(crate) fn new(seq: u64) -> Self {
        Self { changes: VecDeque::new(), complete_behind: seq }
    }

    /// Record `seq` has changed what look-ups of `names` find.
    pub(crate) fn add(&mut self, seq: u64, names: Vec<FrameName>) {
        let too_many = (self.changes.len() + names.len()).saturating_sub(REMEMBERED);
        for (forgotten, _) in self.changes.drain(..too_many.min(self.changes.len())) {
            self.complete_behind = forgotten;
        }
        if names.len() > REMEMBERED {
            self.complete_behind = seq;
        } else {
            self.changes.extend(names.into_iter().map(|name| (seq, name)));
        }
    }

    /// The changes behind `seq`, or `None` if not all of them are remembered.
    pub(crate) fn since(&self, seq: u64) -> Option<impl Iterator<Item = &(u64, FrameName)>> {
        let known = self.changes.partition_point(|&(changed, _)| changed <= seq);
        (seq >= self.complete_behind).then(|| self.changes.range(known..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<FrameName> {
        (0..count).map(|index| FrameName::parse(&format!("f{index}")).unwrap()).collect()
    }

    fn since(recent: &Recent, seq: u64) -> Option<Vec<u64>> {
        recent.since(seq).map(|changes| changes.map(|&(seq, _)| seq).collect())
    }

    #[test]
    fn what_is_remembered_is_complete_or_it_is_nothing() {
        let mut recent = Recent::new(10);
        assert_eq!(since(&recent, 9), None, "nobody knows what was before");
        assert_eq!(since(&recent, 10), Some(vec![]));
        recent.add(11, names(1));
        recent.add(14, names(2));
        assert_eq!(since(&recent, 10), Some(vec![11, 14, 14]));
        assert_eq!(since(&recent, 11), Some(vec![14, 14]));
        assert_eq!(since(&recent, 20), Some(vec![]));

        recent.add(15, names(REMEMBERED - 2));
        assert_eq!(since(&recent, 10), None, "the oldest was forgotten");
        assert_eq!(since(&recent, 11).unwrap().len(), REMEMBERED);
        recent.add(16, names(1));
        assert_eq!(since(&recent, 13), None, "one of two of a record was forgotten");
        assert_eq!(since(&recent, 14).unwrap().len(), REMEMBERED - 1);
    }

    #[test]
    fn one_change_of_too_many_frames_is_not_remembered_at_all() {
        let mut recent = Recent::new(1);
        recent.add(2, names(1));
        recent.add(3, names(REMEMBERED + 1));
        assert_eq!(since(&recent, 2), None);
        assert_eq!(since(&recent, 3), Some(vec![]));
        recent.add(4, names(1));
        assert_eq!(since(&recent, 3), Some(vec![4]));
    }
}
