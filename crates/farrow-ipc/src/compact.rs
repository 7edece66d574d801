//! Letting go of what slicing leaves behind.
//!
//! Most arrays, sliced, are written as the slice. Views, list views and dense unions are not: they are written
//! with all the values they were cut from, once for each slice.

mod named;
mod pick;
mod runs;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ByteViewType, Int16Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericByteViewArray, GenericListArray, GenericListViewArray,
    MapArray, OffsetSizeTrait, RecordBatch, RecordBatchOptions, StructArray, UnionArray,
};
use arrow_buffer::{ArrowNativeType, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef, UnionMode};

use named::{Cut, Named};

/// Makes equal arrays without most of the values that none of their rows names; the same ones if there are few of those.
///
/// Views are gathered: at most about twice the bytes they name are left. Of list views and dense unions the range from
/// the first value that is named to the last stays as it is, shared, if no value in it is superfluous (or, where all
/// values take the same bytes, if at most a quarter of them are); else the named values are copied, each once, however
/// many rows name it. A dictionary keeps all of its values, which are compacted once for all arrays that share it.
#[derive(Default)]
pub(crate) struct Compactor {
    /// Values of dictionaries as they were and as they are now, by the address of the former.
    dictionaries: HashMap<usize, (ArrayRef, ArrayRef)>,
}

impl Compactor {
    /// Compacts every column.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> RecordBatch {
        let columns = batch.columns().iter().map(|column| self.array(column)).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(batch.schema(), columns, &rows)
            .expect("compacting changes neither types nor lengths nor nulls")
    }

    /// Compacts an array.
    pub(crate) fn array(&mut self, array: &ArrayRef) -> ArrayRef {
        // Failing would mean that arrow made an array it does not accept. The one at hand is as good.
        self.try_array(array).unwrap_or_else(|_| Arc::clone(array))
    }

    fn try_array(&mut self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        if !retains(array.data_type()) {
            return Ok(Arc::clone(array));
        }
        match array.data_type() {
            DataType::Utf8View => Ok(views(array, array.as_string_view())),
            DataType::BinaryView => Ok(views(array, array.as_binary_view())),
            DataType::List(field) => self.list(array.as_list::<i32>(), field),
            DataType::LargeList(field) => self.list(array.as_list::<i64>(), field),
            DataType::ListView(field) => self.list_view(array, array.as_list_view::<i32>(), field),
            DataType::LargeListView(field) => self.list_view(array, array.as_list_view::<i64>(), field),
            DataType::FixedSizeList(field, size) => {
                let list = array.as_fixed_size_list();
                let (values, nulls) = (self.array(list.values()), list.nulls().cloned());
                let (field, len) = (Arc::clone(field), list.len());
                Ok(Arc::new(FixedSizeListArray::try_new_with_length(field, *size, values, nulls, len)?))
            }
            DataType::Map(field, sorted) => {
                let map = array.as_map();
                let (start, offsets) = rebase(map.offsets());
                let entries: ArrayRef = Arc::new(map.entries().slice(start, length(&offsets)));
                let entries = self.array(&entries).as_struct().clone();
                let map =
                    MapArray::try_new(Arc::clone(field), offsets, entries, map.nulls().cloned(), *sorted)?;
                Ok(Arc::new(map))
            }
            DataType::Struct(fields) => {
                let parent = array.as_struct();
                let columns = parent.columns().iter().map(|column| self.array(column)).collect();
                let nulls = parent.nulls().cloned();
                let parent = StructArray::try_new_with_length(fields.clone(), columns, nulls, parent.len())?;
                Ok(Arc::new(parent))
            }
            DataType::Union(..) => self.union(array),
            DataType::Dictionary(..) => Ok(self.dictionary(array)),
            DataType::RunEndEncoded(ends, _) => match ends.data_type() {
                DataType::Int16 => runs::compact(self, array, array.as_run::<Int16Type>()),
                DataType::Int32 => runs::compact(self, array, array.as_run::<Int32Type>()),
                _ => runs::compact(self, array, array.as_run::<Int64Type>()),
            },
            _ => Ok(Arc::clone(array)),
        }
    }

    fn list<O: OffsetSizeTrait>(
        &mut self,
        list: &GenericListArray<O>,
        field: &FieldRef,
    ) -> Result<ArrayRef, ArrowError> {
        let (start, offsets) = rebase(list.offsets());
        let values = self.array(&list.values().slice(start, length(&offsets)));
        let list = GenericListArray::try_new(Arc::clone(field), offsets, values, list.nulls().cloned())?;
        Ok(Arc::new(list))
    }

    fn list_view<O: OffsetSizeTrait>(
        &mut self,
        array: &ArrayRef,
        list: &GenericListViewArray<O>,
        field: &FieldRef,
    ) -> Result<ArrayRef, ArrowError> {
        let named = (0..list.len()).map(|row| {
            let start = list.offsets()[row].as_usize();
            let end = start.saturating_add(list.sizes()[row].as_usize());
            if list.is_null(row) { 0..0 } else { start..end }
        });
        let extent = Named::of(named.clone());
        let cut = Cut::of(&extent, list.values(), || named.clone().filter(|row| !row.is_empty()).collect())?;
        let cut_out = cut.apply(list.values())?;
        let values = self.array(&cut_out);
        if cut.is_whole(list.values()) && Arc::ptr_eq(&values, &cut_out) {
            return Ok(Arc::clone(array));
        }
        let (mut offsets, mut sizes) = (Vec::with_capacity(list.len()), Vec::with_capacity(list.len()));
        for row in named {
            offsets.push(O::usize_as(if row.is_empty() { 0 } else { cut.position(row.start) }));
            sizes.push(O::usize_as(row.len()));
        }
        let (offsets, sizes) = (ScalarBuffer::from(offsets), ScalarBuffer::from(sizes));
        let nulls = list.nulls().cloned();
        Ok(Arc::new(GenericListViewArray::try_new(Arc::clone(field), offsets, sizes, values, nulls)?))
    }

    fn union(&mut self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let (fields, type_ids, mut offsets, mut children) = array.as_union().clone().into_parts();
        if let Some(dense) = &offsets {
            let mut child_of = [usize::MAX; 256];
            for (index, (id, _)) in fields.iter().enumerate() {
                child_of[usize::from(id.cast_unsigned())] = index;
            }
            let named = type_ids.iter().zip(dense).map(|(id, offset)| {
                let offset = offset.as_usize();
                (child_of[usize::from(id.cast_unsigned())], offset..offset.saturating_add(1))
            });
            let cuts = named::cuts(named.clone(), &children)?;
            for (child, cut) in children.iter_mut().zip(&cuts) {
                *child = cut.apply(child)?;
            }
            let position = |cut: Option<&Cut>, start| cut.map_or(0, |cut| cut.position(start));
            offsets =
                Some(named.map(|(child, row)| i32::usize_as(position(cuts.get(child), row.start))).collect());
        }
        let children = children.iter().map(|child| self.array(child)).collect();
        Ok(Arc::new(UnionArray::try_new(fields, type_ids, offsets, children)?))
    }

    fn dictionary(&mut self, array: &ArrayRef) -> ArrayRef {
        let dictionary = array.as_any_dictionary();
        let before = dictionary.values();
        let address = Arc::as_ptr(before).cast::<()>().addr();
        let after = match self.dictionaries.get(&address) {
            Some((_, after)) => Arc::clone(after),
            None => {
                let after = self.array(before);
                self.dictionaries.insert(address, (Arc::clone(before), Arc::clone(&after)));
                after
            }
        };
        if Arc::ptr_eq(before, &after) { Arc::clone(array) } else { dictionary.with_values(after) }
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
        | DataType::Map(child, _)
        | DataType::RunEndEncoded(_, child) => retains(child.data_type()),
        DataType::Struct(children) => children.iter().any(|child| retains(child.data_type())),
        DataType::Dictionary(_, values) => retains(values),
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

/// The offsets counted from the first of them, and what that was.
fn rebase<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (usize, OffsetBuffer<O>) {
    (offsets[0].as_usize(), OffsetBuffer::from_lengths(offsets.lengths()))
}

fn length<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> usize {
    offsets.last().as_usize()
}
