//! Messages of a stream: whole, changed, and of every kind of damage.

use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, Decimal128Array, DictionaryArray, Int8Array, NullArray, RecordBatch, StringArray,
    UnionArray,
};
use arrow_buffer::Buffer;
use arrow_ipc::writer::{
    DictionaryHandling, DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions,
};
use arrow_schema::{DataType, Field, Schema, UnionFields, UnionMode};
use farrow_ipc::{IpcError, MessageProblem, Place, Plan, StreamDecoder, bytes_outside, prepare};
use proptest::prelude::*;

use crate::samples::every_type;

/// More than any dictionary here has.
const MOST: u64 = 1 << 20;

pub(crate) fn messages(batches: &[RecordBatch], options: &IpcWriteOptions) -> Vec<EncodedData> {
    let generator = IpcDataGenerator::default();
    let mut tracker = DictionaryTracker::new(false);
    let mut context = IpcWriteContext::default();
    let schema = batches[0].schema();
    let mut messages =
        vec![generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut tracker, options)];
    for batch in batches {
        let (dictionaries, batch) = generator.encode(batch, &mut tracker, options, &mut context).unwrap();
        messages.extend(dictionaries);
        messages.push(batch);
    }
    messages
}

fn sample() -> Vec<EncodedData> {
    let batch = every_type(11);
    messages(&[batch.slice(0, 7), batch.slice(7, 4)], &IpcWriteOptions::default())
}

/// Bytes that begin so far off a boundary of memory.
fn at(bytes: &[u8], misalignment: usize) -> Buffer {
    let all = [&vec![0; misalignment], bytes].concat();
    Buffer::from(all).slice(misalignment)
}

pub(crate) fn decode(messages: &[EncodedData], misalignment: usize) -> Result<Vec<RecordBatch>, IpcError> {
    let (first, rest) = messages.split_first().unwrap();
    let mut decoder = StreamDecoder::new(&at(&first.ipc_message, misalignment), MOST)?;
    let batches = rest.iter().map(|message| {
        decoder.message(&at(&message.ipc_message, misalignment), at(&message.arrow_data, misalignment))
    });
    batches.filter_map(Result::transpose).collect()
}

#[test]
fn every_type_at_any_address() {
    let batch = every_type(11);
    for alignment in [8, 64] {
        let options = IpcWriteOptions::try_new(alignment, false, arrow_ipc::MetadataVersion::V5).unwrap();
        let messages = messages(&[batch.slice(0, 7), batch.slice(7, 4)], &options);
        for misalignment in 0..9 {
            let found = decode(&messages, misalignment).unwrap();
            assert_eq!(found, [batch.slice(0, 7), batch.slice(7, 4)], "{misalignment}");
            assert_eq!(found[0].schema(), batch.schema(), "metadata is kept");
        }
    }
}

fn keyed(words: &[&str]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(words.iter().copied().collect::<DictionaryArray<Int8Type>>());
    RecordBatch::try_from_iter([("word", keys)]).unwrap()
}

#[test]
fn dictionaries_are_replaced_and_extended() {
    let parts = [keyed(&["a", "b", "a"]), keyed(&["c"]), keyed(&["b", "d", "d"])];
    let replaced = messages(&parts, &IpcWriteOptions::default());
    assert_eq!(replaced.len(), 7);
    assert_eq!(decode(&replaced, 0).unwrap(), parts);

    let grown = [keyed(&["a", "b"]), keyed(&["a", "b", "c", "a"]), keyed(&["a", "b", "c", "d"])];
    let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let deltas = messages(&grown, &options);
    let len = |index: usize| deltas[index].arrow_data.len();
    assert!(len(3) <= len(1), "only what is new is sent");
    assert_eq!(decode(&deltas, 3).unwrap(), grown);
}

#[test]
fn dictionaries_have_a_limit_together() {
    let parts = [keyed(&["a", "b"]), keyed(&["a", "b", "c"])];
    let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let deltas = messages(&parts, &options);
    let first = deltas[1].arrow_data.len() as u64;
    let mut decoder = StreamDecoder::new(&deltas[0].ipc_message, first).unwrap();
    let mut take =
        |message: &EncodedData| decoder.message(&message.ipc_message, at(&message.arrow_data, 0)).map(drop);
    take(&deltas[1]).unwrap();
    take(&deltas[2]).unwrap();
    // It is kept beside the first one.
    let error = take(&deltas[3]).unwrap_err();
    assert!(
        matches!(
            error,
            IpcError::Message { place: Place::Message(3), problem: MessageProblem::DictionaryBytes { .. } }
        ),
        "{error}"
    );
    // One that replaces the first does not add to it.
    let replaced = messages(&[keyed(&["a", "b"]), keyed(&["c", "d"])], &IpcWriteOptions::default());
    let mut decoder = StreamDecoder::new(&replaced[0].ipc_message, first).unwrap();
    for message in &replaced[1..] {
        decoder.message(&message.ipc_message, at(&message.arrow_data, 0)).unwrap();
    }
}

#[test]
fn a_message_is_held_by_its_batch_alone() {
    let sent = messages(&[keyed(&["a", "b"]), keyed(&["a", "c"])], &IpcWriteOptions::default());
    let mut decoder = StreamDecoder::new(&sent[0].ipc_message, MOST).unwrap();
    for message in &sent[1..] {
        // The body is a part of what came.
        let whole = at(&message.arrow_data, 64);
        let batch = decoder.message(&message.ipc_message, whole.clone()).unwrap();
        let held = usize::from(batch.is_some());
        assert_eq!(whole.strong_count(), 1 + held, "dictionaries that are kept are copies");
    }
}

#[test]
fn what_is_copied_of_a_message_counts() {
    let decimals = Decimal128Array::from_iter_values(0..100).with_precision_and_scale(9, 2).unwrap();
    let numbers = Int8Array::from_iter([Some(1), None].into_iter().cycle().take(100));
    let batch = RecordBatch::try_from_iter([
        ("decimal", Arc::new(decimals) as ArrayRef),
        ("number", Arc::new(numbers)),
        ("word", keyed(&["a"; 100]).column(0).clone()),
    ])
    .unwrap();
    let sent = messages(&[batch], &IpcWriteOptions::default());
    let mut decoder = StreamDecoder::new(&sent[0].ipc_message, MOST).unwrap();
    decoder.message(&sent[1].ipc_message, at(&sent[1].arrow_data, 0)).unwrap();
    let len = sent[2].arrow_data.len();
    // Decimals have 16 bytes, and Arrow copies those that begin between their boundaries. A body that is 7 bytes off is
    // copied whole.
    for (misalignment, copied) in [(0, 0..=0), (8, 1600..=1664), (7, 1700..=len)] {
        let body = at(&sent[2].arrow_data, misalignment);
        let lies = body.as_slice().as_ptr_range();
        let batch = decoder.message(&sent[2].ipc_message, body.clone()).unwrap().unwrap();
        let found = usize::try_from(bytes_outside(&batch, lies)).unwrap();
        assert!(copied.contains(&found), "{found} of {len}, {misalignment} off");
    }
}

#[test]
fn a_stream_has_one_schema_and_then_batches() {
    let whole = sample();
    let error = |messages: &[EncodedData]| decode(messages, 0).unwrap_err();
    let problem = |messages: &[EncodedData]| match error(messages) {
        IpcError::Message { place, problem } => (place, problem),
        other => panic!("{other}"),
    };
    let last = whole.len() - 1;
    assert!(matches!(problem(&whole[1..]), (Place::Message(0), MessageProblem::NoSchema { .. })));
    let again = [&whole[..], &whole[..1]].concat_messages();
    assert_eq!(problem(&again), (Place::Message(whole.len()), MessageProblem::SecondSchema));

    let mut short = sample();
    let said = i64::try_from(short[last].arrow_data.len()).unwrap();
    short[last].arrow_data.truncate(100);
    assert_eq!(problem(&short), (Place::Message(last), MessageProblem::BodyCutOff { found: 100, said }));
    // More than it says is not looked at.
    short[last].arrow_data = [&whole[last].arrow_data[..], &[0xff; 100]].concat();
    assert_eq!(decode(&short, 0).unwrap(), decode(&whole, 0).unwrap());

    let noise = StreamDecoder::new(&[0x55; 300], MOST).unwrap_err();
    assert!(matches!(noise, IpcError::Flatbuffer { place: Place::Message(0), .. }), "{noise}");
    let none = StreamDecoder::new(&[], MOST).unwrap_err();
    assert!(matches!(none, IpcError::Flatbuffer { .. }), "{none}");
    let long = StreamDecoder::new(&vec![0; (16 << 20) + 1], MOST).unwrap_err();
    assert!(long.to_string().contains("16777217 bytes of metadata"), "{long}");
}

trait Concat {
    fn concat_messages(&self) -> Vec<EncodedData>;
}

impl Concat for [&[EncodedData]; 2] {
    fn concat_messages(&self) -> Vec<EncodedData> {
        let copy = |message: &EncodedData| EncodedData {
            ipc_message: message.ipc_message.clone(),
            arrow_data: message.arrow_data.clone(),
        };
        self.iter().flat_map(|messages| messages.iter().map(copy)).collect()
    }
}

/// Decodes what there is and makes a segment of it, as a put does: an error, or a file. True if it was read.
fn survives(messages: &[EncodedData]) -> bool {
    let batches = match decode(messages, 1) {
        Err(error @ IpcError::DecoderPanicked { .. }) => panic!("{error}"),
        Err(_) => return false,
        Ok(batches) => batches,
    };
    let Some(schema) = batches.first().map(RecordBatch::schema) else { return true };
    if let Ok(prepared) = prepare(&schema, batches, 64 << 20) {
        Plan::new(&schema, &prepared).unwrap();
    }
    true
}

#[test]
fn any_byte_may_be_wrong() {
    let batch = every_type(5);
    let schema = batch.schema();
    let names = ["utf8", "utf8 view", "list view", "map", "dictionary", "runs", "dense union", "fixed list"];
    let columns: Vec<_> = names.iter().map(|name| schema.index_of(name).unwrap()).collect();
    let batch = batch.project(&columns).unwrap();
    let whole = messages(&[batch.slice(0, 3), batch.slice(3, 2)], &IpcWriteOptions::default());
    let (mut read, mut refused) = (0, 0);
    for index in 0..whole.len() {
        for body in [false, true] {
            let len = if body { whole[index].arrow_data.len() } else { whole[index].ipc_message.len() };
            for position in (index..len).step_by(5) {
                let mut changed = [&whole[..], &[]].concat_messages();
                let message = &mut changed[index];
                let bytes = if body { &mut message.arrow_data } else { &mut message.ipc_message };
                bytes[position] ^= [0x01, 0x80, 0xff][position % 3];
                if survives(&changed) { read += 1 } else { refused += 1 }
            }
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

proptest! {
    #[test]
    fn many_bytes_may_be_wrong(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(),
        any::<prop::sample::Index>(), any::<u8>()), 1..6))
    {
        let mut changed = sample();
        for (index, body, position, value) in changes {
            let index = index.index(changed.len());
            let message = &mut changed[index];
            let bytes = if body { &mut message.arrow_data } else { &mut message.ipc_message };
            if !bytes.is_empty() {
                let position = position.index(bytes.len());
                bytes[position] = value;
            }
        }
        survives(&changed);
    }
}

/// A few bytes that use one long string thousands of times must not be written as often.
#[test]
fn what_a_union_shares_is_not_multiplied() {
    let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 16)]));
    let empty: ArrayRef = Arc::new(NullArray::new(1 << 20));
    let fields = UnionFields::try_new(
        [0, 1],
        [Field::new("long", DataType::Utf8, true), Field::new("empty", DataType::Null, true)],
    )
    .unwrap();
    let rows = 1 << 12;
    let union = UnionArray::try_new(
        fields.clone(),
        Int8Array::from(vec![0; rows]).values().clone(),
        Some(vec![0; rows].into()),
        vec![long, empty],
    )
    .unwrap();
    let field = Field::new("u", DataType::Union(fields, UnionMode::Dense), false);
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(union)]).unwrap();
    let decoded = decode(&messages(std::slice::from_ref(&batch), &IpcWriteOptions::default()), 0).unwrap();
    let prepared = prepare(&schema, decoded, 64 << 20).unwrap();
    assert!(Plan::new(&schema, &prepared).unwrap().len < 1 << 20);
    assert_eq!(prepared[0].column(0).len(), rows);
    assert_eq!(prepared, [batch]);
}
