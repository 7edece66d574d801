//! The messages of a stream, from whoever sends them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::{Message, MessageHeader};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat;

use crate::columns::{self, Rules};
use crate::decode::{Body, Values};
use crate::error::IpcError;
use crate::footer::{Block, read_schema};
use crate::message::{self, BatchHeader};
use crate::problem::{DictionaryProblem, MessageProblem, Part, Place};
use crate::schema::{check_types, dictionary_types};

/// The boundary on which every buffer of a body begins, counted from its beginning, in bytes.
const ALIGNMENT: u64 = 8;

/// The most bytes of metadata in a message: a schema of 100,000 columns has about that much. What is made of it takes
/// several times as much memory.
const MAX_METADATA: usize = 16 << 20;

/// Decodes the encapsulated messages of an Arrow IPC stream: metadata and body, each on its own, as Flight sends them.
///
/// Structure and values of every message are checked before anything is made of it. Dictionaries may be replaced and
/// extended (deltas). It holds copies of the dictionaries, and nothing else of what has passed. Bodies may lie at any
/// address: what Arrow cannot use there is copied. Compressed bodies are refused.
#[derive(Debug)]
pub struct StreamDecoder {
    schema: SchemaRef,
    types: HashMap<i64, DataType>,
    dictionaries: HashMap<i64, ArrayRef>,
    /// Bytes of the bodies that each dictionary came in.
    bytes: HashMap<i64, u64>,
    most_bytes: u64,
    /// Of the next message; the schema is number 0.
    number: usize,
}

impl StreamDecoder {
    /// Begins with the metadata of the first message. Of all dictionaries together, `most_bytes` are kept.
    ///
    /// # Errors
    /// Whatever is wrong with it: it is no schema, or one that a segment cannot have.
    pub fn new(metadata: &[u8], most_bytes: u64) -> Result<Self, IpcError> {
        let place = Place::Message(0);
        let message = open(metadata, place)?;
        let MessageHeader(found) = message.header_type();
        if message.header_type() != MessageHeader::Schema {
            return Err(IpcError::Message { place, problem: MessageProblem::NoSchema { found } });
        }
        let missing = IpcError::Missing { place, part: Part::Schema };
        let schema = read_schema(message.header_as_schema().ok_or(missing)?)?;
        check_types(&schema)?;
        let types = dictionary_types(&schema, place)?;
        let (dictionaries, bytes) = (HashMap::new(), HashMap::new());
        Ok(Self { schema: Arc::new(schema), types, dictionaries, bytes, most_bytes, number: 1 })
    }

    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Bytes of the bodies of the dictionaries that it holds.
    pub fn dictionary_bytes(&self) -> u64 {
        self.bytes.values().sum()
    }

    /// Takes the next message: a record batch, or a dictionary, of which nothing is returned.
    ///
    /// # Errors
    /// Whatever is wrong with the message, with its number. Never panics, whatever the bytes; allocates a few times the
    /// message's own bytes at most. After an error the decoder is of no further use.
    pub fn message(&mut self, metadata: &[u8], body: Buffer) -> Result<Option<RecordBatch>, IpcError> {
        let place = Place::Message(self.number);
        self.number += 1;
        let message = open(metadata, place)?;
        let refuse = |problem| IpcError::Message { place, problem };
        let said = message.bodyLength();
        let body_len = usize::try_from(said).ok().filter(|len| *len <= body.len());
        let body_len =
            body_len.ok_or_else(|| refuse(MessageProblem::BodyCutOff { found: body.len() as u64, said }))?;
        let bytes = body.slice_with_length(0, body_len);
        // A dictionary outlives the message, of which it may be a small part.
        let bytes = match message.header_type() {
            MessageHeader::DictionaryBatch => Buffer::from_slice_ref(bytes.as_slice()),
            _ => aligned(bytes),
        };
        drop(body);
        let body = Body { bytes, place, values: Values::Unproved };
        let missing = |part| IpcError::Missing { place, part };
        match message.header_type() {
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch().ok_or_else(|| missing(Part::Header))?;
                let header = message::header(batch, place)?;
                self.batch(&header, &body).map(Some)
            }
            MessageHeader::DictionaryBatch => {
                let dictionary = message.header_as_dictionary_batch().ok_or_else(|| missing(Part::Header))?;
                let values = dictionary.data().ok_or_else(|| missing(Part::DictionaryValues))?;
                let header = message::header(values, place)?;
                self.dictionary(dictionary.id(), dictionary.isDelta(), &header, &body)?;
                Ok(None)
            }
            MessageHeader::Schema => Err(refuse(MessageProblem::SecondSchema)),
            MessageHeader(found) => Err(refuse(MessageProblem::OtherKind { found })),
        }
    }

    fn batch(&self, header: &BatchHeader<'_>, body: &Body) -> Result<RecordBatch, IpcError> {
        let fields = self.schema.fields().iter().map(AsRef::as_ref);
        let views = self.check(header, body, fields)?;
        body.check_views(&block(body), &views, body.bytes.len() as u64)?;
        body.decode(header, Arc::clone(&self.schema), &self.dictionaries, None)
    }

    fn dictionary(
        &mut self,
        id: i64,
        delta: bool,
        header: &BatchHeader<'_>,
        body: &Body,
    ) -> Result<(), IpcError> {
        let place = body.place;
        let unknown = IpcError::Dictionary { place, id, problem: DictionaryProblem::Unknown };
        let value_type = self.types.get(&id).ok_or(unknown)?;
        let before = self.bytes.get(&id).copied().unwrap_or(0);
        let after = body.bytes.len() as u64 + if delta { before } else { 0 };
        let found = (self.bytes.values().sum::<u64>() - before).saturating_add(after);
        if found > self.most_bytes {
            let problem = MessageProblem::DictionaryBytes { found, max: self.most_bytes };
            return Err(IpcError::Message { place, problem });
        }
        let values = Field::new(format!("dictionary {id}"), value_type.clone(), true);
        let views = self.check(header, body, std::iter::once(&values))?;
        body.check_views(&block(body), &views, body.bytes.len() as u64)?;
        let schema = Arc::new(Schema::new(vec![values]));
        let batch = body.decode(header, schema, &self.dictionaries, None)?;
        let mut values = Arc::clone(batch.column(0));
        if delta && let Some(first) = self.dictionaries.get(&id) {
            let arrays: [&dyn Array; 2] = [first, &values];
            values = concat(&arrays).map_err(|source| IpcError::Values { place, source })?;
        }
        self.dictionaries.insert(id, values);
        self.bytes.insert(id, after);
        Ok(())
    }

    /// Checks the structure; gives where views lie.
    fn check<'f>(
        &self,
        header: &BatchHeader<'_>,
        body: &Body,
        fields: impl Iterator<Item = &'f Field>,
    ) -> Result<Vec<Range<usize>>, IpcError> {
        let known = |id| self.dictionaries.contains_key(&id);
        let rules =
            Rules { place: body.place, alignment: ALIGNMENT, dictionary: &known, may_lack_dictionary: true };
        columns::check(header, &block(body), fields, &rules)
    }
}

/// The same bytes on a boundary of memory: Arrow's decoder aligns what lies between two, but for unions, where it panics.
pub(crate) fn aligned(body: Buffer) -> Buffer {
    if (body.as_ptr().addr() as u64).is_multiple_of(ALIGNMENT) {
        body
    } else {
        Buffer::from_slice_ref(body.as_slice())
    }
}

/// A body that lies for itself.
fn block(body: &Body) -> Block {
    Block { position: 0, metadata_len: 0, body_len: body.bytes.len() }
}

fn open(metadata: &[u8], place: Place) -> Result<Message<'_>, IpcError> {
    if metadata.len() > MAX_METADATA {
        let (found, max) = (metadata.len() as u64, MAX_METADATA as u64);
        return Err(IpcError::Message { place, problem: MessageProblem::MetadataLength { found, max } });
    }
    message::open(metadata, place)
}
