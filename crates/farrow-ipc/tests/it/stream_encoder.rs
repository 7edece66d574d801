//! Files as the messages of a stream, while somebody writes them.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_ipc::writer::EncodedData;
use arrow_schema::{DataType, Field, Schema, UnionFields};
use arrow_select::concat::concat_batches;
use farrow_ipc::{
    IpcError, MessageSizes, Place, Source, StreamDecoder, StreamEncoder, StreamSchema, Trust, logical_bytes,
};
use proptest::prelude::*;

use crate::samples::{every_type, one_column, segment};

const SIZES: MessageSizes = MessageSizes { about: 1 << 20, most: 64 << 20 };

/// All messages of some files, the schema first.
fn messages(files: &[impl Source], trust: Trust, sizes: MessageSizes) -> Result<Vec<EncodedData>, IpcError> {
    let mut messages = Vec::new();
    let mut stream = None;
    for file in files {
        let mut encoder = StreamEncoder::open(file, trust)?;
        let stream = match &mut stream {
            Some(stream) => stream,
            None => {
                let begun = StreamSchema::new(encoder.schema())?;
                messages.push(begun.message());
                stream.insert(begun)
            }
        };
        while let Some(message) = encoder.next(stream, sizes)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

/// The batches that a receiver makes of them, fully validated.
fn received(messages: &[EncodedData]) -> Result<Vec<RecordBatch>, IpcError> {
    let mut decoder = StreamDecoder::new(&messages[0].ipc_message, u64::MAX)?;
    let mut batches = Vec::new();
    for message in &messages[1..] {
        batches.extend(decoder.message(&message.ipc_message, Buffer::from(message.arrow_data.clone()))?);
    }
    Ok(batches)
}

/// The rows of a file as a receiver of its messages has them.
pub(crate) fn streamed(file: &[u8]) -> Result<Vec<RecordBatch>, IpcError> {
    Ok(received(&messages(&[file], Trust::Untrusted, SIZES)?).expect("whatever is sent is valid"))
}

/// Checks that a receiver takes messages of which no value was validated: all but text that is not UTF-8, and numbers that
/// are none of their type's.
fn assert_sound(messages: &[EncodedData]) {
    match received(messages) {
        Ok(_) | Err(IpcError::Value { .. }) => {}
        Err(error) => assert!(error.to_string().to_lowercase().contains("utf"), "{error}"),
    }
}

fn sent(messages: &[EncodedData]) -> u64 {
    messages.iter().map(|message| message.arrow_data.len() as u64).sum()
}

/// Sends a batch, and compares what is received with it. Gives what was sent.
fn round_trip(batch: &RecordBatch, sizes: MessageSizes) -> Vec<EncodedData> {
    let bytes = segment(&batch.schema(), std::slice::from_ref(batch));
    let messages = messages(&[bytes.as_slice()], Trust::Untrusted, sizes).unwrap();
    let batches = received(&messages).unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), batch.num_rows());
    assert!(concat_batches(&batches[0].schema(), &batches).unwrap() == *batch, "{:?}", batch.schema());
    messages
}

#[test]
fn every_type_in_messages_of_any_size() {
    let batch = every_type(500);
    for about in [1, 1000, 20_000, usize::MAX / 4] {
        round_trip(&batch, MessageSizes { about, most: 1 << 20 });
    }
    let halves = segment(&batch.schema(), &[batch.slice(0, 200), batch.slice(0, 0), batch.slice(200, 300)]);
    let again = segment(&batch.schema(), &[batch.slice(100, 9)]);
    let sent = messages(&[halves.as_slice(), again.as_slice()], Trust::Validated, SIZES).unwrap();
    let rows: Vec<_> = received(&sent).unwrap().iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows, [200, 300, 9]);
    assert_eq!(received(&sent).unwrap()[2], batch.slice(100, 9));
    assert_eq!(sent.len(), 1 + 3 + 3, "the second file's dictionaries are there already");
}

#[test]
fn a_dictionary_that_differs_replaces_the_one_before() {
    let words =
        |words: &[&str]| one_column(words.iter().copied().map(Some).collect::<DictionaryArray<Int32Type>>());
    let files = [words(&["a", "b"]), words(&["b", "a"]), words(&["b", "a"])];
    let files: Vec<_> =
        files.iter().map(|batch| segment(&batch.schema(), std::slice::from_ref(batch))).collect();
    let files: Vec<_> = files.iter().map(Vec::as_slice).collect();
    let messages = messages(&files, Trust::Untrusted, SIZES).unwrap();
    assert_eq!(messages.len(), 1 + 2 + 2 + 1);
    let batches = received(&messages).unwrap();
    assert_eq!(batches[1], words(&["b", "a"]));
    assert_eq!(batches[2], words(&["b", "a"]));
}

/// Numbers below `below`, in no order, the same in each run.
fn shuffled(count: usize, below: usize) -> impl Iterator<Item = usize> + Clone {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    })
}

fn item(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new_list_field(data_type, true))
}

/// Columns that refer to what they hold by its place, in no order: cut into messages, each has what it needs.
fn shuffled_columns() -> Vec<(&'static str, RecordBatch)> {
    let rows = 8_000;
    let i32s =
        |numbers: Vec<usize>| ScalarBuffer::from_iter(numbers.into_iter().map(|n| i32::try_from(n).unwrap()));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8 * 8_000));
    let starts = i32s(shuffled(rows, rows).map(|n| n * 8).collect());
    let list_view = ListViewArray::new(
        item(DataType::Int64),
        starts.clone(),
        i32s(vec![8; rows]),
        Arc::clone(&numbers),
        None,
    );
    let long: Vec<String> =
        (0..rows).map(|n| format!("a text that is not in the view itself {n:9}")).collect();
    let views = StringViewArray::from_iter_values(shuffled(rows, rows).map(|n| &long[n]));
    let of_views: ArrayRef = Arc::new(StringViewArray::from_iter_values(&long));
    let nested_starts = i32s(shuffled(rows, rows - 2).collect());
    let list_view_of_views = ListViewArray::new(
        item(DataType::Utf8View),
        nested_starts.clone(),
        i32s(vec![2; rows]),
        of_views,
        None,
    );
    let runs: ArrayRef = Arc::new(
        long.iter()
            .flat_map(|text| [text.as_str(); 3])
            .map(Some)
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<RunArray<Int32Type>>(),
    );
    let list_view_of_runs =
        ListViewArray::new(item(runs.data_type().clone()), nested_starts, i32s(vec![4; rows]), runs, None);
    let fields = UnionFields::try_new(
        [0, 1],
        [Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)],
    )
    .unwrap();
    let ids: ScalarBuffer<i8> = (0..rows).map(|n| i8::from(n % 3 == 0)).collect();
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(&long));
    let union =
        UnionArray::try_new(fields, ids, Some(i32s((0..rows).collect())), vec![numbers, texts]).unwrap();
    vec![
        ("list views", one_column(list_view)),
        ("views", one_column(views)),
        ("list views of views", one_column(list_view_of_views)),
        ("list views of runs", one_column(list_view_of_runs)),
        ("dense union", one_column(union)),
    ]
}

/// Rows' own size: what each of them has if it is cut out and counted alone.
fn bytes_of_rows(batch: &RecordBatch) -> u64 {
    let rows = (0..batch.num_rows()).map(|row| batch.slice(row, 1));
    let alone =
        |row: RecordBatch| farrow_ipc::slices(&row, u64::MAX).map(|row| logical_bytes(&row)).sum::<u64>();
    rows.map(alone).sum()
}

#[test]
fn what_is_sent_is_in_proportion_to_the_rows() {
    for (name, batch) in shuffled_columns() {
        let messages = round_trip(&batch, MessageSizes { about: 20_000, most: 1 << 20 });
        assert!(messages.len() > 5, "{name}: {}", messages.len());
        let (sent, rows) = (sent(&messages), bytes_of_rows(&batch));
        assert!(sent < 2 * rows, "{name}: {sent} bytes for rows of {rows}");
        assert!(messages.iter().all(|message| message.arrow_data.len() < 45_000), "{name}");
    }
}

/// One long value that all rows refer to is not sent for each of them.
#[test]
fn what_rows_share_is_sent_once_for_many() {
    let rows = 200_000;
    let text = "x".repeat(3 << 20);
    let mut views = builder::StringViewBuilder::new();
    let block = views.append_block(Buffer::from(text.as_bytes()));
    for row in 0..rows {
        views.try_append_view(block, row % 7, 3_000_000).unwrap();
    }
    let batch = one_column(views.finish());
    let bytes = segment(&batch.schema(), std::slice::from_ref(&batch));
    let messages = messages(&[bytes.as_slice()], Trust::Validated, SIZES).unwrap();
    assert!(sent(&messages) < 30 << 20, "{} bytes in {} messages", sent(&messages), messages.len());
    assert!(messages.iter().all(|message| message.arrow_data.len() < 6 << 20));
    let rows_of = |message: &EncodedData| {
        arrow_ipc::root_as_message(&message.ipc_message).unwrap().header_as_record_batch().unwrap().length()
    };
    assert_eq!(messages[1..].iter().map(rows_of).sum::<i64>(), i64::from(rows));
}

#[test]
fn rows_of_uneven_size_keep_to_the_limit() {
    let text = |row: usize| "y".repeat(if row % 1000 == 999 { 300_000 } else { row % 50 });
    let batch = one_column(StringArray::from_iter_values((0..5000).map(text)));
    let messages = round_trip(&batch, MessageSizes { about: 100_000, most: 400_000 });
    assert!(sent(&messages) < 2_000_000);
    assert!(messages.iter().all(|message| message.arrow_data.len() < 401_000));
}

#[test]
fn a_row_that_no_message_holds_is_an_error_that_names_it() {
    let text = |row: usize| "z".repeat(if row == 70 { 5000 } else { 5 });
    let batch = one_column(StringArray::from_iter_values((0..100).map(text)));
    let bytes = segment(&batch.schema(), std::slice::from_ref(&batch));
    let sizes = MessageSizes { about: 500, most: 4000 };
    let error = messages(&[bytes.as_slice()], Trust::Validated, sizes).err().unwrap();
    assert!(matches!(error, IpcError::LargeMessage { row: 70, most: 4000, .. }), "{error}");
    let words: DictionaryArray<Int32Type> =
        (0..1000).map(|n| Some(["a long word", "another"][n % 2])).collect();
    let batch = one_column(words);
    let bytes = segment(&batch.schema(), std::slice::from_ref(&batch));
    let error =
        messages(&[bytes.as_slice()], Trust::Validated, MessageSizes { about: 10, most: 20 }).err().unwrap();
    assert!(error.to_string().contains("dictionary batch 0"), "{error}");
}

/// Types of which rows take no bytes: a batch is one message, and nothing is as long as it has rows.
#[test]
fn rows_that_take_no_bytes() {
    let rows = i32::MAX as usize;
    let none = NullArray::new(rows);
    let structs = StructArray::new_empty_fields(rows, None);
    let lists = FixedSizeListArray::try_new_with_length(
        item(DataType::Int64),
        0,
        new_empty_array(&DataType::Int64),
        None,
        rows,
    )
    .unwrap();
    let nothing = FixedSizeBinaryArray::try_new_with_len(0, Buffer::from(&[]), None, rows).unwrap();
    let ends = PrimitiveArray::<Int32Type>::from(vec![i32::MAX]);
    let runs = RunArray::try_new(&ends, &StringArray::from(vec!["one"])).unwrap();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(none), Arc::new(structs), Arc::new(lists), Arc::new(nothing), Arc::new(runs)];
    for column in columns {
        let batch = RecordBatch::try_from_iter_with_nullable([("column", column, true)]).unwrap();
        let bytes = segment(&batch.schema(), std::slice::from_ref(&batch));
        let messages = messages(&[bytes.as_slice()], Trust::Untrusted, SIZES).unwrap();
        assert_eq!((messages.len(), sent(&messages) < 200), (2, true), "{:?}", batch.schema());
        assert_eq!(received(&messages).unwrap()[0].num_rows(), rows);
    }
    // List views of nulls: a few bytes stand for as many elements as one likes.
    let many: ArrayRef = Arc::new(NullArray::new(rows));
    let whole = |count| ScalarBuffer::from(vec![i32::MAX; count]);
    let inner: ArrayRef =
        Arc::new(ListViewArray::new(item(DataType::Null), vec![0; 3].into(), whole(3), many, None));
    let outer = ListViewArray::new(
        item(inner.data_type().clone()),
        vec![0, 1].into(),
        vec![2, 2].into(),
        inner,
        None,
    );
    let batch = one_column(outer);
    let bytes = segment(&batch.schema(), std::slice::from_ref(&batch));
    let messages = messages(&[bytes.as_slice()], Trust::Validated, SIZES).unwrap();
    assert!(sent(&messages) < 1000);
}

#[test]
fn nulls_hide_whatever_is_behind_them() {
    let nulls = || Some(NullBuffer::from(vec![true, false, true]));
    let views = [ListViewArray::new(
        item(DataType::Int32),
        vec![0, 1, 1].into(),
        vec![1, 2, 2].into(),
        Arc::new(Int32Array::from(vec![1, 2, 3])),
        nulls(),
    )];
    let lists = ListArray::new(
        item(DataType::Int32),
        OffsetBuffer::from_lengths([1, 2, 3]),
        Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5, 6])),
        nulls(),
    );
    round_trip(&one_column(views[0].clone()), SIZES);
    round_trip(&one_column(lists), SIZES);
}

#[test]
fn text_is_checked_unless_it_was() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("t", DataType::Utf8, true),
        Field::new("v", DataType::Utf8View, true),
    ]));
    let text = "ein Text, der nicht in die Sicht paßt";
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(vec!["ä", "b"])), Arc::new(StringViewArray::from(vec![text, "ü"]))];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let whole = segment(&schema, &[batch]);
    for needle in ["äb", "paßt", "ü"] {
        let mut bytes = whole.clone();
        let at = bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap();
        let at = at + needle.bytes().position(|byte| byte >= 0x80).unwrap();
        bytes[at] = 0xff;
        let error = messages(&[bytes.as_slice()], Trust::Untrusted, SIZES).err().unwrap();
        assert!(matches!(error, IpcError::Values { place: Place::Batch(0), .. }), "{error}");
        messages(&[bytes.as_slice()], Trust::Validated, SIZES).unwrap();
    }
}

#[test]
fn a_source_that_fails_is_an_error() {
    struct Failing;
    impl Source for Failing {
        fn len(&self) -> u64 {
            1000
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
            Err("the device is gone".into())
        }
    }
    let error = StreamEncoder::open(Failing, Trust::Validated).err().unwrap();
    assert!(matches!(error, IpcError::Read { position: 0, len: 6, .. }), "{error}");
    assert!(error.to_string().contains("the device is gone"), "{error}");
}

/// Bytes of which some differ from one copy to the next.
struct Restless {
    bytes: Vec<u8>,
    seed: Cell<u64>,
    /// One byte in so many is changed.
    rarity: u64,
    /// The place where bytes are changed; everywhere if it is empty.
    only: std::ops::Range<u64>,
}

impl Restless {
    fn random(&self) -> u64 {
        // An xorshift: the same seed gives the same changes.
        let mut x = self.seed.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.seed.set(x);
        x
    }
}

impl Source for Restless {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.bytes.as_slice().read_at(position, out)?;
        for (place, byte) in (position..).zip(out.iter_mut()) {
            if (self.only.is_empty() || self.only.contains(&place))
                && self.random().is_multiple_of(self.rarity)
            {
                *byte ^= 1 << (self.random() % 8);
            }
        }
        Ok(())
    }
}

fn sample() -> Vec<u8> {
    let batch = every_type(50);
    segment(&batch.schema(), &[batch.slice(0, 20), batch.slice(20, 30)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never a panic, and no message that is not sound.
    #[test]
    fn bytes_that_change_between_two_looks_are_survived(
        seed in 1_u64..,
        rarity in 20_u64..20_000,
        bodies in any::<bool>(),
        about in 100_usize..5000,
    ) {
        let bytes = sample();
        let last = farrow_ipc::Layout::verify(&bytes).unwrap().batches()[1];
        let body = last.position + last.metadata_len;
        let only = if bodies { body..body + last.body_len } else { 0..0 };
        let source = Restless { bytes, seed: Cell::new(seed), rarity, only };
        if let Ok(messages) = messages(&[source], Trust::Validated, MessageSizes { about, most: 1 << 20 }) {
            assert_sound(&messages);
        }
    }
}

/// Bytes that are changed, each time before they are read, to what one of the values that a column depends on must not be.
struct Changed<'a> {
    bytes: RefCell<Vec<u8>>,
    reads: Cell<usize>,
    change: &'a dyn Fn(usize, &mut [u8]),
}

impl Source for Changed<'_> {
    fn len(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        (self.change)(self.reads.get(), &mut self.bytes.borrow_mut());
        self.reads.set(self.reads.get() + 1);
        self.bytes.borrow().as_slice().read_at(position, out)
    }
}

/// Each word of a file, of metadata too, set to each of a few numbers while it is streamed: before the first look at it,
/// or between two.
#[test]
fn any_word_at_any_moment() {
    let batch = every_type(9);
    for column in 0..batch.num_columns() {
        let batch = batch.project(&[column]).unwrap();
        let bytes = segment(&batch.schema(), std::slice::from_ref(&batch));
        let reads = {
            let source =
                Changed { bytes: RefCell::new(bytes.clone()), reads: Cell::new(0), change: &|_, _| {} };
            messages(&[&source], Trust::Validated, SIZES).unwrap();
            source.reads.get()
        };
        for at in (0..bytes.len() / 4 * 4).step_by(4) {
            for word in [0_u32, 0x7fff_ffff, 0xffff_ffff] {
                for moment in [0, reads - reads / 4, reads - 1] {
                    let change = |read: usize, bytes: &mut [u8]| {
                        if read == moment {
                            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
                        }
                    };
                    let source =
                        Changed { bytes: RefCell::new(bytes.clone()), reads: Cell::new(0), change: &change };
                    if let Ok(messages) = messages(&[&source], Trust::Validated, SIZES) {
                        assert_sound(&messages);
                    }
                }
            }
        }
    }
}
