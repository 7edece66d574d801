//! Run-end encoded arrays.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::RunEndIndexType;
use arrow_array::{Array, ArrayRef, PrimitiveArray, RunArray, make_array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::ArrowError;

use super::{Compactor, pick};

/// The runs of an array, of which the values are compacted.
pub(super) fn compact<R: RunEndIndexType>(
    compactor: &mut Compactor,
    array: &ArrayRef,
    runs: &RunArray<R>,
) -> Result<ArrayRef, ArrowError> {
    let (ends, of_values) = runs_of(runs, std::slice::from_ref(&(0..runs.len())));
    let cut = pick::pick(runs.values(), &of_values)?;
    let values = compactor.array(&cut);
    if Arc::ptr_eq(&values, &cut) { Ok(Arc::clone(array)) } else { with(runs, ends, &values) }
}

/// The runs that some ranges of rows lie in, cut to them.
pub(super) fn pick<R: RunEndIndexType>(
    runs: &RunArray<R>,
    ranges: &[Range<usize>],
) -> Result<ArrayRef, ArrowError> {
    let (ends, of_values) = runs_of(runs, ranges);
    with(runs, ends, &pick::pick(runs.values(), &of_values)?)
}

/// Run ends counted anew, and the values of these runs.
fn runs_of<R: RunEndIndexType>(
    runs: &RunArray<R>,
    ranges: &[Range<usize>],
) -> (Vec<R::Native>, Vec<Range<usize>>) {
    let (run_ends, offset) = (runs.run_ends().values(), runs.run_ends().offset());
    let (mut ends, mut spans, mut rows): (Vec<R::Native>, Vec<Range<usize>>, usize) = Default::default();
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        let first = runs.get_physical_index(range.start);
        let mut before = range.start;
        for (run, end) in run_ends.iter().enumerate().skip(first) {
            let end = (end.as_usize() - offset).min(range.end);
            rows += end - before;
            before = end;
            match spans.last_mut() {
                // The end of a run whose beginning lies in the range before.
                Some(last) if last.end == run + 1 => {
                    ends.pop();
                }
                Some(last) if last.end == run => last.end += 1,
                _ => spans.push(run..run + 1),
            }
            ends.push(R::Native::usize_as(rows));
            if before == range.end {
                break;
            }
        }
    }
    (ends, spans)
}

/// An array of the same type.
fn with<R: RunEndIndexType>(
    runs: &RunArray<R>,
    ends: Vec<R::Native>,
    values: &ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let rows = ends.last().map_or(0, |end| end.as_usize());
    let ends = PrimitiveArray::<R>::new(ends.into(), None);
    let data = runs.to_data().into_builder().offset(0).len(rows);
    let data = data.child_data(vec![ends.to_data(), values.to_data()]);
    Ok(make_array(data.build()?))
}
