//! farrow-ipc: the structure of a segment, and its values.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryViewBuilder, Int32Builder, ListBuilder, MapBuilder, StringBuilder, StringDictionaryBuilder,
};
use arrow_array::types::{Decimal128Type, Int8Type};
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Int32Array, Int64Array, NullArray, PrimitiveArray,
    RecordBatch, RecordBatchOptions, RunArray, StringArray, StructArray,
};
use arrow_buffer::Buffer;
use arrow_ipc::writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{DataType, Field, Fields, Schema};
use farrow_ipc::{
    IpcError, Layout, Plan, SchemaDifference, SegmentReader, StreamDecoder, Trust, logical_bytes, slices,
    write,
};

use crate::bytes::u32_at;
use crate::published;

/// [`Layout::verify`], `validate_values`, and reading what is left; as a file of another program too, in place and
/// streamed.
pub fn segment(bytes: &[u8]) {
    foreign(bytes);
    let layout = match Layout::verify(bytes) {
        Ok(layout) => layout,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let bytes = Buffer::from(bytes);
    let validated = layout.validate_values(bytes.clone());
    if let Err(error @ IpcError::DecoderPanicked { .. }) = &validated {
        panic!("{error}");
    }
    let read = SegmentReader::open(bytes, Trust::Untrusted)
        .and_then(|reader| reader.batches().collect::<Result<Vec<_>, _>>());
    assert_eq!(read.is_ok(), validated.is_ok(), "{:?}, but {:?}", validated.err(), read.err());
    for batch in read.iter().flatten() {
        assert_eq!(batch, &batch.slice(0, batch.num_rows()));
        assert!(logical_bytes(batch) < 1 << 40);
        assert_eq!(slices(batch, 64).map(|slice| slice.num_rows()).sum::<usize>(), batch.num_rows());
    }
}

/// What is read in place can be streamed, and is the same.
fn foreign(bytes: &[u8]) {
    let in_place = SegmentReader::open(Buffer::from(bytes), Trust::Untrusted)
        .and_then(|reader| reader.batches().collect::<Result<Vec<_>, _>>());
    let streamed = published::rows(bytes, Trust::Untrusted, 1 << 20);
    if let Ok(in_place) = in_place {
        let streamed = streamed.expect("it can be read in place");
        assert!(
            in_place.iter().filter(|batch| batch.num_rows() > 0).eq(&streamed),
            "streamed, it reads otherwise"
        );
    }
}

/// [`StreamDecoder`]: messages one after another, each as two lengths (u32), metadata and body, cut to what there is.
pub fn stream(bytes: &[u8]) {
    let Some((metadata, _, mut rest)) = message(bytes) else { return };
    let mut decoder = match StreamDecoder::new(metadata, MOST_DICTIONARY_BYTES) {
        Ok(decoder) => decoder,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    while let Some((metadata, body, behind)) = message(rest) {
        rest = behind;
        let decoded = decoder.message(metadata, Buffer::from(body));
        if let Err(error @ IpcError::DecoderPanicked { .. }) = &decoded {
            panic!("{error}");
        }
        // After an error it is of no further use.
        let Ok(batch) = decoded else { return };
        if let Some(batch) = batch {
            assert_eq!(&batch, &batch.slice(0, batch.num_rows()));
            let schema = batch.schema();
            let prepared = match farrow_ipc::prepare(&schema, vec![batch.clone()], 64) {
                Ok(prepared) => prepared,
                // Of values that its columns refer to, which the decoder does not ask for.
                Err(IpcError::BatchSchema { difference, .. })
                    if matches!(*difference, SchemaDifference::Nulls { .. }) =>
                {
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(prepared.iter().map(RecordBatch::num_rows).sum::<usize>(), batch.num_rows());
        }
    }
}

/// Dictionaries of more bytes than this are refused.
pub(crate) const MOST_DICTIONARY_BYTES: u64 = 1 << 16;

/// Metadata and body of the first message, and what is behind it.
pub(crate) fn message(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (lengths, rest) = bytes.split_at_checked(8)?;
    let len = |at| u32_at(lengths, at).and_then(|len| usize::try_from(len).ok()).unwrap_or(usize::MAX);
    let (metadata, rest) = rest.split_at(len(0).min(rest.len()));
    let (body, rest) = rest.split_at(len(4).min(rest.len()));
    Some((metadata, body, rest))
}

pub(crate) fn stream_seeds() -> Vec<Vec<u8>> {
    let all = batch_of_every_type();
    let columns = (0..all.num_columns()).map(|column| all.project(&[column]).expect("a column"));
    std::iter::once(all.clone()).chain(columns).map(|batch| messages(&batch, 2)).collect()
}

/// The schema of a batch, and parts of it of two rows each, as a stream sends them.
pub(crate) fn messages(batch: &RecordBatch, parts: usize) -> Vec<u8> {
    let (generator, options) = (IpcDataGenerator::default(), IpcWriteOptions::default());
    let (mut dictionaries, mut context) = (DictionaryTracker::new(false), IpcWriteContext::default());
    let schema = batch.schema();
    let mut messages =
        vec![generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut dictionaries, &options)];
    for part in (0..parts).map(|part| batch.slice(2 * part, 2)) {
        let (before, part) = generator
            .encode(&part, &mut dictionaries, &options, &mut context)
            .expect("a batch that can be sent");
        messages.extend(before);
        messages.push(part);
    }
    let mut bytes = Vec::new();
    for EncodedData { ipc_message, arrow_data } in messages {
        for part in [&ipc_message, &arrow_data] {
            bytes.extend(u32::try_from(part.len()).expect("a few bytes").to_le_bytes());
        }
        bytes.extend(ipc_message);
        bytes.extend(arrow_data);
    }
    bytes
}

/// Four rows with a column of each kind of layout.
pub fn batch_of_every_type() -> RecordBatch {
    batch(&columns())
}

pub(crate) fn segment_seeds() -> Vec<Vec<u8>> {
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let no_columns = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)
        .expect("rows without columns");
    let columns = columns();
    let all = batch(&columns);
    let mut seeds = vec![file(&[no_columns]), file(&[all.slice(0, 2), all.slice(2, 2)])];
    // A change hits what it is meant for more often in a small file.
    seeds.extend(columns.chunks(1).map(|column| file(&[batch(column)])));
    seeds
}

fn batch(columns: &[ArrayRef]) -> RecordBatch {
    let fields: Fields = columns
        .iter()
        .enumerate()
        .map(|(index, column)| Field::new(index.to_string(), column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec()).expect("columns of one length")
}

fn file(batches: &[RecordBatch]) -> Vec<u8> {
    let schema = batches[0].schema();
    let plan = Plan::new(&schema, batches).expect("a segment can hold it");
    let mut bytes = Vec::with_capacity(usize::try_from(plan.len).expect("fits"));
    write(&schema, batches, &mut bytes).expect("a segment can hold it");
    bytes
}

/// Columns of four rows, of each kind of layout.
fn columns() -> Vec<ArrayRef> {
    let mut views = BinaryViewBuilder::new();
    views.append_value(b"in the view");
    views.append_null();
    views.append_value(b"a value that is too long for the view itself");
    views.append_value(b"");

    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    lists.append_value([]);
    lists.append_value([Some(2)]);

    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for present in [true, false, true, true] {
        maps.keys().append_value("k");
        maps.values().append_value(1);
        maps.append(present).expect("as many keys as values");
    }

    let mut dictionary = StringDictionaryBuilder::<Int8Type>::new();
    dictionary.extend([Some("a"), None, Some("b"), Some("a")]);

    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(-3), Some(i64::MAX)]));
    let field = |name: &str| Arc::new(Field::new(name, DataType::Int64, true));
    let structs =
        StructArray::from(vec![(field("x"), Arc::clone(&numbers)), (field("y"), Arc::clone(&numbers))]);
    let pairs = Int64Array::from_iter_values(0..8);
    let fixed = FixedSizeListArray::try_new(field("item"), 2, Arc::new(pairs), None).expect("4 pairs");
    let ends = Int32Array::from(vec![1, 4]);
    let runs = RunArray::try_new(&ends, &StringArray::from(vec!["a", "b"])).expect("ascending ends");
    vec![
        Arc::new(views.finish()),
        Arc::new(lists.finish()),
        Arc::new(maps.finish()),
        Arc::new(dictionary.finish()),
        numbers,
        Arc::new(structs),
        Arc::new(fixed),
        Arc::new(runs),
        Arc::new(StringArray::from(vec![Some("one"), None, Some("three"), Some("")])),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)])),
        Arc::new(PrimitiveArray::<Decimal128Type>::from_iter_values([1, 2, 3, 4])),
        Arc::new(NullArray::new(4)),
    ]
}
