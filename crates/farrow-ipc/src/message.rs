//! One message of a file: its prefix, its flatbuffer, and what the two and the footer agree on.

use arrow_ipc::{Message, MessageHeader, RecordBatch, root_as_message_with_opts};

use crate::error::IpcError;
use crate::flatbuffer;
use crate::footer::{Block, check_version, verifier_options};
use crate::problem::{DictionaryProblem, MessageProblem, Part, Place};
use crate::schema::MAX_ARRAY_LEN;

const CONTINUATION: [u8; 4] = [0xff; 4];
/// The continuation marker and the length of the flatbuffer, padding included.
const PREFIX_LEN: usize = 8;

/// A record batch's header, as it is or as the values of a dictionary.
pub(crate) struct BatchHeader<'a> {
    pub(crate) batch: RecordBatch<'a>,
    /// Rows, from 0 to [`MAX_ARRAY_LEN`].
    pub(crate) rows: u64,
}

/// The header of the record batch at `block`, whose metadata is `metadata`.
pub(crate) fn record_batch<'a>(
    metadata: &'a [u8],
    block: &Block,
    place: Place,
) -> Result<BatchHeader<'a>, IpcError> {
    let message = read(metadata, block, place, MessageHeader::RecordBatch)?;
    let batch = message.header_as_record_batch();
    header(batch.ok_or(IpcError::Missing { place, part: Part::Header })?, place)
}

/// Id and header of the dictionary batch at `block`, whose metadata is `metadata`.
pub(crate) fn dictionary_batch<'a>(
    metadata: &'a [u8],
    block: &Block,
    place: Place,
) -> Result<(i64, BatchHeader<'a>), IpcError> {
    let missing = |part| IpcError::Missing { place, part };
    let message = read(metadata, block, place, MessageHeader::DictionaryBatch)?;
    let dictionary = message.header_as_dictionary_batch().ok_or_else(|| missing(Part::Header))?;
    let id = dictionary.id();
    if dictionary.isDelta() {
        return Err(IpcError::Dictionary { place, id, problem: DictionaryProblem::Delta });
    }
    let batch = dictionary.data().ok_or_else(|| missing(Part::DictionaryValues))?;
    Ok((id, header(batch, place)?))
}

/// The message that a flatbuffer is, of any kind.
pub(crate) fn open(encoded: &[u8], place: Place) -> Result<Message<'_>, IpcError> {
    let message = root_as_message_with_opts(&verifier_options(encoded.len()), encoded)
        .map_err(|source| IpcError::Flatbuffer { place, source: Box::new(source) })?;
    check_version(message.version(), place)?;
    flatbuffer::check_message(&message, place)?;
    Ok(message)
}

fn read<'a>(
    metadata: &'a [u8],
    block: &Block,
    place: Place,
    expected: MessageHeader,
) -> Result<Message<'a>, IpcError> {
    let refuse = |problem| Err(IpcError::Message { place, problem });
    // The block's lengths come from an i32 of the footer.
    let room = i64::try_from(block.metadata_len).unwrap_or(i64::MAX) - 8;
    let Some((prefix, encoded)) = metadata.split_at_checked(PREFIX_LEN) else {
        return refuse(MessageProblem::Prefix { expected: room });
    };
    let len = i32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
    if prefix[..4] != CONTINUATION || i64::from(len) != room {
        return refuse(MessageProblem::Prefix { expected: room });
    }
    let message = open(encoded, place)?;
    if message.header_type() != expected {
        return refuse(MessageProblem::Kind { found: message.header_type().0, expected: expected.0 });
    }
    if usize::try_from(message.bodyLength()) != Ok(block.body_len) {
        let problem =
            MessageProblem::BodyLength { found: message.bodyLength(), expected: block.body_len as u64 };
        return refuse(problem);
    }
    Ok(message)
}

/// The header of a record batch, if it can be one.
pub(crate) fn header(batch: RecordBatch<'_>, place: Place) -> Result<BatchHeader<'_>, IpcError> {
    if batch.compression().is_some() {
        return Err(IpcError::Message { place, problem: MessageProblem::Compressed });
    }
    match u64::try_from(batch.length()) {
        Ok(rows) if batch.length() <= MAX_ARRAY_LEN => Ok(BatchHeader { batch, rows }),
        _ => {
            let problem = MessageProblem::Rows { found: batch.length(), max: MAX_ARRAY_LEN };
            Err(IpcError::Message { place, problem })
        }
    }
}
