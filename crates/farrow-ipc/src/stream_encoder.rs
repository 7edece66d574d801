//! The rows of files as messages of a stream.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteOptions};
use arrow_ipc::{
    DictionaryBatchBuilder, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder,
    root_as_message,
};
use arrow_schema::{FieldRef, Schema, SchemaRef};
use flatbuffers::FlatBufferBuilder;
use xxhash_rust::xxh3::Xxh3;

use crate::column::{self, Column};
use crate::columns::{self, Rules};
use crate::decode::{Body, Values};
use crate::error::IpcError;
use crate::file_bytes::{Copied, FileBytes, Source};
use crate::footer::{Block, read_schema};
use crate::gather::{Gather, Gathered, Stop};
use crate::layout::{FORMAT_ALIGNMENT, Layout};
use crate::message::{self, BatchHeader};
use crate::problem::{Part, Place};
use crate::reader::Trust;
use crate::schema::dictionary_id;
use crate::stream::aligned;

/// The sizes of the messages of a stream, in bytes of values, without padding and metadata.
#[derive(Clone, Copy, Debug)]
pub struct MessageSizes {
    /// Their size, about: up to twice as much, but for a dictionary, and for a row that is larger by itself. Such a
    /// row is sent with those behind it that add no more than half of its own size.
    pub about: usize,
    /// The size that no message exceeds.
    pub most: usize,
}

/// A stream of one schema, and what its receiver has of it.
pub struct StreamSchema {
    message: Vec<u8>,
    /// Of the dictionaries, in the order of their fields.
    ids: Vec<i64>,
    /// Of the dictionary that was sent last under each id.
    sent: HashMap<i64, u128>,
}

impl StreamSchema {
    /// Begins a stream.
    ///
    /// # Errors
    /// [`IpcError::Schema`] if Arrow cannot read what it encodes.
    pub fn new(schema: &Schema) -> Result<Self, IpcError> {
        let options = IpcWriteOptions::default();
        let mut tracker = DictionaryTracker::new(false);
        let message = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
            schema,
            &mut tracker,
            &options,
        );
        // How the encoder numbers dictionaries is its own affair.
        let place = Place::Message(0);
        let opened = root_as_message(&message.ipc_message)
            .map_err(|source| IpcError::Flatbuffer { place, source: Box::new(source) })?;
        let missing = IpcError::Missing { place, part: Part::Schema };
        let encoded = read_schema(opened.header_as_schema().ok_or(missing)?)?;
        Ok(Self { ids: dictionary_ids(&encoded), message: message.ipc_message, sent: HashMap::new() })
    }

    /// The first message.
    pub fn message(&self) -> EncodedData {
        EncodedData { ipc_message: self.message.clone(), arrow_data: Vec::new() }
    }
}

/// Encodes the rows of a file that somebody may write meanwhile.
///
/// Each value is copied once, from the file into the body of a message, and all that it depends on is checked in that
/// copy, so that nothing else is ever sent. Values are validated too unless that was done before ([`Trust`]): each message
/// is decoded as its receiver would. Views, list views and dense unions bring of what they refer to no more than they use.
///
/// It holds metadata, and of a file that it validates the dictionaries: memory for a stream is that of the messages under
/// way.
#[derive(Debug)]
pub struct StreamEncoder<S> {
    source: S,
    layout: Layout,
    trust: Trust,
    /// The columns that are sent, in their order, and their schema; `None`: all.
    columns: Option<Vec<usize>>,
    schema: SchemaRef,
    /// Rows that are left, if not all are sent.
    left: Option<u64>,
    /// The place among all dictionaries, in the order of their fields, of the one of an id.
    numbers: HashMap<i64, usize>,
    /// Values of each dictionary so far, by its id.
    dictionaries: HashMap<i64, u64>,
    /// The dictionaries themselves, where values are validated, and their bytes.
    validated: HashMap<i64, ArrayRef>,
    validated_bytes: usize,
    /// True if a dictionary of this file was sent. Those behind it may refer to it.
    replaced: bool,
    /// The dictionary or record batch that is next, and the row in it.
    next_dictionary: usize,
    next_batch: usize,
    next_row: usize,
    /// Rows that had the size of a message last.
    rows: usize,
}

impl<S: Source> StreamEncoder<S> {
    /// Checks the structure of the file. It holds no dictionary yet.
    ///
    /// # Errors
    /// Any of [`Layout::verify_foreign_copy`]. Never panics, whatever the bytes.
    pub fn open(source: S, trust: Trust) -> Result<Self, IpcError> {
        let layout = Layout::verify_foreign_copy(&source)?;
        let ids = dictionary_ids(layout.schema());
        let numbers = ids.into_iter().enumerate().map(|(number, id)| (id, number)).collect();
        Ok(Self {
            source,
            schema: Arc::clone(layout.schema()),
            layout,
            trust,
            columns: None,
            left: None,
            numbers,
            dictionaries: HashMap::new(),
            validated: HashMap::new(),
            validated_bytes: 0,
            replaced: false,
            next_dictionary: 0,
            next_batch: 0,
            next_row: 0,
            rows: 0,
        })
    }

    /// The same of some columns only, in this order: nothing of the others is read, and no dictionary that is theirs alone
    /// is sent. No column at all sends rows without columns. To be said before the first message.
    ///
    /// # Errors
    /// [`IpcError::NoColumn`]; [`IpcError::ColumnTwice`], as what is asked for twice would be sent twice.
    pub fn with_columns(mut self, columns: &[usize]) -> Result<Self, IpcError> {
        let fields = self.layout.schema().fields();
        let mut seen = HashSet::new();
        let mut wanted = Vec::new();
        for &index in columns {
            let missing = IpcError::NoColumn { index, columns: fields.len() };
            wanted.push(Arc::clone(fields.get(index).ok_or(missing)?));
            if !seen.insert(index) {
                return Err(IpcError::ColumnTwice { index });
            }
        }
        let metadata = self.layout.schema().metadata().clone();
        let schema = Arc::new(Schema::new_with_metadata(wanted, metadata));
        let ids = dictionary_ids(&schema);
        self.numbers = ids.into_iter().enumerate().map(|(number, id)| (id, number)).collect();
        (self.columns, self.schema) = (Some(columns.to_vec()), schema);
        Ok(self)
    }

    /// The same of some rows only, counted from 0; those that the file does not have are left out. To be said before the
    /// first message.
    pub fn with_rows(mut self, rows: Range<u64>) -> Self {
        let mut skip = rows.start.min(self.layout.rows());
        self.left = Some(rows.end.min(self.layout.rows()).saturating_sub(skip));
        while let Some(batch) = self.layout.batches().get(self.next_batch).filter(|batch| batch.rows <= skip)
        {
            skip -= batch.rows;
            self.next_batch += 1;
        }
        self.next_row = usize::try_from(skip).unwrap_or(usize::MAX);
        self
    }

    /// The schema of every batch: of the columns that are sent.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Bytes of the footer, and of the dictionaries that it keeps. Its memory is in proportion to the first, and about as
    /// much as the second.
    pub fn kept(&self) -> (u64, u64) {
        (self.layout.footer_len(), self.validated_bytes as u64)
    }

    /// Returns where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The next message of `stream`, whose schema is the file's; None behind the last row. Dictionaries that the stream
    /// has already are left out.
    ///
    /// # Errors
    /// Those of the file, or of the source; [`IpcError::LargeMessage`]. Then the encoder is of no further use.
    /// Never panics, whatever the bytes; memory and time are in proportion to the message, and to the metadata of its
    /// batch.
    pub fn next(
        &mut self,
        stream: &mut StreamSchema,
        sizes: MessageSizes,
    ) -> Result<Option<EncodedData>, IpcError> {
        if self.left == Some(0) {
            return Ok(None);
        }
        while self.next_dictionary < self.layout.dictionaries().len() {
            if let Some(message) = self.dictionary(stream, sizes)? {
                return Ok(Some(message));
            }
        }
        while let Some(batch) = self.layout.batches().get(self.next_batch) {
            if (self.next_row as u64) < batch.rows {
                return self.batch(sizes).map(Some);
            }
            (self.next_batch, self.next_row, self.rows) = (self.next_batch + 1, 0, 0);
        }
        Ok(None)
    }

    /// The next dictionary, unless the stream has it.
    fn dictionary(
        &mut self,
        stream: &mut StreamSchema,
        sizes: MessageSizes,
    ) -> Result<Option<EncodedData>, IpcError> {
        let index = self.next_dictionary;
        let place = Place::Dictionary(index);
        let block = self.layout.dictionaries()[index].in_memory();
        let source = Copied(&self.source);
        let metadata = source.piece(block.metadata())?;
        let known = |id| self.dictionaries.contains_key(&id);
        let dictionary = self.layout.dictionary_header(&metadata, &block, index, &known)?;
        let (id, rows) = (dictionary.id, dictionary.header.rows);
        if !self.numbers.contains_key(&id) {
            // Of columns that are not sent.
            self.next_dictionary += 1;
            self.dictionaries.insert(id, rows);
            return Ok(None);
        }
        let schema = Arc::new(Schema::new(vec![dictionary.values]));
        let columns = self.columns(&dictionary.header, &block, place, schema.fields())?;
        let columns: Vec<_> = columns.into_iter().enumerate().collect();
        let all = 0..usize::try_from(rows).unwrap_or(usize::MAX);
        let large = |place| IpcError::LargeMessage { place, row: 0, most: sizes.most as u64 };
        let Some(gathered) = self.gather(&columns, place, &all, block.body_len, sizes.most)? else {
            return Err(large(place));
        };
        let number = self.numbers.get(&id).and_then(|number| stream.ids.get(*number));
        let number = *number.ok_or(IpcError::Missing { place: Place::Footer, part: Part::Schema })?;
        let message = encode(gathered, rows, Some(number));
        if self.trust == Trust::Untrusted {
            self.validated_bytes += message.arrow_data.len();
            if self.validated_bytes > sizes.most {
                return Err(large(place));
            }
            let body = Buffer::from_slice_ref(&message.arrow_data);
            let values = self.validate(&message, body, place, &schema)?;
            self.validated.insert(id, Arc::clone(values.column(0)));
        }
        let mut digest = Xxh3::new();
        digest.update(&message.ipc_message);
        digest.update(&message.arrow_data);
        let digest = digest.digest128();
        self.next_dictionary += 1;
        self.dictionaries.insert(id, rows);
        let there = stream.sent.insert(number, digest) == Some(digest);
        if there && !self.replaced {
            return Ok(None);
        }
        self.replaced = true;
        Ok(Some(message))
    }

    /// The next rows.
    fn batch(&mut self, sizes: MessageSizes) -> Result<EncodedData, IpcError> {
        let index = self.next_batch;
        let place = Place::Batch(index);
        let batch = self.layout.batches()[index];
        let block = batch.in_memory();
        let source = Copied(&self.source);
        let metadata = source.piece(block.metadata())?;
        let known = |id| self.dictionaries.contains_key(&id);
        let (header, _) = self.layout.batch_header(&metadata, &block, index, &known)?;
        if header.rows != batch.rows {
            return Err(IpcError::RowsChanged { place, found: header.rows, expected: batch.rows });
        }
        let columns = self.columns(&header, &block, place, self.layout.schema().fields())?;
        let columns = self.picked(columns);
        let body_len = columns.iter().map(|(_, column)| column.bytes()).sum::<usize>().min(block.body_len);
        let rows = usize::try_from(batch.rows).unwrap_or(usize::MAX);
        let most = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let left = (rows - self.next_row).min(most);
        if self.rows == 0 {
            self.rows = proportion(rows, sizes.about, body_len);
        }
        let (gathered, count) = self.fitting(&columns, place, (body_len, left), sizes)?;
        self.left = self.left.map(|left| left.saturating_sub(count as u64));
        let used = gathered.used;
        self.next_row += count;
        self.rows = proportion(count, sizes.about, used).min(count.saturating_mul(2));
        let mut message = encode(gathered, count as u64, None);
        if self.trust == Trust::Untrusted {
            let body = Buffer::from_vec(std::mem::take(&mut message.arrow_data));
            self.validate(&message, body.clone(), place, &self.schema)?;
            message.arrow_data = body.into_vec().unwrap_or_else(|body| body.to_vec());
        }
        Ok(message)
    }

    /// Makes what the receiver of a message with this body has of it, its values validated.
    fn validate(
        &self,
        message: &EncodedData,
        body: Buffer,
        place: Place,
        schema: &SchemaRef,
    ) -> Result<RecordBatch, IpcError> {
        let opened = message::open(&message.ipc_message, place)?;
        let dictionary = || opened.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
        let batch = opened.header_as_record_batch().or_else(dictionary);
        let header = message::header(batch.ok_or(IpcError::Missing { place, part: Part::Header })?, place)?;
        let block = Block { position: 0, metadata_len: 0, body_len: body.len() };
        let known = |id| self.validated.contains_key(&id);
        let rules =
            Rules { place, alignment: FORMAT_ALIGNMENT, dictionary: &known, may_lack_dictionary: false };
        let views = columns::check(&header, &block, schema.fields().iter().map(AsRef::as_ref), &rules)?;
        let body = Body { bytes: aligned(body), place, values: Values::Unproved };
        body.check_views(&block, &views, self.layout.file_len())?;
        body.decode(&header, Arc::clone(schema), &self.validated, None)
    }

    /// As many rows as suit a message, at least one, and how many they are.
    fn fitting(
        &self,
        columns: &[(usize, Column)],
        place: Place,
        (body_len, left): (usize, usize),
        sizes: MessageSizes,
    ) -> Result<(Gathered, usize), IpcError> {
        let first = self.next_row;
        // A message of the usual size is written without moving it.
        let capacity = body_len.min(sizes.about + sizes.about / 4);
        let gather = |count, most| self.gather(columns, place, &(first..first + count), capacity, most);
        let mut count = self.rows.clamp(1, left);
        loop {
            if count >= 64 && count < left {
                // Bitmaps that begin with a byte are copied by bytes.
                count -= count % 64;
            }
            if let Some(gathered) = gather(count, sizes.about.saturating_mul(2))? {
                return Ok((gathered, count));
            }
            if count == 1 {
                break;
            }
            count /= 2;
        }
        let Some(mut alone) = gather(1, sizes.most)? else {
            return Err(IpcError::LargeMessage { place, row: first as u64, most: sizes.most as u64 });
        };
        // Rows behind it that share what makes it large come with it, instead of with it again.
        let most = alone.used.saturating_add(alone.used / 2).min(sizes.most);
        while count < left {
            let more = count.saturating_mul(2).min(left);
            let Some(gathered) = gather(more, most)? else { break };
            (alone, count) = (gathered, more);
        }
        Ok((alone, count))
    }

    /// Some rows, unless they have more than `most` bytes; there is memory for `capacity` at once.
    fn gather(
        &self,
        columns: &[(usize, Column)],
        place: Place,
        rows: &Range<usize>,
        capacity: usize,
        most: usize,
    ) -> Result<Option<Gathered>, IpcError> {
        let mut gather = Gather::new(&self.source, place, capacity.min(most), most);
        match gather.rows(columns, rows) {
            Ok(()) => Ok(Some(gather.finish())),
            Err(Stop::Full) => Ok(None),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// Those that are sent, each with its number in the file.
    fn picked(&self, columns: Vec<Column>) -> Vec<(usize, Column)> {
        let Some(wanted) = &self.columns else { return columns.into_iter().enumerate().collect() };
        let mut columns: Vec<_> = columns.into_iter().map(Some).collect();
        wanted.iter().filter_map(|index| Some((*index, columns.get_mut(*index)?.take()?))).collect()
    }

    fn columns(
        &self,
        header: &BatchHeader<'_>,
        block: &Block,
        place: Place,
        fields: &[FieldRef],
    ) -> Result<Vec<Column>, IpcError> {
        column::read(header, block, place, fields, &|id| self.dictionaries.get(&id).copied().unwrap_or(0))
    }
}

/// The rows that have about `about` bytes, if `count` rows have `bytes`.
fn proportion(count: usize, about: usize, bytes: usize) -> usize {
    let rows = count as u128 * about as u128 / (bytes as u128).max(1);
    usize::try_from(rows).unwrap_or(usize::MAX).max(1)
}

/// The ids of all dictionaries, in the order of their fields.
fn dictionary_ids(schema: &Schema) -> Vec<i64> {
    schema.flattened_fields().into_iter().filter_map(dictionary_id).collect()
}

/// A record batch, or with an id a dictionary batch.
fn encode(gathered: Gathered, rows: u64, dictionary: Option<i64>) -> EncodedData {
    let mut fbb = FlatBufferBuilder::new();
    let buffers = fbb.create_vector(&gathered.buffers);
    let nodes = fbb.create_vector(&gathered.nodes);
    let variadic = (!gathered.variadic.is_empty()).then(|| fbb.create_vector(&gathered.variadic));
    let mut batch = RecordBatchBuilder::new(&mut fbb);
    batch.add_length(rows as i64);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    if let Some(variadic) = variadic {
        batch.add_variadicBufferCounts(variadic);
    }
    let batch = batch.finish();
    let (kind, header) = match dictionary {
        None => (MessageHeader::RecordBatch, batch.as_union_value()),
        Some(id) => {
            let mut dictionary = DictionaryBatchBuilder::new(&mut fbb);
            dictionary.add_id(id);
            dictionary.add_data(batch);
            (MessageHeader::DictionaryBatch, dictionary.finish().as_union_value())
        }
    };
    let mut message = MessageBuilder::new(&mut fbb);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_bodyLength(gathered.body.len() as i64);
    message.add_header(header);
    let root = message.finish();
    fbb.finish(root, None);
    EncodedData { ipc_message: fbb.finished_data().to_vec(), arrow_data: gathered.body }
}

impl std::fmt::Debug for StreamSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamSchema({} of {} dictionaries sent)", self.sent.len(), self.ids.len())
    }
}
