//! Bytes of the values of an array, as opposed to the memory that it holds on to.

use arrow_array::{Array, RecordBatch};
use arrow_buffer::ArrowNativeType;
use arrow_data::{ArrayData, ByteView, MAX_INLINE_VIEW_LEN};
use arrow_schema::{DataType, UnionMode};

/// Bytes of the rows of `batch` once they are written, without padding and without dictionaries (which are
/// written once for all batches).
///
/// Arrow's own measures count the capacity of buffers, and every buffer of a mapped batch has the capacity of
/// the whole mapping. Views are read one by one; everything else takes a few ns for each array.
pub fn logical_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| array_bytes(&column.to_data())).sum()
}

fn array_bytes(data: &ArrayData) -> u64 {
    let len = data.len() as u64;
    let children = || data.child_data().iter();
    let values = match data.data_type() {
        DataType::Null => 0,
        DataType::Boolean => len.div_ceil(8),
        DataType::Utf8 | DataType::Binary => 4 * (len + 1) + span::<i32>(data).1 as u64,
        DataType::LargeUtf8 | DataType::LargeBinary => 8 * (len + 1) + span::<i64>(data).1 as u64,
        DataType::Utf8View | DataType::BinaryView => 16 * len + view_bytes(data),
        DataType::List(_) | DataType::Map(..) => 4 * (len + 1) + child_span::<i32>(data),
        DataType::LargeList(_) => 8 * (len + 1) + child_span::<i64>(data),
        DataType::ListView(_) => 8 * len + children().map(array_bytes).sum::<u64>(),
        DataType::LargeListView(_) => 16 * len + children().map(array_bytes).sum::<u64>(),
        DataType::FixedSizeList(_, size) => {
            let size = size.as_usize();
            children().map(|child| array_bytes(&child.slice(data.offset() * size, data.len() * size))).sum()
        }
        DataType::Struct(_) => rows_of_children(data),
        DataType::Union(_, UnionMode::Sparse) => len + rows_of_children(data),
        DataType::Union(_, UnionMode::Dense) => 5 * len + children().map(array_bytes).sum::<u64>(),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs_bytes::<i16>(data),
            DataType::Int32 => runs_bytes::<i32>(data),
            _ => runs_bytes::<i64>(data),
        },
        DataType::Dictionary(keys, _) => len * width(keys),
        DataType::FixedSizeBinary(size) => len * size.as_usize() as u64,
        primitive => len * width(primitive),
    };
    values + if data.nulls().is_some() { len.div_ceil(8) } else { 0 }
}

fn width(primitive: &DataType) -> u64 {
    primitive.primitive_width().unwrap_or(0) as u64
}

/// Beginning and length of what the offsets of `data` span; both 0 for an empty array, which may have none.
fn span<O: ArrowNativeType>(data: &ArrayData) -> (usize, usize) {
    let offsets = data.buffers()[0].typed_data::<O>();
    match (offsets.get(data.offset()), offsets.get(data.offset() + data.len())) {
        (Some(start), Some(end)) => (start.as_usize(), end.as_usize() - start.as_usize()),
        _ => (0, 0),
    }
}

fn child_span<O: ArrowNativeType>(data: &ArrayData) -> u64 {
    let (start, len) = span::<O>(data);
    array_bytes(&data.child_data()[0].slice(start, len))
}

fn rows_of_children(data: &ArrayData) -> u64 {
    data.child_data().iter().map(|child| array_bytes(&child.slice(data.offset(), data.len()))).sum()
}

/// Bytes of the runs that the rows of `data` lie in.
fn runs_bytes<E: ArrowNativeType>(data: &ArrayData) -> u64 {
    let [ends, values] = data.child_data() else { return 0 };
    let ends = &ends.buffers()[0].typed_data::<E>()[ends.offset()..ends.offset() + ends.len()];
    let run_of = |row: usize| ends.partition_point(|end| end.as_usize() <= row);
    let first = run_of(data.offset());
    let runs = if data.is_empty() { 0 } else { run_of(data.offset() + data.len() - 1) + 1 - first };
    (runs * size_of::<E>()) as u64 + array_bytes(&values.slice(first, runs))
}

/// Bytes of the values that are not held in the views themselves. Those that share bytes count once each, but
/// never more than the buffers have.
fn view_bytes(data: &ArrayData) -> u64 {
    let views = &data.buffers()[0].typed_data::<u128>()[data.offset()..data.offset() + data.len()];
    let lengths = views.iter().map(|view| u64::from(ByteView::from(*view).length));
    let used: u64 = lengths.filter(|len| *len > u64::from(MAX_INLINE_VIEW_LEN)).sum();
    used.min(data.buffers()[1..].iter().map(|buffer| buffer.len() as u64).sum())
}
