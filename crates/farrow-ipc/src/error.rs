//! Errors of a segment, and of requests that cannot be met.

use arrow_schema::{ArrowError, DataType};
use flatbuffers::InvalidFlatbuffer;

use crate::problem::{
    ArrayProblem, BlockProblem, DictionaryProblem, MessageProblem, MetadataProblem, Part, Place, TypeProblem,
    ValueProblem,
};
use crate::schema_difference::SchemaDifference;

/// The reasons why batches cannot become a segment, or why bytes are not one. Lengths and positions are bytes unless
/// said otherwise; positions count from the beginning of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IpcError {
    /// Fewer bytes than the shortest file has.
    #[error(
        "no Arrow IPC file: its length in bytes is {len}, that of the shortest {need}: empty, or written only in part?"
    )]
    TooShort {
        /// Bytes given.
        len: u64,
        /// Bytes of the shortest possible file.
        need: u64,
    },
    /// `ARROW1` is missing at the beginning or the end.
    #[error("no ARROW1 at byte {position}: not an Arrow IPC file, or written only in part")]
    Magic {
        /// The place where it should be.
        position: u64,
    },
    /// The footer does not fit between the first magic and its own length.
    #[error("footer of {found} bytes where {room} have room: the last 10 bytes are damaged")]
    FooterLength {
        /// The length the file gives.
        found: i32,
        /// The longest footer this file can have.
        room: u64,
    },
    /// A flatbuffer breaks the rules of its encoding, or is deeper or larger than this crate reads.
    #[error("{place}: metadata is no valid flatbuffer: {source}")]
    Flatbuffer {
        /// The place of the metadata.
        place: Place,
        /// The verifier's error.
        source: Box<InvalidFlatbuffer>,
    },
    /// Metadata that not every reader takes.
    #[error("{place}: {problem}")]
    Metadata {
        /// The place of the metadata.
        place: Place,
        /// The fault.
        problem: MetadataProblem,
    },
    /// Metadata lacks what every file has.
    #[error("{place}: {part} missing")]
    Missing {
        /// The place of the metadata.
        place: Place,
        /// The part that it lacks.
        part: Part,
    },
    /// Not metadata version V5, which Arrow writes since 1.0.
    #[error("{place}: metadata version V{}, only V5 is read; write the file again with Arrow 1.0 or later", i32::from(*.found) + 1)]
    Version {
        /// The place of the metadata.
        place: Place,
        /// The version number as stored: V5 is 4.
        found: i16,
    },
    /// Bytes of the other endianness.
    #[error(
        "the schema says that values are big-endian, and farrow reads little-endian only. pyarrow swaps them: \
         `client.put(name, pyarrow.ipc.open_stream(path).read_all())`, of a file `pyarrow.ipc.open_file(path)`"
    )]
    Endianness,
    /// The schema is not one.
    #[error("schema: {source}")]
    Schema {
        /// Arrow's error.
        source: ArrowError,
    },
    /// A type that cannot be held in a segment.
    #[error("field {field:?}: {problem}")]
    Type {
        /// The field's name.
        field: String,
        /// The fault of its type.
        problem: TypeProblem,
    },
    /// The footer's entry for a message is wrong.
    #[error("{place}: block at {position}, {metadata_len} + {body_len} bytes, {problem}")]
    Block {
        /// The message.
        place: Place,
        /// The place where the footer says it begins.
        position: i64,
        /// Bytes of its metadata, prefix and padding included.
        metadata_len: i32,
        /// Bytes of its body.
        body_len: i64,
        /// The fault.
        problem: BlockProblem,
    },
    /// A message is not what its place asks for.
    #[error("{place}: {problem}")]
    Message {
        /// The message.
        place: Place,
        /// The fault.
        problem: MessageProblem,
    },
    /// A dictionary batch that has no place in a segment.
    #[error("{place}: dictionary {id} {problem}")]
    Dictionary {
        /// The message, or the footer if the schema is wrong.
        place: Place,
        /// The id that connects fields and dictionary batches.
        id: i64,
        /// The fault.
        problem: DictionaryProblem,
    },
    /// An array's lengths or buffers do not fit its type, its parent or its message.
    #[error("{place}: column {column} ({field:?}): {problem}")]
    Array {
        /// The message.
        place: Place,
        /// The top-level column, from 0.
        column: usize,
        /// The name of the field, which may lie within that column.
        field: String,
        /// The fault.
        problem: ArrayProblem,
    },
    /// A message describes more than the schema has.
    #[error(
        "{place}: {nodes} field nodes, {buffers} buffers and {variadic} variadic counts more than the schema has"
    )]
    Leftover {
        /// The message.
        place: Place,
        /// Field nodes left.
        nodes: usize,
        /// Buffers left.
        buffers: usize,
        /// Counts of variadic buffers left.
        variadic: usize,
    },
    /// More rows than can be counted.
    #[error("more rows than 2^64 in one segment")]
    TooManyRows,
    /// A value that its type does not allow.
    #[error("{place}: column {column} ({field:?}): {problem}")]
    Value {
        /// The message, or the one of the batches given.
        place: Place,
        /// The top-level column, from 0.
        column: usize,
        /// The name of the field, which may lie within that column.
        field: String,
        /// The fault.
        problem: ValueProblem,
    },
    /// The values are invalid: offsets, keys, views, UTF-8 or null counts.
    #[error("{place}: {source}")]
    Values {
        /// The message.
        place: Place,
        /// Arrow's error.
        source: ArrowError,
    },
    /// Views of one message share so much that reading them would take out of all proportion.
    #[error(
        "{place}: views of {total} bytes over a file of {len} bytes, at most {} times as much is read; \
         write it again with its view columns compacted",
        MAX_VIEW_SHARING
    )]
    SharedViews {
        /// The message.
        place: Place,
        /// Sum of the lengths of all its views.
        total: u64,
        /// Bytes of the file.
        len: u64,
    },
    /// The decoder panicked, which the structure check is there to prevent.
    #[error("{place}: the Arrow decoder panicked ({message}); please report this file")]
    DecoderPanicked {
        /// The message.
        place: Place,
        /// The message of the panic.
        message: String,
    },
    /// The bytes lie at an address at which Arrow cannot use them in place.
    #[error(
        "bytes begin {misalignment} past a {need}-byte boundary of memory: map the file at a page, or copy it"
    )]
    Address {
        /// Bytes past the boundary.
        misalignment: usize,
        /// The boundary needed.
        need: usize,
    },
    /// Bytes that are to be copied cannot be read.
    #[error("{len} bytes at {position} of the file cannot be read: {source}")]
    Read {
        /// The place where they begin.
        position: u64,
        /// The number.
        len: u64,
        /// The source's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row or a dictionary that no message can hold.
    #[error(
        "{place}: row {row} does not fit into a message of a stream, which has at most {most} bytes: map the frame, or \
         publish it in smaller pieces"
    )]
    LargeMessage {
        /// The batch or dictionary.
        place: Place,
        /// The row, from 0.
        row: u64,
        /// The most bytes of a message.
        most: u64,
    },
    /// A batch that has other rows than it had.
    #[error(
        "{place}: the number of rows is {found}, and was {expected}: its metadata was changed since the commit"
    )]
    RowsChanged {
        /// The batch.
        place: Place,
        /// Rows now.
        found: u64,
        /// Rows before.
        expected: u64,
    },
    /// Not the bytes the layout was made from.
    #[error("{found} bytes given, the layout was made from {expected}")]
    OtherBytes {
        /// Length of the file the layout describes.
        expected: u64,
        /// Bytes given.
        found: u64,
    },
    /// The metadata is not what was recorded at the commit.
    #[error(
        "metadata has digest {found:#018x}, {expected:#018x} was recorded at the commit: it was changed since"
    )]
    Digest {
        /// As recorded.
        expected: u64,
        /// Of the bytes.
        found: u64,
    },
    /// A block is not what was recorded at the commit.
    #[error(
        "{place}: its bytes have checksum {found:#018x}, {expected:#018x} was recorded at the commit: they were \
         changed since"
    )]
    Checksum {
        /// The message.
        place: Place,
        /// As recorded.
        expected: u64,
        /// Of the bytes.
        found: u64,
    },
    /// Checksums were recorded for another number of blocks.
    #[error("{found} checksums were recorded for a file of {expected} record and dictionary batches")]
    ChecksumCount {
        /// Batches and dictionary batches of the file.
        expected: usize,
        /// Checksums recorded.
        found: usize,
    },
    /// Whoever asked did not wait for the end.
    #[error("the comparison was ended before it was done")]
    Ended,
    /// No such batch.
    #[error("batch {index} asked for, there are {batches}")]
    NoBatch {
        /// The requested index, from 0.
        index: usize,
        /// The number of batches.
        batches: usize,
    },
    /// No such column.
    #[error("column {index} asked for, there are {columns}")]
    NoColumn {
        /// The requested index, from 0.
        index: usize,
        /// The number of columns.
        columns: usize,
    },
    /// A column that is to be sent twice.
    #[error("column {index} asked for twice: ask for each once")]
    ColumnTwice {
        /// The column, from 0.
        index: usize,
    },
    /// A batch to be written is not of the schema.
    #[error(
        "batch {batch} (counted from 0) is not of the schema of those before it: {}",
        difference.with_advice(*fits_by_name)
    )]
    BatchSchema {
        /// Its number among those given, from 0.
        batch: usize,
        /// The first thing that differs.
        difference: Box<SchemaDifference>,
        /// True if it would be taken if its columns were matched by name.
        fits_by_name: bool,
    },
    /// A batch to be matched by name has other columns, or such as cannot be cast without loss.
    #[error(
        "batch {batch} (counted from 0) cannot be matched by name and cast without loss: {}",
        difference.with_advice(false)
    )]
    ByName {
        /// Its number among those given, from 0.
        batch: usize,
        /// The first thing that differs.
        difference: Box<SchemaDifference>,
    },
    /// Values that the type of their column cannot take, though it takes most of theirs.
    #[error(
        "batch {batch} (counted from 0), column {column} ({field:?}): not all values of {found} can be cast to {expected} \
         without loss: {source}. Change them first, or publish the batch as a frame of its own"
    )]
    Cast {
        /// The number of their batch among those given, from 0.
        batch: usize,
        /// The column, from 0.
        column: usize,
        /// Its name.
        field: String,
        /// Their type.
        found: Box<DataType>,
        /// The type of the column.
        expected: Box<DataType>,
        /// Arrow's error.
        source: Box<ArrowError>,
    },
    /// A row, or a dictionary, that is too large once it is cast.
    #[error(
        "batch {batch} (counted from 0), column {column} ({field:?}): a row or dictionary would have {bytes} bytes once it \
         is cast, at most {most} are made: cast it first"
    )]
    CastLength {
        /// The number of its batch among those given, from 0.
        batch: usize,
        /// The largest column, from 0.
        column: usize,
        /// Its name.
        field: String,
        /// Bytes that all columns would have.
        bytes: u64,
        /// The most that they may have.
        most: u64,
    },
    /// More batches than a segment counts.
    #[error("{batches} batches, a segment has at most {}: join them first", u32::MAX)]
    TooManyBatches {
        /// The number that was given.
        batches: usize,
    },
    /// Batches cannot be joined, or their dictionaries not made one.
    #[error(
        "column {column} ({field:?}) cannot be joined: {source}. With larger keys it can, which pyarrow makes by \
         `column.cast(pyarrow.dictionary(pyarrow.int32(), value_type))`"
    )]
    Join {
        /// The column, from 0.
        column: usize,
        /// Its name.
        field: String,
        /// Arrow's error.
        source: ArrowError,
    },
    /// Writing failed: the sink refused bytes, or the batches were not prepared.
    #[error("segment not written: {source}")]
    Write {
        /// The error of arrow or of the sink.
        source: ArrowError,
    },
}

/// The most that the views of one message may add up to, in lengths of the file.
pub(crate) const MAX_VIEW_SHARING: u64 = 64;
