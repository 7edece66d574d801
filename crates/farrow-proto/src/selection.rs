//! The part of a version that a ticket selects.

use std::ops::Range;

use crate::v1::Selection;

impl Selection {
    /// Places of the columns, in the order in which they are sent; `None`: all. Any numbers, as they came.
    pub fn places(&self) -> Option<Vec<usize>> {
        let columns = self.columns.as_ref()?;
        Some(columns.indexes.iter().map(|index| usize::try_from(*index).unwrap_or(usize::MAX)).collect())
    }

    /// The rows, counted from 0. The end may be beyond the last row, and before the start, which is no rows.
    pub fn rows(&self) -> Range<u64> {
        self.first_row..self.end_row.unwrap_or(u64::MAX)
    }
}
