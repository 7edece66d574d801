//! Memory of a batch beside the message that it was decoded from.

use std::ops::Range;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::DataType;

/// Bytes of the buffers of a batch that lie outside of some range of memory: of what was copied because Arrow could not
/// use it where it lay. Dictionaries do not count.
pub fn bytes_outside(batch: &RecordBatch, range: Range<*const u8>) -> u64 {
    batch.columns().iter().map(|column| outside(&column.to_data(), &range)).sum()
}

fn outside(data: &ArrayData, range: &Range<*const u8>) -> u64 {
    let counts = |buffer: &Buffer| if range.contains(&buffer.as_ptr()) { 0 } else { buffer.len() as u64 };
    let own = data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer())).map(counts);
    let children = match data.data_type() {
        DataType::Dictionary(..) => &[],
        _ => data.child_data(),
    };
    own.sum::<u64>() + children.iter().map(|child| outside(child, range)).sum::<u64>()
}
