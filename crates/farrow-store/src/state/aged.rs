//! Versions that are older than their frames keep them.

use std::ops::Bound;

use super::{Frame, State};
use crate::name::FrameName;

/// Frames and versions that one look goes through: some milliseconds, in which nothing is committed.
const LOOKS: usize = 4096;

/// Versions that one look returns.
const FOUND: usize = 256;

/// Behind which version of which frame the next look begins; `None`: with the first frame.
pub(crate) type Place = Option<(FrameName, u64)>;

impl State {
    /// Versions behind `place` that are too old at a time (microseconds since the Unix epoch), and where to go on.
    pub(crate) fn aged(&self, place: &Place, now_micros: i64) -> (Vec<(FrameName, u64)>, Place) {
        self.aged_within((LOOKS, FOUND), place, now_micros)
    }

    pub(super) fn aged_within(
        &self,
        (most_looks, most_found): (usize, usize),
        place: &Place,
        now_micros: i64,
    ) -> (Vec<(FrameName, u64)>, Place) {
        let mut found = Vec::new();
        if !self.retentions.any_ages() {
            return (found, None);
        }
        let from = place.as_ref().map_or("", |(name, _)| name.as_str());
        let mut looks = 0;
        for name in self.names.range::<str, _>((Bound::Included(from), Bound::Unbounded)) {
            let Some(frame) = self.frames.get(name) else { continue };
            let behind = place.as_ref().filter(|(first, _)| first == name).map_or(0, |(_, number)| *number);
            if looks >= most_looks {
                return (found, Some((name.clone(), behind)));
            }
            looks += 1;
            // The only version is the latest.
            let several = frame.versions.len() > 1;
            let Some(until) = self.retentions.of(name).too_old(now_micros).filter(|_| several) else {
                continue;
            };
            for &number in frame.versions.range((Bound::Excluded(behind), Bound::Unbounded)).map(|(n, _)| n) {
                if is_older(frame, number, until) {
                    found.push((name.clone(), number));
                }
                looks += 1;
                if looks >= most_looks || found.len() >= most_found {
                    return (found, Some((name.clone(), number)));
                }
            }
        }
        (found, None)
    }

    /// True if the version is there, is not the latest, and is older than its frame keeps versions.
    pub(crate) fn is_aged(&self, name: &FrameName, number: u64, now_micros: i64) -> bool {
        let until = self.retentions.of(name).too_old(now_micros);
        let frame = self.frames.get(name);
        until.zip(frame).is_some_and(|(until, frame)| is_older(frame, number, until))
    }
}

/// True of a version that was committed by then, and that another one has followed.
fn is_older(frame: &Frame, number: u64, until_micros: i64) -> bool {
    let is_latest = frame.latest().is_some_and(|latest| latest.number == number);
    let version = frame.versions.get(&number);
    !is_latest && version.is_some_and(|version| version.committed_at_micros <= until_micros)
}
