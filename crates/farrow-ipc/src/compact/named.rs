//! The elements of a child that rows name by their place.

use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use arrow_schema::{ArrowError, DataType};

use super::pick::pick;
use crate::spans::Spans;

/// The range that some rows name, and how much of it.
#[derive(Clone)]
pub(super) struct Named {
    range: Range<usize>,
    /// Elements that are named; `None` if the rows go back and forth, or share some.
    count: Option<usize>,
}

impl Named {
    const NOTHING: Self = Self { range: 0..0, count: Some(0) };

    pub(super) fn of(rows: impl Iterator<Item = Range<usize>>) -> Self {
        let mut named = Self::NOTHING;
        rows.for_each(|row| named.add(&row));
        named
    }

    fn add(&mut self, row: &Range<usize>) {
        if row.is_empty() {
            return;
        }
        if self.range.is_empty() {
            *self = Self { range: row.clone(), count: Some(row.len()) };
            return;
        }
        self.count = self.count.filter(|_| row.start >= self.range.end).map(|count| count + row.len());
        self.range = self.range.start.min(row.start)..self.range.end.max(row.end);
    }

    /// Returns the range if it is to stay as it is, as far as that can be told without the rows.
    fn stays(&self, child: &ArrayRef) -> Option<Cut> {
        let stays = self.count.is_some_and(|count| !self.has_too_much(child, count));
        stays.then(|| Cut::Range(self.range.clone()))
    }

    /// True if the range has more of `child` than `count` elements justify.
    fn has_too_much(&self, child: &ArrayRef, count: usize) -> bool {
        let held = self.range.len();
        // A few elements of no fixed size may have most of the bytes.
        count < held && (held - count > held / 4 || !has_fixed_size(child.data_type()))
    }
}

/// The part of a child that is left.
pub(super) enum Cut {
    /// One range, shared.
    Range(Range<usize>),
    /// Copies of what is named.
    Spans(Spans),
}

impl Cut {
    /// Chooses what is left of `child`; `rows` are all ranges of `named`, none of them empty.
    pub(super) fn of(
        named: &Named,
        child: &ArrayRef,
        rows: impl FnOnce() -> Vec<Range<usize>>,
    ) -> Result<Self, ArrowError> {
        if named.range.end > child.len() {
            return Err(ArrowError::InvalidArgumentError(
                "an element that the child does not have".to_owned(),
            ));
        }
        if let Some(range) = named.stays(child) {
            return Ok(range);
        }
        let spans = Spans::of(rows());
        let gathered = named.has_too_much(child, spans.total());
        Ok(if gathered { Self::Spans(spans) } else { Self::Range(named.range.clone()) })
    }

    pub(super) fn apply(&self, child: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match self {
            _ if self.is_whole(child) => Ok(ArrayRef::clone(child)),
            Self::Range(range) => Ok(child.slice(range.start, range.len())),
            Self::Spans(spans) => pick(child, &spans.ranges().collect::<Vec<_>>()),
        }
    }

    pub(super) fn is_whole(&self, child: &ArrayRef) -> bool {
        matches!(self, Self::Range(range) if range.len() == child.len())
    }

    /// Returns where the element is that was at `start`.
    pub(super) fn position(&self, start: usize) -> usize {
        match self {
            Self::Range(range) => start.wrapping_sub(range.start),
            Self::Spans(spans) => spans.position(start),
        }
    }
}

/// Chooses what is left of several children; `rows` are the index of a child and a range of it, for each row.
pub(super) fn cuts(
    rows: impl Iterator<Item = (usize, Range<usize>)> + Clone,
    children: &[ArrayRef],
) -> Result<Vec<Cut>, ArrowError> {
    let mut named = vec![Named::NOTHING; children.len()];
    for (child, row) in rows.clone() {
        if let Some(named) = named.get_mut(child) {
            named.add(&row);
        }
    }
    let mut ranges = vec![Vec::new(); children.len()];
    let unsettled: Vec<_> =
        named.iter().zip(children).map(|(named, child)| named.stays(child).is_none()).collect();
    if unsettled.contains(&true) {
        for (child, row) in rows.filter(|(child, _)| unsettled.get(*child) == Some(&true)) {
            ranges[child].push(row);
        }
    }
    let cut = |((named, child), ranges)| Cut::of(named, child, || ranges);
    named.iter().zip(children).zip(ranges).map(cut).collect()
}

/// True if all elements take the same number of bytes.
fn has_fixed_size(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null | DataType::Boolean | DataType::FixedSizeBinary(_) | DataType::Dictionary(..) => true,
        DataType::FixedSizeList(child, _) => has_fixed_size(child.data_type()),
        DataType::Struct(children) => children.iter().all(|child| has_fixed_size(child.data_type())),
        primitive => primitive.is_primitive(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_order_are_counted() {
        let of = |rows: &[Range<usize>]| {
            let named = Named::of(rows.iter().cloned());
            (named.range, named.count)
        };
        assert_eq!(of(&[]), (0..0, Some(0)));
        assert_eq!(of(&[4..6, 0..0, 6..7, 9..10]), (4..10, Some(4)));
        assert_eq!(of(&[4..6, 5..7]), (4..7, None));
        assert_eq!(of(&[4..6, 2..3]), (2..6, None));
    }
}
