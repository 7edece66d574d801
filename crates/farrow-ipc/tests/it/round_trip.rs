//! What goes in comes out, whatever its type, however it was sliced.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::reader::FileReader;
use arrow_schema::{DataType, Field, Schema};
use farrow_ipc::{IpcError, Layout, Plan, SegmentReader, Trust, TypeProblem, schema_fingerprint, write};

use crate::samples::{every_type, one_column, read_all, segment};

/// Written, verified, validated, read with and without trust and by arrow's own reader: always the same.
fn assert_round_trip(batches: &[RecordBatch]) {
    let schema = batches[0].schema();
    let bytes = Buffer::from(segment(&schema, batches).as_slice());
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();

    let layout = Layout::verify(&bytes).unwrap();
    layout.validate_values(bytes.clone()).unwrap();
    assert_eq!(layout.schema(), &schema);
    assert_eq!((layout.rows(), layout.file_len()), (rows as u64, bytes.len() as u64));
    let plan = Plan::new(&schema, batches).unwrap();
    assert_eq!((plan.rows, plan.batches as usize), (rows as u64, batches.len()));

    for trust in [Trust::Untrusted, Trust::Validated] {
        let reader = SegmentReader::open(bytes.clone(), trust).unwrap();
        assert_eq!((reader.rows(), reader.num_batches()), (rows as u64, batches.len()));
        let read: Vec<_> = reader.batches().map(Result::unwrap).collect();
        assert_eq!(read, batches, "{trust:?}");
    }
    let arrows: Vec<_> =
        FileReader::try_new(Cursor::new(&bytes), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(arrows, batches);
}

#[test]
fn every_type_comes_back() {
    assert_round_trip(&[every_type(100)]);
}

#[test]
fn batches_without_rows_come_back() {
    assert_round_trip(&[every_type(0)]);
    let batch = every_type(40);
    assert_round_trip(&[batch.slice(0, 0), batch.clone(), batch.slice(40, 0)]);
}

#[test]
fn slices_of_every_type_come_back() {
    let batch = every_type(100);
    for (start, len) in [(0, 7), (1, 1), (3, 64), (8, 92), (50, 17), (99, 1)] {
        assert_round_trip(&[batch.slice(start, len)]);
    }
    assert_round_trip(&[batch.slice(0, 31), batch.slice(31, 9), batch.slice(40, 60)]);
}

#[test]
fn a_segment_may_have_no_batch() {
    let schema = every_type(0).schema();
    let bytes = segment(&schema, &[]);
    assert_eq!(Plan::new(&schema, &[]).unwrap().batches, 0);
    assert_eq!(Layout::verify(&bytes).unwrap().schema(), &schema);
    assert_eq!(read_all(&bytes), []);
}

#[test]
fn rows_without_columns_come_back() {
    let rows = RecordBatchOptions::new().with_row_count(Some(12));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &rows).unwrap();
    assert_round_trip(&[batch.clone(), batch]);
}

#[test]
fn projection_gives_the_columns_asked_for_in_their_order() {
    let batch = every_type(50);
    let bytes = Buffer::from(segment(&batch.schema(), &[batch.clone(), batch.slice(5, 9)]).as_slice());
    let all: Vec<usize> = (0..batch.num_columns()).rev().collect();
    for trust in [Trust::Untrusted, Trust::Validated] {
        let reader = SegmentReader::open(bytes.clone(), trust).unwrap();
        for column in 0..batch.num_columns() {
            assert_eq!(reader.batch_columns(0, &[column]).unwrap(), batch.project(&[column]).unwrap());
        }
        for columns in [vec![], vec![3, 1, 3], all.clone(), [all.as_slice(), &all].concat()] {
            let expected = batch.slice(5, 9).project(&columns).unwrap();
            assert_eq!(reader.batch_columns(1, &columns).unwrap(), expected);
        }
        let columns = batch.num_columns();
        let error = reader.batch_columns(0, &[0, columns]).unwrap_err();
        assert!(
            matches!(error, IpcError::NoColumn { index, columns: c } if index == columns && c == columns)
        );
        assert!(matches!(reader.batch(2), Err(IpcError::NoBatch { index: 2, batches: 2 })));
    }
}

#[test]
fn blocks_tell_where_messages_lie() {
    let batch = every_type(30);
    let bytes = segment(&batch.schema(), &[batch.slice(0, 10), batch.slice(10, 20)]);
    let layout = Layout::verify(&bytes).unwrap();
    assert_eq!(layout.batches().iter().map(|block| block.rows).collect::<Vec<_>>(), [10, 20]);
    assert_eq!(layout.dictionaries().len(), 3);
    let mut end = 64;
    for block in layout.dictionaries().iter().chain(layout.batches()) {
        assert!(block.position >= end && block.position % 64 == 0 && block.metadata_len % 64 == 0);
        let start = usize::try_from(block.position).unwrap();
        assert_eq!(bytes[start..start + 4], [0xff; 4]);
        end = block.position + block.metadata_len + block.body_len;
    }
    assert!(end < layout.file_len());
}

#[test]
fn writing_twice_gives_the_same_bytes() {
    let batch = every_type(77);
    let first = segment(&batch.schema(), std::slice::from_ref(&batch));
    assert_eq!(segment(&batch.schema(), std::slice::from_ref(&batch)), first);
}

#[test]
fn digest_and_fingerprint_tell_structures_and_schemas_apart() {
    let numbers = |values: Vec<i64>| {
        segment(&one_column(Int64Array::from(vec![0])).schema(), &[one_column(Int64Array::from(values))])
    };
    let digest = |bytes: &[u8]| Layout::verify(bytes).unwrap().metadata_digest();
    assert_eq!(digest(&numbers(vec![1, 2])), digest(&numbers(vec![3, 4])), "values are not metadata");
    assert_ne!(digest(&numbers(vec![1, 2])), digest(&numbers(vec![1, 2, 3])));

    let schema = every_type(0).schema();
    let layout = Layout::verify(&segment(&schema, &[every_type(3)])).unwrap();
    assert_eq!(layout.schema_fingerprint(), schema_fingerprint(&schema));
    let renamed = Schema::new(vec![Field::new("a", DataType::Int32, true)]);
    let nullable = Schema::new(vec![Field::new("a", DataType::Int32, false)]);
    assert_ne!(schema_fingerprint(&renamed), schema_fingerprint(&nullable));
}

/// Fingerprints are kept with versions on media: an arrow that encodes schemas differently must be noticed.
#[test]
fn fingerprints_stay_what_they_are() {
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new_dictionary("name", DataType::Int16, DataType::Utf8, true),
    ];
    let schema = Schema::new(fields)
        .with_metadata(HashMap::from([("b", "2"), ("a", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()))));
    assert_eq!(schema_fingerprint(&schema), 14_371_313_760_255_094_426);
}

#[test]
fn a_sink_that_is_too_small_is_an_error() {
    let batch = every_type(10);
    let len = usize::try_from(Plan::new(&batch.schema(), std::slice::from_ref(&batch)).unwrap().len).unwrap();
    let mut place = vec![0; len];
    assert_eq!(
        write(&batch.schema(), std::slice::from_ref(&batch), place.as_mut_slice()).unwrap(),
        len as u64
    );
    let mut short = vec![0; len - 1];
    let error = write(&batch.schema(), std::slice::from_ref(&batch), short.as_mut_slice()).unwrap_err();
    assert!(matches!(error, IpcError::Write { .. }), "{error}");
    assert!(Layout::verify(&short).is_err());
}

#[test]
fn a_batch_of_another_schema_is_refused() {
    let schema = one_column(Int64Array::from(vec![1])).schema();
    let other = one_column(arrow_array::Int32Array::from(vec![1]));
    let error = Plan::new(&schema, &[one_column(Int64Array::from(vec![1])), other]).unwrap_err();
    assert!(matches!(error, IpcError::BatchSchema { batch: 1, .. }), "{error}");
    // Only what the batch says of itself differs: its values fit.
    let strict = Arc::new(Schema::new(vec![Field::new("column", DataType::Int64, false)]));
    let lax = one_column(Int64Array::from(vec![1]));
    assert_eq!(read_all(&segment(&strict, &[lax]))[0].schema(), strict);
}

#[test]
fn types_that_no_file_can_hold_are_refused() {
    let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int8), Box::new(values));
    let list_view = DataType::ListView(Arc::new(Field::new_list_field(DataType::Int8, true)));
    let deep =
        (0..61).fold(DataType::Int8, |inner, _| DataType::List(Arc::new(Field::new_list_field(inner, true))));
    for (data_type, expected) in [
        (dictionary(dictionary(DataType::Utf8)), TypeProblem::NestedDictionary),
        (dictionary(list_view), TypeProblem::ListViewInDictionary),
        (deep, TypeProblem::Nesting { max: 60 }),
        (DataType::FixedSizeBinary(-1), TypeProblem::NegativeSize { size: -1 }),
        (DataType::Decimal64(19, 2), TypeProblem::Decimal { precision: 19, scale: 2, max: 18 }),
    ] {
        let schema = Arc::new(Schema::new(vec![Field::new("odd", data_type, true)]));
        let error = Plan::new(&schema, &[]).unwrap_err();
        assert!(matches!(&error, IpcError::Type { problem, .. } if *problem == expected), "{error}");
    }
}

#[test]
fn a_schema_may_be_wide_and_terse() {
    let fields: Vec<_> = (0..5000).map(|_| Field::new("", DataType::Null, true)).collect();
    assert_round_trip(&[RecordBatch::new_empty(Arc::new(Schema::new(fields)))]);
}

#[test]
fn the_deepest_nesting_allowed_comes_back() {
    let deepest =
        (0..59).fold(DataType::Int8, |inner, _| DataType::List(Arc::new(Field::new_list_field(inner, true))));
    let schema = Arc::new(Schema::new(vec![Field::new("deep", deepest, true)]));
    assert_round_trip(&[RecordBatch::new_empty(schema)]);
}
