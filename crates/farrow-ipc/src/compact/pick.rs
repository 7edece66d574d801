//! Copies of some ranges of an array.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, GenericListViewArray, MapArray, OffsetSizeTrait,
    StructArray, UnionArray, make_array,
};
use arrow_buffer::{ArrowNativeType, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_data::transform::MutableArrayData;
use arrow_schema::{ArrowError, DataType, FieldRef};

use super::runs;

/// The elements in `ranges`, side by side: ascending ranges of what `array` has. Elements that refer to others by their
/// place (views, list views, dense unions) are copied, and share what they refer to.
pub(super) fn pick(array: &ArrayRef, ranges: &[Range<usize>]) -> Result<ArrayRef, ArrowError> {
    match ranges {
        [] => return Ok(array.slice(0, 0)),
        [one] => return Ok(array.slice(one.start, one.len())),
        _ => {}
    }
    let (nulls, len) = (nulls(array.nulls(), ranges), ranges.iter().map(ExactSizeIterator::len).sum());
    match array.data_type() {
        DataType::List(field) => list(array.as_list::<i32>(), field, nulls, ranges),
        DataType::LargeList(field) => list(array.as_list::<i64>(), field, nulls, ranges),
        DataType::ListView(field) => list_view(array.as_list_view::<i32>(), field, nulls, ranges),
        DataType::LargeListView(field) => list_view(array.as_list_view::<i64>(), field, nulls, ranges),
        DataType::Map(field, sorted) => {
            let map = array.as_map();
            let (offsets, of_entries) = offsets(map.offsets(), ranges);
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let entries = pick(&entries, &of_entries)?.as_struct().clone();
            Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *sorted)?))
        }
        DataType::FixedSizeList(field, size) => {
            let each = size.as_usize();
            let of_values: Vec<_> = ranges.iter().map(|range| range.start * each..range.end * each).collect();
            let values = pick(array.as_fixed_size_list().values(), &of_values)?;
            let field = Arc::clone(field);
            Ok(Arc::new(FixedSizeListArray::try_new_with_length(field, *size, values, nulls, len)?))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().map(|column| pick(column, ranges));
            let columns = columns.collect::<Result<_, _>>()?;
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, len)?))
        }
        DataType::Union(..) => union(array, ranges),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::pick(array.as_run::<Int16Type>(), ranges),
            DataType::Int32 => runs::pick(array.as_run::<Int32Type>(), ranges),
            _ => runs::pick(array.as_run::<Int64Type>(), ranges),
        },
        DataType::Dictionary(..) => {
            // Recognized as the same by its address.
            let values = Arc::clone(array.as_any_dictionary().values());
            Ok(copies(array, ranges, len)?.as_any_dictionary().with_values(values))
        }
        _ => copies(array, ranges, len),
    }
}

fn copies(array: &ArrayRef, ranges: &[Range<usize>], len: usize) -> Result<ArrayRef, ArrowError> {
    let data = array.to_data();
    let mut copies = MutableArrayData::new(vec![&data], false, len);
    ranges.iter().try_for_each(|range| copies.try_extend(0, range.start, range.end))?;
    Ok(make_array(copies.freeze()))
}

fn list<O: OffsetSizeTrait>(
    list: &GenericListArray<O>,
    field: &FieldRef,
    nulls: Option<NullBuffer>,
    ranges: &[Range<usize>],
) -> Result<ArrayRef, ArrowError> {
    let (offsets, of_values) = offsets(list.offsets(), ranges);
    let values = pick(list.values(), &of_values)?;
    Ok(Arc::new(GenericListArray::try_new(Arc::clone(field), offsets, values, nulls)?))
}

/// Offsets counted anew, and what they span.
fn offsets<O: OffsetSizeTrait>(
    offsets: &OffsetBuffer<O>,
    ranges: &[Range<usize>],
) -> (OffsetBuffer<O>, Vec<Range<usize>>) {
    let of = |range: &Range<usize>| &offsets[range.start..=range.end];
    let length = |pair: &[O]| pair[1].as_usize() - pair[0].as_usize();
    let lengths = ranges.iter().flat_map(|range| of(range).windows(2).map(length));
    let mut spans: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        let span = offsets[range.start].as_usize()..offsets[range.end].as_usize();
        match spans.last_mut() {
            Some(last) if last.end == span.start => last.end = span.end,
            _ => spans.push(span),
        }
    }
    (OffsetBuffer::from_lengths(lengths), spans)
}

fn list_view<O: OffsetSizeTrait>(
    list: &GenericListViewArray<O>,
    field: &FieldRef,
    nulls: Option<NullBuffer>,
    ranges: &[Range<usize>],
) -> Result<ArrayRef, ArrowError> {
    let (offsets, sizes) = (scalars(list.offsets(), ranges), scalars(list.sizes(), ranges));
    let values = Arc::clone(list.values());
    Ok(Arc::new(GenericListViewArray::try_new(Arc::clone(field), offsets, sizes, values, nulls)?))
}

fn union(array: &ArrayRef, ranges: &[Range<usize>]) -> Result<ArrayRef, ArrowError> {
    let (fields, type_ids, offsets, mut children) = array.as_union().clone().into_parts();
    let (type_ids, offsets) = (scalars(&type_ids, ranges), offsets.map(|offsets| scalars(&offsets, ranges)));
    if offsets.is_none() {
        children = children.iter().map(|child| pick(child, ranges)).collect::<Result<_, _>>()?;
    }
    Ok(Arc::new(UnionArray::try_new(fields, type_ids, offsets, children)?))
}

fn scalars<T: ArrowNativeType>(values: &ScalarBuffer<T>, ranges: &[Range<usize>]) -> ScalarBuffer<T> {
    let mut picked = Vec::with_capacity(ranges.iter().map(ExactSizeIterator::len).sum());
    ranges.iter().for_each(|range| picked.extend_from_slice(&values[range.clone()]));
    picked.into()
}

fn nulls(nulls: Option<&NullBuffer>, ranges: &[Range<usize>]) -> Option<NullBuffer> {
    let nulls = nulls?.inner();
    let mut picked = BooleanBufferBuilder::new(ranges.iter().map(ExactSizeIterator::len).sum());
    ranges.iter().for_each(|range| picked.append_buffer(&nulls.slice(range.start, range.len())));
    Some(NullBuffer::new(picked.finish()))
}
