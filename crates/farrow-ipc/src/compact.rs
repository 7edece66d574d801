//! Letting go of what slicing leaves behind.
//!
//! Most arrays, sliced, are written as the slice. Views, list views and dense unions are not: they are written
//! with all the values they were cut from, once for each slice.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ByteViewType;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericByteViewArray, GenericListArray, GenericListViewArray,
    MapArray, OffsetSizeTrait, StructArray, UnionArray,
};
use arrow_buffer::{ArrowNativeType, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef, UnionMode};

/// An equal array without most of the values that it does not need; the same one if there are few of those.
///
/// Views are gathered: at most about twice what they need is left. List views and dense unions are cut from the first
/// value that they refer to to the last: of rows in order little else is left, of shuffled rows all of it may be.
/// Run-end encoded views are left as they are.
pub(crate) fn compact(array: &ArrayRef) -> ArrayRef {
    // Failing would mean that arrow made an array it does not accept. The one at hand is as good.
    try_compact(array).unwrap_or_else(|_| Arc::clone(array))
}

fn try_compact(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !retains(array.data_type()) {
        return Ok(Arc::clone(array));
    }
    match array.data_type() {
        DataType::Utf8View => Ok(views(array, array.as_string_view())),
        DataType::BinaryView => Ok(views(array, array.as_binary_view())),
        DataType::List(field) => list(array.as_list::<i32>(), field),
        DataType::LargeList(field) => list(array.as_list::<i64>(), field),
        DataType::ListView(field) => list_view(array.as_list_view::<i32>(), field),
        DataType::LargeListView(field) => list_view(array.as_list_view::<i64>(), field),
        DataType::FixedSizeList(field, size) => {
            let list = array.as_fixed_size_list();
            let (values, nulls) = (compact(list.values()), list.nulls().cloned());
            let list =
                FixedSizeListArray::try_new_with_length(Arc::clone(field), *size, values, nulls, list.len())?;
            Ok(Arc::new(list))
        }
        DataType::Map(field, sorted) => {
            let map = array.as_map();
            let (start, offsets) = rebase(map.offsets());
            let entries: ArrayRef = Arc::new(map.entries().slice(start, length(&offsets)));
            let entries = compact(&entries).as_struct().clone();
            let map = MapArray::try_new(Arc::clone(field), offsets, entries, map.nulls().cloned(), *sorted)?;
            Ok(Arc::new(map))
        }
        DataType::Struct(fields) => {
            let parent = array.as_struct();
            let columns = parent.columns().iter().map(compact).collect();
            let nulls = parent.nulls().cloned();
            let parent = StructArray::try_new_with_length(fields.clone(), columns, nulls, parent.len())?;
            Ok(Arc::new(parent))
        }
        DataType::Union(..) => union(array),
        _ => Ok(Arc::clone(array)),
    }
}

/// True if arrays of this type may hold on to values that none of their elements is.
fn retains(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View | DataType::BinaryView | DataType::ListView(_) | DataType::LargeListView(_) => {
            true
        }
        DataType::Union(_, UnionMode::Dense) => true,
        DataType::Union(children, _) => children.iter().any(|(_, child)| retains(child.data_type())),
        DataType::List(child)
        | DataType::LargeList(child)
        | DataType::FixedSizeList(child, _)
        | DataType::Map(child, _) => retains(child.data_type()),
        DataType::Struct(children) => children.iter().any(|child| retains(child.data_type())),
        _ => false,
    }
}

fn wasteful(held: usize, used: usize) -> bool {
    held / 2 > used
}

fn views<T: ByteViewType + ?Sized>(array: &ArrayRef, views: &GenericByteViewArray<T>) -> ArrayRef {
    let held = views.data_buffers().iter().map(|buffer| buffer.len()).sum();
    if wasteful(held, views.total_buffer_bytes_used()) { Arc::new(views.gc()) } else { Arc::clone(array) }
}

fn list<O: OffsetSizeTrait>(list: &GenericListArray<O>, field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let (start, offsets) = rebase(list.offsets());
    let values = compact(&list.values().slice(start, length(&offsets)));
    let list = GenericListArray::try_new(Arc::clone(field), offsets, values, list.nulls().cloned())?;
    Ok(Arc::new(list))
}

fn list_view<O: OffsetSizeTrait>(
    list: &GenericListViewArray<O>,
    field: &FieldRef,
) -> Result<ArrayRef, ArrowError> {
    let spans = || list.offsets().iter().zip(list.sizes()).map(|(start, size)| (*start, *start + *size));
    let start = spans().map(|(start, _)| start).min().unwrap_or_else(O::zero);
    let end = spans().map(|(_, end)| end).max().unwrap_or_else(O::zero);
    let values = compact(&list.values().slice(start.as_usize(), (end - start).as_usize()));
    let offsets = list.offsets().iter().map(|offset| *offset - start).collect();
    let (sizes, nulls) = (list.sizes().clone(), list.nulls().cloned());
    Ok(Arc::new(GenericListViewArray::try_new(Arc::clone(field), offsets, sizes, values, nulls)?))
}

/// Of a dense union, each child cut to what lies between the first and the last element that is used. (Taking the
/// elements one by one would write one that is used many times as often.)
fn union(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let (fields, type_ids, mut offsets, mut children) = array.as_union().clone().into_parts();
    if let Some(dense) = &offsets {
        let index_of: HashMap<i8, usize> =
            fields.iter().enumerate().map(|(index, (id, _))| (id, index)).collect();
        let mut spans = vec![None; children.len()];
        for (id, &offset) in type_ids.iter().zip(dense) {
            if let Some(span) = index_of.get(id).and_then(|&index| spans.get_mut(index)) {
                let (start, end) = span.unwrap_or((offset, offset));
                *span = Some((offset.min(start), offset.max(end)));
            }
        }
        for (child, span) in children.iter_mut().zip(&spans) {
            *child = match *span {
                Some((start, end)) => child.slice(start.as_usize(), (end - start).as_usize() + 1),
                None => child.slice(0, 0),
            };
        }
        let start = |id| index_of.get(id).and_then(|&index| spans[index]).map_or(0, |(start, _)| start);
        offsets = Some(type_ids.iter().zip(dense).map(|(id, offset)| offset - start(id)).collect());
    }
    let children = children.iter().map(compact).collect();
    Ok(Arc::new(UnionArray::try_new(fields, type_ids, offsets, children)?))
}

/// The offsets counted from the first of them, and what that was.
fn rebase<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (usize, OffsetBuffer<O>) {
    (offsets[0].as_usize(), OffsetBuffer::from_lengths(offsets.lengths()))
}

fn length<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> usize {
    offsets.last().as_usize()
}
