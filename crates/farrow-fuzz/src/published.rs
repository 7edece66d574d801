//! farrow-ipc: segments that are streamed while somebody writes them.

use std::cell::{Cell, RefCell};
use std::error::Error;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_buffer::Buffer;
use arrow_ipc::root_as_message;
use arrow_ipc::writer::EncodedData;
use arrow_schema::DataType;
use farrow_ipc::{IpcError, MessageSizes, Source, StreamDecoder, StreamEncoder, StreamSchema, Trust};

use crate::ipc::segment_seeds;

/// Bytes of the input that say which segment it is, and how large messages are.
const HEAD: usize = 2;

/// Bytes of a change: before which look at the segment it comes, where (16 bits), and four bytes to be there.
const CHANGE: usize = 7;

/// [`StreamEncoder`]: what it sends is valid, and nothing but bytes that the segment had and zeros between buffers, though
/// any of its bytes become others between any two looks at it.
pub fn published(input: &[u8]) {
    let Some((&[segment, about], changes)) = input.split_first_chunk::<HEAD>() else { return };
    let mut segments = segment_seeds();
    let bytes = segments.swap_remove(usize::from(segment) % segments.len());
    for trust in [Trust::Untrusted, Trust::Validated] {
        let source = Written {
            bytes: RefCell::new(bytes.clone()),
            changes: changes.as_chunks().0,
            looks: Cell::new(0),
            read: RefCell::default(),
        };
        let messages = match messages(&source, trust, usize::from(about) + 1) {
            Ok(messages) => messages,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        messages.iter().for_each(only_zeros_between_buffers);
        match decode(&messages) {
            Ok(batches) => {
                let read = source.read.borrow();
                batches.iter().flat_map(RecordBatch::columns).for_each(|column| all_read(column, &read));
            }
            // Text, and the range of numbers, were validated at the commit and are not again.
            Err(IpcError::Value { .. }) if trust == Trust::Validated => {}
            Err(error) => {
                let text = error.to_string().to_lowercase().contains("utf");
                assert!(text && trust == Trust::Validated, "{error}");
            }
        }
    }
}

/// The rows of a file as a receiver of its messages has them.
pub(crate) fn rows(file: &[u8], trust: Trust, about: usize) -> Result<Vec<RecordBatch>, IpcError> {
    Ok(decode(&messages(file, trust, about)?).expect("whatever is sent is valid"))
}

fn messages(file: impl Source, trust: Trust, about: usize) -> Result<Vec<EncodedData>, IpcError> {
    encoded(StreamEncoder::open(file, trust)?, about)
}

/// All messages that an encoder sends, of about so many bytes each.
pub(crate) fn encoded(
    mut encoder: StreamEncoder<impl Source>,
    about: usize,
) -> Result<Vec<EncodedData>, IpcError> {
    let sizes = MessageSizes { about, most: 1 << 20 };
    let mut stream = StreamSchema::new(encoder.schema())?;
    let mut messages = vec![stream.message()];
    while let Some(message) = encoder.next(&mut stream, sizes)? {
        assert!(message.arrow_data.len() < 1 << 20);
        messages.push(message);
    }
    Ok(messages)
}

pub(crate) fn decode(messages: &[EncodedData]) -> Result<Vec<RecordBatch>, IpcError> {
    let mut decoder = StreamDecoder::new(&messages[0].ipc_message, u64::MAX)?;
    let mut batches = Vec::new();
    for EncodedData { ipc_message, arrow_data } in &messages[1..] {
        batches.extend(decoder.message(ipc_message, Buffer::from(arrow_data.as_slice()))?);
    }
    Ok(batches)
}

fn only_zeros_between_buffers(message: &EncodedData) {
    let header = root_as_message(&message.ipc_message).expect("a message");
    let dictionary = header.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = header.header_as_record_batch().or(dictionary) else { return };
    let mut body = message.arrow_data.clone();
    for buffer in batch.buffers().expect("it has them") {
        let start = usize::try_from(buffer.offset()).expect("not negative");
        let end = start + usize::try_from(buffer.length()).expect("not negative");
        body[start..end].fill(0);
    }
    assert!(body.iter().all(|byte| *byte == 0), "bytes that are no buffer's");
}

/// Every string is in one piece of what was read.
fn all_read(array: &ArrayRef, read: &[Vec<u8>]) {
    let look = |value: Option<&[u8]>| {
        let value = value.unwrap_or_default();
        let found =
            value.is_empty() || read.iter().any(|piece| piece.windows(value.len()).any(|part| part == value));
        assert!(found, "{value:?} was never there");
    };
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().for_each(|text| look(text.map(str::as_bytes))),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().for_each(|text| look(text.map(str::as_bytes))),
        DataType::Utf8View => array.as_string_view().iter().for_each(|text| look(text.map(str::as_bytes))),
        DataType::Binary => array.as_binary::<i32>().iter().for_each(look),
        DataType::LargeBinary => array.as_binary::<i64>().iter().for_each(look),
        DataType::BinaryView => array.as_binary_view().iter().for_each(look),
        _ => array.to_data().child_data().iter().for_each(|child| all_read(&make_array(child.clone()), read)),
    }
}

/// A segment that is written between two looks.
struct Written<'a> {
    bytes: RefCell<Vec<u8>>,
    changes: &'a [[u8; CHANGE]],
    looks: Cell<usize>,
    /// All that was ever read, piece by piece.
    read: RefCell<Vec<Vec<u8>>>,
}

impl Source for Written<'_> {
    fn len(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut bytes = self.bytes.borrow_mut();
        for &[look, low, high, a, b, c, d] in self.changes {
            let place = usize::from(u16::from_le_bytes([low, high])) % bytes.len();
            if usize::from(look) == self.looks.get() {
                bytes.iter_mut().skip(place).zip([a, b, c, d]).for_each(|(byte, new)| *byte = new);
            }
        }
        self.looks.set(self.looks.get() + 1);
        bytes.as_slice().read_at(position, out)?;
        self.read.borrow_mut().push(out.to_vec());
        Ok(())
    }
}

/// Each segment with a word changed at some places, between some looks.
pub(crate) fn published_seeds() -> Vec<Vec<u8>> {
    let count = u8::try_from(segment_seeds().len()).expect("a few");
    let changes = |segment: u8| {
        (0..24_u8).flat_map(move |n| [n * 2 + segment % 2, n.wrapping_mul(41), n, 0xff, 0xff, 0xff, 0x7f])
    };
    (0..count)
        .flat_map(|segment| [vec![segment, 200], [segment, 9].into_iter().chain(changes(segment)).collect()])
        .collect()
}
