//! The segments of a version, in a list that versions share.

use std::fmt;
use std::ops::{Index, Range};
use std::sync::Arc;

use crate::frame::Segment;

/// Segments in a block of the list. A version that extends another copies less than one block, and the addresses of the
/// others.
const BLOCK: usize = 64;

type Block = Arc<[Arc<Segment>]>;

/// The segments of a version, in order: at least one.
///
/// A version that extends another shares the other's list but for its end, so that the versions of a frame that grows
/// by appends take memory in proportion to their number. Cheap to clone.
#[derive(Clone, Default)]
pub struct Segments {
    /// Full ones.
    blocks: Arc<[Block]>,
    /// Less than a block.
    rest: Block,
}

impl Segments {
    /// The number of segments.
    pub fn len(&self) -> usize {
        self.blocks.len() * BLOCK + self.rest.len()
    }

    /// True if there is none, which no version's list is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The segment at a position from 0.
    pub fn get(&self, index: usize) -> Option<&Arc<Segment>> {
        match self.blocks.get(index / BLOCK) {
            Some(block) => block.get(index % BLOCK),
            None => self.rest.get(index - self.blocks.len() * BLOCK),
        }
    }

    /// The first one.
    pub fn first(&self) -> Option<&Arc<Segment>> {
        self.get(0)
    }

    /// All of them, from both ends.
    pub fn iter(&self) -> SegmentsIter<'_> {
        self.iter_from(0)
    }

    /// Those from a position on.
    pub(crate) fn iter_from(&self, start: usize) -> SegmentsIter<'_> {
        SegmentsIter { segments: self, range: start..self.len() }
    }

    /// These, and more behind them.
    pub(crate) fn extended(&self, more: impl IntoIterator<Item = Arc<Segment>>) -> Self {
        let mut rest = self.rest.to_vec();
        let mut full: Vec<Block> = Vec::new();
        for segment in more {
            rest.push(segment);
            if rest.len() == BLOCK {
                full.push(std::mem::take(&mut rest).into());
            }
        }
        let blocks = match full.is_empty() {
            true => Arc::clone(&self.blocks),
            false => self.blocks.iter().cloned().chain(full).collect(),
        };
        Self { blocks, rest: rest.into() }
    }
}

impl FromIterator<Arc<Segment>> for Segments {
    fn from_iter<I: IntoIterator<Item = Arc<Segment>>>(segments: I) -> Self {
        Self::default().extended(segments)
    }
}

impl<'a> IntoIterator for &'a Segments {
    type Item = &'a Arc<Segment>;
    type IntoIter = SegmentsIter<'a>;

    fn into_iter(self) -> SegmentsIter<'a> {
        self.iter()
    }
}

impl Index<usize> for Segments {
    type Output = Arc<Segment>;

    /// As of a slice.
    fn index(&self, index: usize) -> &Arc<Segment> {
        self.get(index).expect("the index of a segment is less than their number")
    }
}

impl PartialEq for Segments {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other)
    }
}

impl Eq for Segments {}

impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Iterates over [`Segments`].
#[derive(Clone, Debug)]
pub struct SegmentsIter<'a> {
    segments: &'a Segments,
    range: Range<usize>,
}

impl<'a> Iterator for SegmentsIter<'a> {
    type Item = &'a Arc<Segment>;

    fn next(&mut self) -> Option<Self::Item> {
        self.segments.get(self.range.next()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl DoubleEndedIterator for SegmentsIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.segments.get(self.range.next_back()?)
    }
}

impl ExactSizeIterator for SegmentsIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Validation;

    fn segments(ids: Range<u64>) -> Vec<Arc<Segment>> {
        let segment = |id| Segment {
            id,
            len: 1,
            generation: id,
            extents: Vec::new(),
            rows: 0,
            batches: 0,
            validation: Validation::None,
            metadata_digest: 0,
            checksums: Vec::new(),
        };
        ids.map(|id| Arc::new(segment(id))).collect()
    }

    fn ids(list: &Segments) -> Vec<u64> {
        list.iter().map(|segment| segment.id).collect()
    }

    #[test]
    fn a_list_grows_and_what_it_was_stays() {
        let mut lists = vec![Segments::default()];
        for id in 0..300 {
            let longer = lists.last().unwrap().extended(segments(id..id + 1));
            lists.push(longer);
        }
        for (len, list) in (0..).zip(&lists) {
            assert_eq!(ids(list), (0..len).collect::<Vec<_>>());
            assert_eq!((list.len() as u64, list.is_empty()), (len, len == 0));
            assert_eq!(list.first().map(|segment| segment.id), (len > 0).then_some(0));
            assert_eq!(*list, segments(0..len).into_iter().collect());
            assert!(list.iter().rev().map(|segment| segment.id).eq((0..len).rev()));
            let from = list.len() / 3;
            assert!(list.iter_from(from).map(|segment| segment.id).eq(from as u64..len));
            assert!(list.get(list.len()).is_none());
        }
        assert_ne!(lists[1], lists[2]);
        assert_ne!(lists[1], segments(1..2).into_iter().collect());
        assert_eq!(format!("{:?}", lists[1]), format!("{:?}", segments(0..1)));
        assert_eq!(lists[200][130].id, 130);
    }

    /// Blocks by their address, each once: two thousand lists of a thousand segments on average.
    #[test]
    fn lists_share_their_blocks() {
        let mut list = Segments::default();
        let (mut blocks, mut addresses) = (std::collections::HashSet::new(), 0);
        for id in 0..2000 {
            list = list.extended(segments(id..id + 1));
            blocks.extend(list.blocks.iter().map(|block| block.as_ptr()));
            addresses += list.rest.len();
        }
        assert_eq!(blocks.len(), 2000 / BLOCK);
        assert!(addresses < 2000 * BLOCK, "{addresses}");
        let twice = list.extended(Vec::new());
        assert!(Arc::ptr_eq(&twice.blocks, &list.blocks));
    }
}
