//! Residue of earlier writers in the pools.
//!
//! Extents are given out as they are: with the rows of a frame that was dropped, of a put that was given up, of whatever
//! the medium held before. A commit of bytes that were not written publishes those. So it is remembered who wrote last
//! into which part of the pools, and a writer is given only its own bytes, and zeros. All else is unknown: at the start of the
//! agent that is everything. A part that is forgotten costs time, and shows nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use farrow_store::Extent;

use crate::caller::Writer;

/// The most parts that are told apart, some ten megabytes of them. Beyond that everything is forgotten.
const MAX_PARTS: usize = 1 << 17;

/// The last writer of each part of the pools.
#[derive(Debug, Default)]
pub(super) struct Residue {
    parts: Mutex<Parts>,
    /// Taken for each piece that is zeroed for a writer: all of them together take one processor.
    zeroing: Mutex<()>,
}

/// The content of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    /// Zeros, written by the agent.
    Zeros,
    /// Bytes of this writer, and zeros.
    By(Arc<Writer>),
}

/// Parts of the pools, none of which overlap; what is in none is unknown.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Pool and offset to length and content. Neighbours of the same content are joined.
    by_place: BTreeMap<(u32, u64), (u64, Left)>,
}

impl Residue {
    /// The first part of the extents that holds what another one wrote, or may. If there is none, the writer may be
    /// given them as they are.
    pub(super) fn first_other(&self, extents: &[Extent], writer: Option<&Writer>) -> Option<Extent> {
        let own = |left: &Left| match left {
            Left::Zeros => true,
            Left::By(by) => writer == Some(&**by),
        };
        let parts = self.parts();
        extents.iter().find_map(|extent| parts.first_without(extent, own))
    }

    /// All of the extents is this writer's from now on. Whoever was given them must not be told of them, or write there,
    /// before this returns: free space is zeroed under the same lock.
    pub(super) fn give(&self, extents: &[Extent], writer: Option<&Writer>) {
        let left = writer.map(|writer| Left::By(Arc::new(writer.clone())));
        let mut parts = self.parts();
        extents.iter().for_each(|extent| parts.set(extent, left.clone()));
    }

    /// The same, of extents that the agent writes over for this writer: what it does not get to is as it was.
    pub(super) fn overwrite(&self, extents: &[Extent], writer: Option<&Writer>) {
        let clean = self.first_other(extents, writer).is_none();
        self.give(extents, writer.filter(|_| clean));
    }

    /// A turn to zero a piece for a writer.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.zeroing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn parts(&self) -> MutexGuard<'_, Parts> {
        // After a panic half way something is unknown that was known.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    /// Says what lies in an extent; `None`: anything.
    pub(super) fn set(&mut self, extent: &Extent, left: Option<Left>) {
        let (pool, start, end) = (extent.pool, extent.offset, extent.offset + extent.len);
        self.split(pool, start);
        self.split(pool, end);
        let within: Vec<_> =
            self.by_place.range((pool, start)..(pool, end)).map(|(&place, _)| place).collect();
        for place in within {
            self.by_place.remove(&place);
        }
        let Some(left) = left else { return };
        if self.by_place.len() >= MAX_PARTS {
            self.by_place.clear();
        }
        self.by_place.insert((pool, start), (extent.len, left));
        self.join(pool, end);
        self.join(pool, start);
    }

    /// The first part of an extent of which nothing is known.
    pub(super) fn first_unknown(&self, extent: &Extent) -> Option<Extent> {
        self.first_without(extent, |_| true)
    }

    /// The first part of an extent that has nothing of what is meant.
    fn first_without(&self, extent: &Extent, meant: impl Fn(&Left) -> bool) -> Option<Extent> {
        let (pool, end) = (extent.pool, extent.offset + extent.len);
        let mut at = extent.offset;
        let reaching = self.by_place.range(..(pool, at)).next_back();
        let within = self.by_place.range((pool, at)..(pool, end));
        for (&(of, from), &(len, ref left)) in reaching.into_iter().chain(within) {
            if of != pool || from + len <= at || !meant(left) {
                continue;
            }
            if from > at {
                return Some(Extent { pool, offset: at, len: from - at });
            }
            at = from + len;
        }
        (at < end).then(|| Extent { pool, offset: at, len: end - at })
    }

    /// Makes two of a part that lies on both sides of a place.
    fn split(&mut self, pool: u32, at: u64) {
        let Some((&(of, from), (len, left))) = self.by_place.range_mut(..(pool, at)).next_back() else {
            return;
        };
        let end = from + *len;
        if of == pool && end > at {
            *len = at - from;
            let left = left.clone();
            self.by_place.insert((pool, at), (end - at, left));
        }
    }

    /// Makes one of the two parts that meet at a place, if they are alike.
    fn join(&mut self, pool: u32, at: u64) {
        let Some((behind, left)) = self.by_place.get(&(pool, at)).cloned() else { return };
        let before = self.by_place.range_mut(..(pool, at)).next_back();
        if let Some((&(of, from), (len, there))) = before
            && (of, from + *len) == (pool, at)
            && *there == left
        {
            *len += behind;
            self.by_place.remove(&(pool, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;
    const PAGES: u64 = 64;

    fn pages(from: u64, count: u64) -> Extent {
        Extent { pool: 1, offset: from * PAGE, len: count * PAGE }
    }

    fn writer(uid: u32) -> Writer {
        Writer { uid, token: None }
    }

    #[test]
    fn a_writer_is_given_its_own_bytes_and_zeros_and_nothing_else() {
        let residue = Residue::default();
        let all = [pages(0, 4), pages(8, 4)];
        assert_eq!(residue.first_other(&all, Some(&writer(1))), Some(all[0]), "unknown");
        residue.give(&all, Some(&writer(1)));
        assert_eq!(residue.first_other(&all, Some(&writer(1))), None);
        assert_eq!(residue.first_other(&all[1..], Some(&writer(2))), Some(all[1]));
        let with_token = Writer { uid: 1, token: Some("etl".into()) };
        assert_eq!(residue.first_other(&all, Some(&with_token)), Some(all[0]));
        assert_eq!(residue.first_other(&all, None), Some(all[0]), "nobody is the same as nobody");
        residue.parts().set(&pages(0, 3), Some(Left::Zeros));
        assert_eq!(residue.first_other(&all, None), Some(pages(3, 1)));
        residue.give(&all, None);
        assert_eq!(residue.first_other(&all, None), Some(all[0]));
    }

    #[test]
    fn what_is_written_over_may_be_left_half_way() {
        let residue = Residue::default();
        let part = [pages(0, 4)];
        residue.give(&part, Some(&writer(1)));
        residue.overwrite(&part, Some(&writer(2)));
        assert!(residue.first_other(&part, Some(&writer(1))).is_some());
        assert!(residue.first_other(&part, Some(&writer(2))).is_some());
        residue.give(&part, Some(&writer(2)));
        residue.overwrite(&part, Some(&writer(2)));
        assert_eq!(residue.first_other(&part, Some(&writer(2))), None);
    }

    /// Against one entry for each page.
    #[test]
    fn parts_are_as_if_each_page_were_one() {
        let mut random = 1_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let (mut parts, mut model) = (Parts::default(), vec![None; usize::try_from(PAGES).unwrap()]);
        for _ in 0..20_000 {
            let from = next(PAGES);
            let extent = pages(from, 1 + next((PAGES - from).min(9)));
            let left = match next(4) {
                0 => None,
                1 => Some(Left::Zeros),
                uid => Some(Left::By(Arc::new(writer(u32::try_from(uid).unwrap())))),
            };
            parts.set(&extent, left.clone());
            let page = |at: u64| usize::try_from(at / PAGE).unwrap();
            model[page(extent.offset)..page(extent.offset + extent.len)].fill(left);

            let first = parts.first_unknown(&pages(0, PAGES));
            let unknown = model.iter().position(Option::is_none);
            assert_eq!(first.map(|extent| page(extent.offset)), unknown);
            if let Some(first) = first {
                assert!(
                    model[page(first.offset)..page(first.offset + first.len)].iter().all(Option::is_none)
                );
                assert!(model.get(page(first.offset + first.len)).is_none_or(Option::is_some));
            }
            let mut from_parts = vec![None; model.len()];
            for (&(_, offset), (len, left)) in &parts.by_place {
                from_parts[page(offset)..page(offset + len)].fill(Some(left.clone()));
            }
            assert_eq!(from_parts, model);
            let joined = model.windows(2).filter(|pair| pair[0] != pair[1] && pair[1].is_some()).count();
            assert_eq!(parts.by_place.len(), joined + usize::from(model[0].is_some()));
        }
    }
}
