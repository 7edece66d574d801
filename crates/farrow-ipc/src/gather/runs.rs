//! Run-end encoded arrays.

use std::ops::Range;

use arrow_ipc::FieldNode;

use super::{Gather, Parent, Stop};
use crate::column::{Column, Numbers};
use crate::file_bytes::Source;
use crate::numbers::{numbers, put};
use crate::problem::Number;
use crate::schema::MAX_ARRAY_LEN;

/// Run ends that are looked at in one piece.
const ENDS: usize = 512;

impl<S: Source> Gather<'_, S> {
    /// The runs that `rows` lie in, cut to them.
    pub(super) fn runs(
        &mut self,
        column: &Column,
        ends: &Numbers,
        count: usize,
        values: &Column,
        rows: &[Range<usize>],
    ) -> Result<(), Stop> {
        let (mut found, mut runs, mut base) = (Vec::new(), Vec::new(), 0);
        for row in rows.iter().filter(|row| !row.is_empty()) {
            let first = self.first_run(column, ends, count, row.start)?;
            let (mut run, mut before) = (first, row.start);
            while before < row.end {
                let piece = run..count.min(run + ENDS);
                if piece.is_empty() {
                    return Err(self.refuse(
                        column,
                        Number::LastRunEnd,
                        before as i64,
                        row.end as i64..=MAX_ARRAY_LEN,
                    ));
                }
                for end in self.ends(column, ends, &piece)? {
                    let ascends = usize::try_from(end).ok().filter(|end| *end > before);
                    let Some(end) = ascends else {
                        return Err(self.refuse(
                            column,
                            Number::RunEnd,
                            end,
                            before as i64 + 1..=MAX_ARRAY_LEN,
                        ));
                    };
                    before = end.min(row.end);
                    run += 1;
                    found.push(base + (before - row.start));
                    if found.len() * ends.width > self.most - self.gathered.used {
                        return Err(Stop::Full);
                    }
                    if before == row.end {
                        break;
                    }
                }
            }
            runs.push(first..run);
            base += row.len();
        }
        self.gathered.nodes.push(FieldNode::new(found.len() as i64, 0));
        self.buffer(0)?;
        let at = self.buffer(found.len() * ends.width)?;
        for (index, end) in found.into_iter().enumerate() {
            put(&mut self.gathered.body[at + index * ends.width..], ends.width, end)?;
        }
        self.array(values, &runs, Parent::Any)
    }

    /// The run that element `row` lies in, if the ends ascend.
    fn first_run(
        &mut self,
        column: &Column,
        ends: &Numbers,
        count: usize,
        row: usize,
    ) -> Result<usize, Stop> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.ends(column, ends, &(middle..middle + 1))?.first().is_some_and(|end| *end <= row as i64) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Copies of some run ends.
    fn ends(&mut self, column: &Column, ends: &Numbers, runs: &Range<usize>) -> Result<Vec<i64>, Stop> {
        let copied = self.aside(column, &ends.bytes, runs.start * ends.width..runs.end * ends.width)?;
        let found = numbers(&copied, ends.width).collect();
        self.copied = copied;
        Ok(found)
    }
}
