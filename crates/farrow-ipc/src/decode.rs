//! Messages to record batches, in place or from copies. The only caller of arrow's decoder, and the only unsafe call.

use std::any::Any;
use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_data::UnsafeFlag;
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::RecordBatchDecoder;
use arrow_schema::{ArrowError, Schema, SchemaRef};

use crate::error::{IpcError, MAX_VIEW_SHARING};
use crate::file_bytes::FileBytes as _;
use crate::footer::Block;
use crate::layout::Layout;
use crate::message::BatchHeader;
use crate::problem::Place;
use crate::values::{self, Dictionaries};

/// Up to this many columns the decoder's own projection is used: it compares each column of the schema with
/// each one asked for, and beyond that decoding all of them is cheaper.
const MAX_PROJECTION: usize = 64;

/// The largest alignment of an Arrow value in memory (128-bit integers), in bytes.
const VALUE_ALIGNMENT: usize = 16;

/// The trust in the values in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Nothing: they are validated.
    Unproved,
    /// These very bytes passed [`Layout::validate_values`] and have not changed since.
    Validated,
}

/// The values of every dictionary, by its id.
pub(crate) fn dictionaries(
    layout: &Layout,
    bytes: &Buffer,
    values: Values,
) -> Result<HashMap<i64, ArrayRef>, IpcError> {
    check(bytes, layout.file_len())?;
    let mut dictionaries = HashMap::with_capacity(layout.dictionaries().len());
    for (index, block) in layout.dictionaries().iter().enumerate() {
        let block = block.in_memory();
        let known = |id| dictionaries.contains_key(&id);
        let metadata = bytes.piece(block.metadata())?;
        let dictionary = layout.dictionary_header(&metadata, &block, index, &known)?;
        let place = Place::Dictionary(index);
        let message = Body { bytes: body(bytes, block.body()), place, values };
        message.check_views(&block, &dictionary.views, layout.file_len())?;
        let schema = Arc::new(Schema::new(vec![dictionary.values]));
        let batch = message.decode(&dictionary.header, schema, &dictionaries, None)?;
        dictionaries.insert(dictionary.id, Arc::clone(batch.column(0)));
    }
    Ok(dictionaries)
}

/// Record batch `index`, or some of its columns in the order asked for.
pub(crate) fn batch(
    layout: &Layout,
    bytes: &Buffer,
    dictionaries: &HashMap<i64, ArrayRef>,
    index: usize,
    columns: Option<&[usize]>,
    values: Values,
) -> Result<RecordBatch, IpcError> {
    check(bytes, layout.file_len())?;
    let batches = layout.batches();
    let block = batches.get(index).ok_or(IpcError::NoBatch { index, batches: batches.len() })?.in_memory();
    let fields = layout.schema().fields().len();
    if let Some(missing) = columns.into_iter().flatten().find(|column| **column >= fields) {
        return Err(IpcError::NoColumn { index: *missing, columns: fields });
    }
    let known = |id| dictionaries.contains_key(&id);
    let metadata = bytes.piece(block.metadata())?;
    let (header, views) = layout.batch_header(&metadata, &block, index, &known)?;
    let place = Place::Batch(index);
    let message = Body { bytes: body(bytes, block.body()), place, values };
    message.check_views(&block, &views, layout.file_len())?;
    let schema = Arc::clone(layout.schema());
    match columns {
        Some(columns) if columns.len() > MAX_PROJECTION => {
            let batch = message.decode(&header, schema, dictionaries, None)?;
            batch.project(columns).map_err(|source| IpcError::Values { place, source })
        }
        columns => message.decode(&header, schema, dictionaries, columns),
    }
}

/// Checks whether `bytes` can be the file of `file_len` bytes whose structure was read.
pub(crate) fn check(bytes: &Buffer, file_len: u64) -> Result<(), IpcError> {
    let found = bytes.len() as u64;
    if found != file_len {
        return Err(IpcError::OtherBytes { expected: file_len, found });
    }
    match bytes.as_ptr().addr() % VALUE_ALIGNMENT {
        0 => Ok(()),
        misalignment => Err(IpcError::Address { misalignment, need: VALUE_ALIGNMENT }),
    }
}

/// The body of a message, which lies there.
pub(crate) fn body(bytes: &Buffer, range: Range<usize>) -> Buffer {
    bytes.slice_with_length(range.start, range.len())
}

/// The body of a message whose structure was checked.
pub(crate) struct Body {
    pub(crate) bytes: Buffer,
    pub(crate) place: Place,
    pub(crate) values: Values,
}

impl Body {
    /// The batch of `schema` that it holds, or some of its columns.
    pub(crate) fn decode(
        &self,
        header: &BatchHeader<'_>,
        schema: SchemaRef,
        dictionaries: &HashMap<i64, ArrayRef>,
        columns: Option<&[usize]>,
    ) -> Result<RecordBatch, IpcError> {
        let decode = || -> Result<RecordBatch, ArrowError> {
            let batch = RecordBatchDecoder::try_new(
                &self.bytes,
                header.batch,
                schema,
                dictionaries,
                &MetadataVersion::V5,
            )?
            .with_projection(columns)
            .with_skip_validation(skip_validation(self.values))
            .read_record_batch()?;
            if self.values != Values::Validated {
                values::check_nulls(&batch)?;
            }
            Ok(batch)
        };
        // Whatever the closure was at is dropped with it; nothing outside sees it half done.
        match catch_unwind(AssertUnwindSafe(decode)) {
            Ok(decoded) => {
                let batch = decoded.map_err(|source| IpcError::Values { place: self.place, source })?;
                if self.values != Values::Validated {
                    values::check(&batch, self.place, columns, Dictionaries::Checked)?;
                }
                Ok(batch)
            }
            Err(panic) => {
                Err(IpcError::DecoderPanicked { place: self.place, message: panic_message(panic.as_ref()) })
            }
        }
    }

    /// Views may share bytes, and each is validated on its own: a few megabytes of views over one long string
    /// could keep a validator busy for days. `views` lie within the body of `block`, in a file of `len` bytes.
    pub(crate) fn check_views(
        &self,
        block: &Block,
        views: &[Range<usize>],
        len: u64,
    ) -> Result<(), IpcError> {
        if self.values == Values::Validated {
            return Ok(());
        }
        let start = block.body().start;
        // The length is the first of a view's four 32-bit numbers; fewer than 2^32 views fit a column.
        let columns = views.iter().map(|range| &self.bytes[range.start - start..range.end - start]);
        let total = columns.flat_map(|views| views.chunks_exact(16)).fold(0_u64, |total, view| {
            total.saturating_add(u64::from(u32::from_le_bytes([view[0], view[1], view[2], view[3]])))
        });
        if total > len.saturating_mul(MAX_VIEW_SHARING) {
            return Err(IpcError::SharedViews { place: self.place, total, len });
        }
        Ok(())
    }
}

fn skip_validation(values: Values) -> UnsafeFlag {
    let mut flag = UnsafeFlag::new();
    if values == Values::Validated {
        #[expect(
            unsafe_code,
            reason = "validating 1 GiB of strings takes 200 ms; committed segments were validated"
        )]
        // SAFETY: The flag lets the decoder build arrays without `ArrayData::validate_data` and
        // `RecordBatch::try_new`, so what these would find must hold already.
        // - Lengths, counts, bounds, alignment, types: `Layout::batch_header` and `dictionary_header` have
        //   just checked them on these bytes; see `columns.rs` for each type. Buffers that are misaligned in
        //   memory are copied by the decoder, which is left to align them.
        // - Offsets, sizes, views, keys, run ends, type ids, UTF-8, null counts: `Values::Validated` means
        //   that the same decoder accepted the same bytes with validation on. It comes from
        //   `Trust::Validated` alone, where the caller states it: the agent validated the segment at commit
        //   and recorded it, a committed segment is never written again, and the lease behind `bytes` keeps
        //   its memory from being given out again while `bytes` or any array made from it lives.
        unsafe {
            flag.set(true);
        }
    }
    flag
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
