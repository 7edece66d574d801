//! Arrow IPC, streams and files alike: a file is a stream behind its magic, and its footer repeats what the stream
//! says, with which it is compared. So a file can come by a pipe, too.
//!
//! Arrow decodes; the messages are cut here, because what they say of their own lengths must not be believed: memory
//! is taken as bytes come, up to [`MAX_MESSAGE`].

mod messages;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{Message, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};

use farrow_ipc::IpcError;

use self::messages::Messages;
use super::Problem;
use crate::format::{FEATHER_V1, IPC_FILE};
use crate::output;

const IS_FEATHER_V1: &str = "a Feather V1 file, as pandas wrote them before 1.0, which is not Arrow IPC. Convert it: \
    python -c \"import sys, pyarrow.feather as f; f.write_feather(f.read_table(sys.argv[1]), sys.argv[2])\" OLD NEW";

/// At most so many bytes of one message's body, compressed or not.
const MAX_MESSAGE: u64 = 4 << 30;

/// At most so many bytes of one message's metadata.
const MAX_METADATA: u32 = 256 << 20;

/// At most so many zeros stand before the first message of a file.
const MAX_PADDING: usize = 4096;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// Stands before the length of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Bytes behind a footer: its length, and the magic.
const FOOTER_TAIL: usize = 4 + IPC_FILE.len();

/// A message of length 0: the end.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

pub(super) struct IpcReader<R> {
    input: R,
    /// The input as messages name it.
    place: String,
    decoder: StreamDecoder,
    schema: SchemaRef,
    /// The place where its messages are, of a file.
    messages: Option<Messages>,
    ended: bool,
    /// Decoded already.
    batches: VecDeque<RecordBatch>,
}

impl<R: Read> IpcReader<R> {
    /// Reads up to the schema. Of a stream without an end mark, `place` is told on stderr.
    pub(super) fn open(mut input: R, place: &str) -> Result<Self, Problem> {
        let mut first = [0; 4];
        read_exact(&mut input, &mut first)?;
        if first == *FEATHER_V1 {
            return Err(IS_FEATHER_V1.into());
        }
        let mut messages = None;
        if IPC_FILE.starts_with(&first) {
            let position;
            (first, position) = behind_magic(&mut input)?;
            messages = Some(Messages::from(position));
        }
        let mut decoder = StreamDecoder::new();
        let Some((head, body)) = message(&mut input, first)? else {
            return Err("ends before its schema".into());
        };
        let schema = parse(&head)?.header_as_schema();
        let schema = schema.ok_or("does not begin with a schema: neither an Arrow IPC file nor a stream")?;
        check_byte_order(schema)?;
        let schema = Arc::new(try_fb_to_schema(schema)?);
        messages.iter_mut().for_each(|messages| messages.passed(&first, &head, &body));
        let mut batches = VecDeque::new();
        decode(&mut decoder, [head, body], &mut batches)?;
        Ok(Self { input, place: place.to_owned(), decoder, schema, messages, ended: false, batches })
    }

    /// Reads one message, or what is behind the last one.
    fn advance(&mut self) -> Result<(), Problem> {
        let mut first = [0; 4];
        let found = if at_end(&mut self.input, &mut first)? && self.messages.is_none() {
            // The format lets a stream end so. Most writers mark the end, but none can that is killed before it.
            output::warning(format_args!(
                "{}: the stream ends without its end mark: if its writer was interrupted, rows are missing",
                self.place
            ));
            None
        } else {
            read_exact(&mut self.input, &mut first[1..])?;
            message(&mut self.input, first)?
        };
        match found {
            Some((head, body)) => {
                let message = parse(&head)?;
                check_compressed(&message, &body)?;
                if let Some(messages) = &mut self.messages {
                    messages.found(&message);
                    messages.passed(&first, &head, &body);
                }
                decode(&mut self.decoder, [head, body], &mut self.batches)
            }
            None => {
                self.ended = true;
                decode(&mut self.decoder, [Buffer::from(END)], &mut self.batches)?;
                match &self.messages {
                    Some(messages) => messages.compare(&end_of_file(&mut self.input)?, &self.schema),
                    None => end_of_stream(&mut self.input),
                }
            }
        }
    }
}

/// The first bytes of the first message of a file, of whose magic four bytes were read, and where they are. Zeros lie between: to the next
/// 8 bytes, or as far as the writer aligns.
fn behind_magic(input: &mut impl Read) -> Result<([u8; 4], u64), Problem> {
    let mut word = [0; 4];
    read_exact(input, &mut word)?;
    if word[..2] != IPC_FILE[4..] {
        return Err("begins almost as an Arrow IPC file, but not with ARROW1".into());
    }
    for position in (8..).step_by(word.len()).take(MAX_PADDING / word.len()) {
        read_exact(input, &mut word)?;
        if word != [0; 4] {
            return Ok((word, position));
        }
    }
    Err(format!("begins as an Arrow IPC file, and {MAX_PADDING} bytes behind that are no message").into())
}

/// The message that begins with `first`: its metadata behind the prefix, and its body. None: the end.
fn message(input: &mut impl Read, first: [u8; 4]) -> Result<Option<(Buffer, Buffer)>, Problem> {
    let mut len = first;
    if first == CONTINUATION {
        read_exact(input, &mut len)?;
    }
    let len = u32::from_le_bytes(len);
    if len == 0 {
        return Ok(None);
    }
    if len > MAX_METADATA {
        return Err(format!(
            "a message with {len} bytes of metadata, at most {MAX_METADATA} are read: damaged, or no Arrow IPC"
        )
        .into());
    }
    let mut head = MutableBuffer::with_capacity(END.len());
    head.extend_from_slice(&CONTINUATION);
    head.extend_from_slice(&len.to_le_bytes());
    read(input, u64::from(len), &mut head)?;
    let head = Buffer::from(head);
    let announced = parse(&head)?.bodyLength();
    let len = u64::try_from(announced).ok().filter(|len| *len <= MAX_MESSAGE).ok_or_else(|| {
        format!("a message of {announced} bytes, at most {MAX_MESSAGE} are read: damaged, or write smaller batches")
    })?;
    let mut body = MutableBuffer::new(0);
    read(input, len, &mut body)?;
    Ok(Some((head, body.into())))
}

/// The metadata behind the prefix.
fn parse(head: &[u8]) -> Result<Message<'_>, Problem> {
    let metadata = head.get(END.len()..).unwrap_or_default();
    root_as_message(metadata).map_err(|error| format!("a message's metadata is damaged: {error}").into())
}

/// Reads `len` bytes. Memory is taken for what has come, not for what was announced.
fn read(input: &mut impl Read, len: u64, into: &mut MutableBuffer) -> Result<(), Problem> {
    let mut piece = vec![0; usize::try_from(len).map_or(PIECE, |len| len.min(PIECE))];
    let mut left = len;
    while left > 0 {
        let now = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        read_exact(input, &mut piece[..now]).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                format!("ends within a message: {left} of {len} bytes or more are missing").into()
            }
            _ => Problem::from(error),
        })?;
        into.extend_from_slice(&piece[..now]);
        left -= now as u64;
    }
    Ok(())
}

/// True if nothing is left to read; else the first byte is in `bytes`.
fn at_end(input: &mut impl Read, bytes: &mut [u8; 4]) -> std::io::Result<bool> {
    match input.read_exact(&mut bytes[..1]) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(true),
        Err(error) => Err(error),
    }
}

fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<()> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => {
            std::io::Error::new(error.kind(), "ends too early: written only in part, or no Arrow IPC")
        }
        _ => error,
    })
}

/// Sums up what a compressed message says that it is without compression.
fn check_compressed(message: &Message<'_>, body: &[u8]) -> Result<(), Problem> {
    let batch = message.header_as_record_batch();
    let batch = batch.or_else(|| message.header_as_dictionary_batch()?.data());
    let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else { return Ok(()) };
    let mut sum = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        // What does not lie in the body is found by the decoder.
        let at = usize::try_from(buffer.offset()).unwrap_or(usize::MAX);
        let length =
            body.get(at..).and_then(|bytes| bytes.first_chunk()).map(|length| i64::from_le_bytes(*length));
        sum = sum.saturating_add(u64::try_from(length.unwrap_or(0)).unwrap_or(0));
    }
    if sum > MAX_MESSAGE {
        return Err(format!(
            "a message of {sum} bytes without compression, at most {MAX_MESSAGE} are read: damaged, or write smaller \
             batches"
        )
        .into());
    }
    Ok(())
}

fn decode<const N: usize>(
    decoder: &mut StreamDecoder,
    parts: [Buffer; N],
    batches: &mut VecDeque<RecordBatch>,
) -> Result<(), Problem> {
    for mut part in parts {
        while !part.is_empty() {
            batches.extend(decoder.decode(&mut part)?);
        }
    }
    Ok(())
}

/// The footer's flatbuffer: a file that was written to its end has it before its length and the magic.
fn end_of_file(input: &mut impl Read) -> Result<Vec<u8>, Problem> {
    let most = u64::from(MAX_METADATA) + FOOTER_TAIL as u64;
    let mut rest = Vec::new();
    input.take(most + 1).read_to_end(&mut rest)?;
    if rest.len() as u64 > most {
        return Err(
            format!("more than {most} bytes follow its last message: damaged, or no Arrow IPC file").into()
        );
    }
    if !rest.ends_with(IPC_FILE) {
        return Err("ends without ARROW1: written only in part".into());
    }
    let end = rest.len().checked_sub(FOOTER_TAIL).ok_or("ends without a footer: written only in part")?;
    let said = rest[end..].first_chunk().map_or(0, |len| i32::from_le_bytes(*len));
    let start = usize::try_from(said).ok().and_then(|len| end.checked_sub(len));
    let start = start.ok_or_else(|| format!("a footer of {said} bytes where {end} have room: damaged"))?;
    rest.truncate(end);
    let footer = rest.split_off(start);
    // Writers may align the footer, and nothing else is there: of two files the last footer fits the first one's messages.
    if rest.iter().any(|byte| *byte != 0) {
        return Err(format!(
            "has {} bytes between its last message and its footer: several files one after another? Put each by itself",
            rest.len()
        )
        .into());
    }
    Ok(footer)
}

/// A stream has nothing behind its end but perhaps zeros.
fn end_of_stream(input: &mut impl Read) -> Result<(), Problem> {
    let mut piece = vec![0; PIECE];
    loop {
        let found = input.read(&mut piece)?;
        if piece[..found].iter().any(|byte| *byte != 0) {
            return Err(
                "goes on behind the end of the stream: several streams one after another? Put each by itself"
                    .into(),
            );
        }
        if found == 0 {
            return Ok(());
        }
    }
}

/// Refuses values of the other byte order: nothing here swaps them.
pub(super) fn check_byte_order(schema: arrow_ipc::Schema<'_>) -> Result<(), Problem> {
    if schema.endianness().equals_to_target_endianness() { Ok(()) } else { Err(IpcError::Endianness.into()) }
}

impl<R: Read> Iterator for IpcReader<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.batches.pop_front() {
                return Some(Ok(batch));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.advance() {
                self.ended = true;
                return Some(Err(ArrowError::ExternalError(error)));
            }
        }
    }
}

impl<R: Read> RecordBatchReader for IpcReader<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

#[cfg(test)]
mod tests;
