//! Parts of something, each once, side by side.

use std::ops::Range;

/// Ranges that may lie anywhere and share what they like, and where each begins once all that they cover is put
/// side by side, in its order and nothing of it twice.
pub(crate) struct Spans {
    /// Apart from each other, ascending; and where each begins then.
    merged: Vec<(Range<usize>, usize)>,
}

impl Spans {
    /// Of ranges none of which is empty.
    pub(crate) fn of(mut ranges: Vec<Range<usize>>) -> Self {
        if !ranges.is_sorted_by_key(|range| range.start) {
            ranges.sort_unstable_by_key(|range| range.start);
        }
        let mut merged: Vec<(Range<usize>, usize)> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some((last, _)) if range.start <= last.end => last.end = last.end.max(range.end),
                last => {
                    let begins = last.map_or(0, |(last, begins)| *begins + last.len());
                    merged.push((range, begins));
                }
            }
        }
        Self { merged }
    }

    /// The length of all together.
    pub(crate) fn total(&self) -> usize {
        self.merged.last().map_or(0, |(range, begins)| begins + range.len())
    }

    /// Returns what they cover, in its order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.merged.iter().map(|(range, _)| range.clone())
    }

    /// Returns where what was at `start`, of one of the ranges, is then; 0 for what is before all of them.
    pub(crate) fn position(&self, start: usize) -> usize {
        let behind = self.merged.partition_point(|(range, _)| range.start <= start);
        self.merged.get(behind.wrapping_sub(1)).map_or(0, |(range, begins)| begins + (start - range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_twice_and_all_in_order() {
        let spans = Spans::of(vec![10..20, 3..5, 12..15, 20..21, 3..4]);
        assert_eq!(spans.ranges().collect::<Vec<_>>(), [3..5, 10..21]);
        assert_eq!(spans.total(), 13);
        assert_eq!([3, 4, 10, 12, 20].map(|start| spans.position(start)), [0, 1, 2, 4, 12]);
        assert_eq!(Spans::of(Vec::new()).total(), 0);
    }
}
