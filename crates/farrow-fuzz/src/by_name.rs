//! Batches whose columns are matched by name.

use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, Date32Array, Decimal128Array, DictionaryArray, FixedSizeBinaryArray,
    Float32Array, Int8Array, NullArray, RecordBatch, StringArray, StringViewArray, TimestampSecondArray,
    UInt16Array,
};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use farrow_ipc::{ByName, IpcError, StreamDecoder, fits_by_name};

use crate::ipc::{MOST_DICTIONARY_BYTES, batch_of_every_type, message, messages};

/// Pieces of a batch that are looked at: a few bytes may stand for any number of rows.
const PIECES: usize = 2;

/// [`ByName`]: a stream of messages whose first one is the schema that the others are matched with. What comes of a batch
/// has that schema, and is its rows without loss: cast back, it is what it was.
pub fn by_name(bytes: &[u8]) {
    rows_matched(bytes);
}

/// The rows that were matched and compared.
fn rows_matched(bytes: &[u8]) -> usize {
    let mut all = 0;
    let Some((metadata, _, rest)) = message(bytes) else { return all };
    let Ok(wanted) = StreamDecoder::new(metadata, MOST_DICTIONARY_BYTES) else { return all };
    let Some((metadata, _, mut rest)) = message(rest) else { return all };
    let Ok(mut given) = StreamDecoder::new(metadata, MOST_DICTIONARY_BYTES) else { return all };
    let expected = wanted.schema().clone();
    let fits = fits_by_name(&expected, given.schema());
    let mut matched = ByName::new(&expected);
    assert_eq!(matched.check(given.schema()).is_ok(), fits.is_ok());
    if let Err(difference) = &fits {
        assert!(!difference.with_advice(false).is_empty());
    }
    while let Some((metadata, body, behind)) = message(rest) {
        rest = behind;
        let Ok(batch) = given.message(metadata, body.into()) else { return all };
        let Some(batch) = batch else { continue };
        match matched.push(&batch) {
            Ok(()) => assert!(fits.is_ok(), "{:?}", fits.err()),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return all;
            }
        }
        let mut rows = 0;
        for piece in matched.by_ref().take(PIECES) {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error @ IpcError::DecoderPanicked { .. }) => panic!("{error}"),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    return all;
                }
            };
            assert_eq!(piece.schema(), expected);
            compare(&batch.slice(rows, piece.num_rows()), &piece);
            rows += piece.num_rows();
            all += piece.num_rows();
        }
        if rows < batch.num_rows() {
            return all;
        }
    }
    all
}

/// Compares the columns of a batch with what they became.
fn compare(batch: &RecordBatch, piece: &RecordBatch) {
    for (field, cast) in piece.schema_ref().fields().iter().zip(piece.columns()) {
        let found = batch.column_by_name(field.name()).expect("it fits");
        assert_eq!(cast.logical_null_count(), found.logical_null_count(), "{field}");
        if cast.data_type() == found.data_type() {
            assert_eq!(cast, found);
            continue;
        }
        // A float that is no number may become another such.
        let exact = !found.data_type().is_nested()
            && !found.data_type().is_floating()
            && *found.data_type() != DataType::Null;
        // Where values of a dictionary are null, keys say so afterwards.
        let same_nulls = found.null_count() == found.logical_null_count();
        if exact && same_nulls && can_cast_types(cast.data_type(), found.data_type()) {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            if let Ok(back) = cast_with_options(cast, found.data_type(), &strict) {
                assert_eq!(&back, found, "{field}");
            }
        }
    }
}

/// Columns, and other types that take them.
fn casts() -> Vec<(ArrayRef, DataType)> {
    let text = || {
        StringArray::from(vec![
            Some("one"),
            None,
            Some("a text that is longer than a view has room for"),
            Some(""),
        ])
    };
    let words = |values: ArrayRef| {
        DictionaryArray::<Int8Type>::new(Int8Array::from(vec![Some(0), None, Some(2), Some(0)]), values)
    };
    let dictionary =
        |keys: DataType, values: DataType| DataType::Dictionary(Box::new(keys), Box::new(values));
    let bytes =
        FixedSizeBinaryArray::try_from_iter([[1, 2], [0, 0], [255, 1], [3, 4]].iter()).expect("of two bytes");
    vec![
        (Arc::new(Int8Array::from(vec![Some(1), None, Some(-128), Some(7)])), DataType::Int64),
        (Arc::new(UInt16Array::from(vec![1, 2, 65_535, 4])), DataType::Int32),
        (Arc::new(Float32Array::from(vec![0.5, f32::NAN, -0.0, f32::MAX])), DataType::Float64),
        (Arc::new(text()), DataType::Utf8View),
        (Arc::new(StringViewArray::from_iter(text().iter())), DataType::LargeUtf8),
        (Arc::new(text()), dictionary(DataType::Int16, DataType::Utf8)),
        (Arc::new(words(Arc::new(text()))), DataType::Utf8),
        (Arc::new(words(Arc::new(text()))), dictionary(DataType::UInt32, DataType::LargeUtf8)),
        (Arc::new(BinaryArray::from_iter_values([&b"a"[..], b"", b"\xff", b"bc"])), DataType::BinaryView),
        (Arc::new(bytes), DataType::LargeBinary),
        (Arc::new(Date32Array::from(vec![0, -1, 20_000, i32::MAX])), DataType::Date64),
        (
            Arc::new(TimestampSecondArray::from(vec![Some(0), None, Some(-1), Some(i64::MAX / 1000)])),
            DataType::Timestamp(TimeUnit::Millisecond, None),
        ),
        (
            Arc::new(
                Decimal128Array::from(vec![1, -1, 999, 0])
                    .with_precision_and_scale(3, 1)
                    .expect("three digits"),
            ),
            DataType::Decimal256(20, 4),
        ),
        (Arc::new(NullArray::new(4)), DataType::Int32),
    ]
}

/// Streams to be matched with another schema, whose columns are in another order.
pub(crate) fn by_name_seeds() -> Vec<Vec<u8>> {
    let stream = |batch: &RecordBatch, expected: &SchemaRef| {
        let mut bytes = messages(&RecordBatch::new_empty(Arc::clone(expected)), 0);
        bytes.extend(messages(batch, 2));
        bytes
    };
    let named = |columns: &[(ArrayRef, DataType)]| {
        let name = |index: usize| format!("c{index}");
        let batch =
            columns.iter().enumerate().map(|(index, (column, _))| (name(index), Arc::clone(column), true));
        let batch = RecordBatch::try_from_iter_with_nullable(batch).expect("columns of one length");
        let fields =
            columns.iter().enumerate().map(|(index, (_, cast))| Field::new(name(index), cast.clone(), true));
        let expected = Arc::new(Schema::new(fields.rev().collect::<Vec<_>>()));
        stream(&batch, &expected)
    };
    let every = batch_of_every_type();
    let mut seeds = vec![stream(&every, &every.schema()), named(&casts())];
    seeds.extend(casts().chunks(1).map(named));
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_matched() {
        for seed in by_name_seeds() {
            assert_eq!(rows_matched(&seed), 4);
        }
    }
}
