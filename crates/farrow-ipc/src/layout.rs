//! The structure of a segment, read and checked without touching its values.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::Buffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use xxhash_rust::xxh3::Xxh3;

use crate::columns::{self, Rules};
use crate::error::IpcError;
use crate::file_bytes::{Copied, FileBytes, Source};
use crate::footer::{Block, Footer};
use crate::message::{self, BatchHeader};
use crate::moving;
use crate::problem::{DictionaryProblem, Place};
use crate::schema::{check_types, dictionary_types, schema_fingerprint};

/// The boundary on which every buffer of a segment begins, in bytes.
pub(crate) const SEGMENT_ALIGNMENT: u64 = 64;
/// The boundary that the Arrow format asks of every file, in bytes.
pub(crate) const FORMAT_ALIGNMENT: u64 = 8;

/// A file whose structure was checked: every message and every buffer lies where, and is as long as, the
/// schema and the array lengths need it.
///
/// Built by reading the metadata alone, a few hundred bytes per batch and column, whatever the values are.
/// What is proved of the bytes holds as long as they do not change. After it the Arrow decoder finds what it
/// asks for; the values may still be invalid, see [`Layout::validate_values`].
#[derive(Clone, Debug)]
pub struct Layout {
    schema: SchemaRef,
    dictionary_types: HashMap<i64, DataType>,
    dictionaries: Vec<MessageBlock>,
    batches: Vec<MessageBlock>,
    rows: u64,
    footer_len: u64,
    file_len: u64,
    metadata_digest: u64,
    alignment: u64,
}

/// The place where a record batch or dictionary batch lies in the file. Positions and lengths are bytes.
///
/// The encapsulated message, prefix included, is `[position, position + metadata_len)`; its flatbuffer begins
/// 8 bytes in. The body follows directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageBlock {
    /// The place where the message begins.
    pub position: u64,
    /// Prefix, flatbuffer and padding.
    pub metadata_len: u64,
    /// The buffers.
    pub body_len: u64,
    /// Rows of a record batch, values of a dictionary.
    pub rows: u64,
}

impl Layout {
    /// Reads and checks the structure of a segment: of a file as farrow writes it.
    ///
    /// Magic, footer, every message's metadata, blocks apart and in bounds, nodes and buffers as the schema
    /// needs them, buffers one after another within their body and on 64-byte boundaries; no compression, no
    /// delta, no second batch for a dictionary. Bytes that no block covers are not looked at. Time and memory
    /// are proportional to the metadata.
    ///
    /// # Errors
    /// The first thing that is wrong; never panics, whatever the bytes.
    pub fn verify(bytes: &[u8]) -> Result<Self, IpcError> {
        Self::read(bytes, SEGMENT_ALIGNMENT)
    }

    /// As [`Layout::verify`], of a file that another program wrote: buffers may begin on any 8-byte boundary,
    /// the least the Arrow format asks. Columns of 16-byte values (decimals, views) that begin between their
    /// boundaries are copied when they are decoded.
    ///
    /// # Errors
    /// As [`Layout::verify`].
    pub fn verify_foreign(bytes: &[u8]) -> Result<Self, IpcError> {
        Self::read(bytes, FORMAT_ALIGNMENT)
    }

    /// As [`Layout::verify`], of a segment that somebody may write meanwhile: its metadata is copied, and the copy
    /// is checked. What is found was true of the copy; the file may differ by now.
    ///
    /// # Errors
    /// As [`Layout::verify`], and [`IpcError::Read`].
    pub fn verify_copy(source: &(impl Source + ?Sized)) -> Result<Self, IpcError> {
        Self::read(&Copied(source), SEGMENT_ALIGNMENT)
    }

    /// As [`Layout::verify_copy`], of a file that another program wrote.
    ///
    /// # Errors
    /// As [`Layout::verify_copy`].
    pub fn verify_foreign_copy(source: &(impl Source + ?Sized)) -> Result<Self, IpcError> {
        Self::read(&Copied(source), FORMAT_ALIGNMENT)
    }

    /// Validates every batch as arrow does: offsets, keys, views, UTF-8, null counts. Checks also values that arrow lets
    /// pass and pyarrow does not (times, dates, decimals, dense unions), and that a column which is not nullable refers
    /// to no null. Reads all bytes, 5 to 10 GB/s for strings; keeps nothing. Somebody may write the bytes meanwhile: then
    /// the result may be true of none that were there together, but nothing panics.
    ///
    /// # Errors
    /// [`IpcError::Values`] and [`IpcError::Value`] for the first invalid batch, [`IpcError::SharedViews`] if reading it would take
    /// out of all proportion, [`IpcError::Address`] and [`IpcError::OtherBytes`] if `bytes` cannot be what was
    /// verified. A panic in the decoder is caught and reported as [`IpcError::DecoderPanicked`].
    pub fn validate_values(&self, bytes: Buffer) -> Result<(), IpcError> {
        self.validate_values_while(bytes, || true)
    }

    /// As [`Layout::validate_values`], for as long as `goes_on` says so, which is asked before each batch.
    ///
    /// # Errors
    /// As [`Layout::validate_values`], and [`IpcError::Ended`].
    pub fn validate_values_while(
        &self,
        bytes: Buffer,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<(), IpcError> {
        moving::validate(self, &bytes, &mut goes_on)
    }

    /// The schema, from the footer.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The record batches, in the footer's order.
    pub fn batches(&self) -> &[MessageBlock] {
        &self.batches
    }

    /// The dictionary batches, in the footer's order.
    pub fn dictionaries(&self) -> &[MessageBlock] {
        &self.dictionaries
    }

    /// Rows of all record batches.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of the footer's flatbuffer. Memory for a layout is in proportion to it.
    pub fn footer_len(&self) -> u64 {
        self.footer_len
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// xxh3 (64 bits) of the footer's flatbuffer followed by the metadata of every dictionary batch and every
    /// record batch, prefix and padding included, in the footer's order. Equal digests: the same structure.
    pub fn metadata_digest(&self) -> u64 {
        self.metadata_digest
    }

    /// [`schema_fingerprint`] of the schema.
    pub fn schema_fingerprint(&self) -> u64 {
        schema_fingerprint(&self.schema)
    }

    /// The same, its schema with the metadata of `schema`.
    pub(crate) fn with_metadata_of(self, schema: &Schema) -> Self {
        if self.schema.metadata() == schema.metadata() {
            return self;
        }
        let schema = Schema::new_with_metadata(self.schema.fields().clone(), schema.metadata().clone());
        Self { schema: Arc::new(schema), ..self }
    }

    /// Dictionary batch `index` with the metadata `metadata`, checked against what `known` says of the
    /// dictionaries before it.
    pub(crate) fn dictionary_header<'a>(
        &self,
        metadata: &'a [u8],
        block: &Block,
        index: usize,
        known: &dyn Fn(i64) -> bool,
    ) -> Result<DictionaryHeader<'a>, IpcError> {
        let place = Place::Dictionary(index);
        let (id, header) = message::dictionary_batch(metadata, block, place)?;
        let refuse = |problem| IpcError::Dictionary { place, id, problem };
        let value_type = self.dictionary_types.get(&id).ok_or_else(|| refuse(DictionaryProblem::Unknown))?;
        if known(id) {
            return Err(refuse(DictionaryProblem::Replaced));
        }
        let values = Field::new(format!("dictionary {id}"), value_type.clone(), true);
        let rules = self.rules(place, known);
        let views = columns::check(&header, block, std::iter::once(&values), &rules)?;
        Ok(DictionaryHeader { id, values, header, views })
    }

    /// The header of record batch `index` with the metadata `metadata`, and where in the file its views lie.
    pub(crate) fn batch_header<'a>(
        &self,
        metadata: &'a [u8],
        block: &Block,
        index: usize,
        known: &dyn Fn(i64) -> bool,
    ) -> Result<(BatchHeader<'a>, Vec<Range<usize>>), IpcError> {
        let place = Place::Batch(index);
        let header = message::record_batch(metadata, block, place)?;
        let fields = self.schema.fields().iter().map(AsRef::as_ref);
        let rules = self.rules(place, known);
        let views = columns::check(&header, block, fields, &rules)?;
        Ok((header, views))
    }

    fn rules<'a>(&self, place: Place, dictionary: &'a dyn Fn(i64) -> bool) -> Rules<'a> {
        Rules { place, alignment: self.alignment, dictionary, may_lack_dictionary: false }
    }

    fn read(bytes: &(impl FileBytes + ?Sized), alignment: u64) -> Result<Self, IpcError> {
        let footer = Footer::read(bytes)?;
        check_types(&footer.schema)?;
        let mut layout = Self {
            dictionary_types: dictionary_types(&footer.schema, Place::Footer)?,
            schema: Arc::new(footer.schema),
            dictionaries: Vec::with_capacity(footer.dictionaries.len()),
            batches: Vec::with_capacity(footer.batches.len()),
            rows: 0,
            footer_len: footer.encoded.len() as u64,
            file_len: bytes.len() as u64,
            metadata_digest: 0,
            alignment,
        };
        let mut digest = Xxh3::new();
        digest.update(&footer.encoded);
        let mut known = HashSet::new();
        for (index, block) in footer.dictionaries.iter().enumerate() {
            let metadata = bytes.piece(block.metadata())?;
            digest.update(&metadata);
            let dictionary = layout.dictionary_header(&metadata, block, index, &|id| known.contains(&id))?;
            layout.dictionaries.push(MessageBlock::new(block, dictionary.header.rows));
            known.insert(dictionary.id);
        }
        for (index, block) in footer.batches.iter().enumerate() {
            let metadata = bytes.piece(block.metadata())?;
            digest.update(&metadata);
            let (header, _) = layout.batch_header(&metadata, block, index, &|id| known.contains(&id))?;
            layout.batches.push(MessageBlock::new(block, header.rows));
            layout.rows = layout.rows.checked_add(header.rows).ok_or(IpcError::TooManyRows)?;
        }
        layout.metadata_digest = digest.digest();
        Ok(layout)
    }
}

/// A dictionary batch whose structure was checked.
pub(crate) struct DictionaryHeader<'a> {
    pub(crate) id: i64,
    /// Its values as the column of a batch; the message itself does not say their type.
    pub(crate) values: Field,
    pub(crate) header: BatchHeader<'a>,
    /// The places in the file where views lie.
    pub(crate) views: Vec<Range<usize>>,
}

impl MessageBlock {
    fn new(block: &Block, rows: u64) -> Self {
        Self {
            position: block.position as u64,
            metadata_len: block.metadata_len as u64,
            body_len: block.body_len as u64,
            rows,
        }
    }

    /// Back to lengths of memory, which they came from.
    pub(crate) fn in_memory(&self) -> Block {
        let to_usize = |n: u64| usize::try_from(n).expect("came from a usize");
        Block {
            position: to_usize(self.position),
            metadata_len: to_usize(self.metadata_len),
            body_len: to_usize(self.body_len),
        }
    }
}
