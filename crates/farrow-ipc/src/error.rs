//! What can be wrong with a segment, and what was asked for and cannot be had.

use arrow_schema::ArrowError;
use flatbuffers::InvalidFlatbuffer;

use crate::file_bytes::MAX_COPY;
use crate::problem::{
    ArrayProblem, BlockProblem, DictionaryProblem, MessageProblem, Part, Place, TypeProblem,
};

/// Why batches cannot become a segment, or why bytes are not one. Lengths and positions are bytes unless said
/// otherwise; positions count from the beginning of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IpcError {
    /// Fewer bytes than the shortest file has.
    #[error("{len} bytes are no Arrow IPC file, the shortest has {need}: empty, or written only in part?")]
    TooShort {
        /// Bytes given.
        len: u64,
        /// Bytes of the shortest possible file.
        need: u64,
    },
    /// `ARROW1` is missing at the beginning or the end.
    #[error("no ARROW1 at byte {position}: not an Arrow IPC file, or written only in part")]
    Magic {
        /// Where it should be.
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
        /// Whose metadata.
        place: Place,
        /// What the verifier found.
        source: Box<InvalidFlatbuffer>,
    },
    /// Metadata lacks what every file has.
    #[error("{place}: {part} missing")]
    Missing {
        /// Whose metadata.
        place: Place,
        /// What it lacks.
        part: Part,
    },
    /// Not metadata version V5, which Arrow writes since 1.0.
    #[error("{place}: metadata version V{}, only V5 is read; write the file again with Arrow 1.0 or later", i32::from(*.found) + 1)]
    Version {
        /// Whose metadata.
        place: Place,
        /// The version number as stored: V5 is 4.
        found: i16,
    },
    /// Bytes of the other endianness.
    #[error("values are not stored in this machine's byte order, and farrow does not swap them")]
    Endianness,
    /// The schema is not one.
    #[error("schema: {source}")]
    Schema {
        /// What arrow found.
        source: ArrowError,
    },
    /// A type that cannot be held in a segment.
    #[error("field {field:?}: {problem}")]
    Type {
        /// The field's name.
        field: String,
        /// What is wrong with its type.
        problem: TypeProblem,
    },
    /// The footer's entry for a message is wrong.
    #[error("{place}: block at {position}, {metadata_len} + {body_len} bytes, {problem}")]
    Block {
        /// Which message.
        place: Place,
        /// Where the footer says it begins.
        position: i64,
        /// Bytes of its metadata, prefix and padding included.
        metadata_len: i32,
        /// Bytes of its body.
        body_len: i64,
        /// What is wrong.
        problem: BlockProblem,
    },
    /// A message is not what its place asks for.
    #[error("{place}: {problem}")]
    Message {
        /// Which message.
        place: Place,
        /// What is wrong.
        problem: MessageProblem,
    },
    /// A dictionary batch that has no place in a segment.
    #[error("{place}: dictionary {id} {problem}")]
    Dictionary {
        /// Which message, or the footer if the schema is wrong.
        place: Place,
        /// The id that connects fields and dictionary batches.
        id: i64,
        /// What is wrong.
        problem: DictionaryProblem,
    },
    /// An array's lengths or buffers do not fit its type, its parent or its message.
    #[error("{place}: column {column} ({field:?}): {problem}")]
    Array {
        /// Which message.
        place: Place,
        /// The top-level column, from 0.
        column: usize,
        /// The name of the field, which may lie within that column.
        field: String,
        /// What is wrong.
        problem: ArrayProblem,
    },
    /// A message describes more than the schema has.
    #[error(
        "{place}: {nodes} field nodes, {buffers} buffers and {variadic} variadic counts more than the schema has"
    )]
    Leftover {
        /// Which message.
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
    /// The values are invalid: offsets, keys, views, UTF-8 or null counts.
    #[error("{place}: {source}")]
    Values {
        /// Which message.
        place: Place,
        /// What arrow found.
        source: ArrowError,
    },
    /// Views of one message share so much that reading them would take out of all proportion.
    #[error(
        "{place}: views of {total} bytes over a file of {len} bytes, at most {} times as much is read; \
         write it again with its view columns compacted",
        MAX_VIEW_SHARING
    )]
    SharedViews {
        /// Which message.
        place: Place,
        /// Sum of the lengths of all its views.
        total: u64,
        /// Bytes of the file.
        len: u64,
    },
    /// The decoder panicked, which the structure check is there to prevent.
    #[error("{place}: the Arrow decoder panicked ({message}); please report this file")]
    DecoderPanicked {
        /// Which message.
        place: Place,
        /// What the panic said.
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
        /// Where they begin.
        position: u64,
        /// How many.
        len: u64,
        /// What the source said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A message too long to be copied.
    #[error(
        "{len} bytes at {position} of the file are to be copied in one piece, at most {MAX_COPY} are: map the file, \
         or write it in smaller batches"
    )]
    TooLongToCopy {
        /// Where they begin.
        position: u64,
        /// How many.
        len: u64,
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
        /// Which message.
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
        /// What was asked for, from 0.
        index: usize,
        /// How many there are.
        batches: usize,
    },
    /// No such column.
    #[error("column {index} asked for, there are {columns}")]
    NoColumn {
        /// What was asked for, from 0.
        index: usize,
        /// How many there are.
        columns: usize,
    },
    /// A batch to be written is not of the schema.
    #[error("batch {batch} does not fit the schema: {source}")]
    BatchSchema {
        /// Its number among those given, from 0.
        batch: usize,
        /// What arrow found.
        source: ArrowError,
    },
    /// More batches than a segment counts.
    #[error("{batches} batches, a segment has at most {}: join them first", u32::MAX)]
    TooManyBatches {
        /// How many were given.
        batches: usize,
    },
    /// Batches cannot be joined, or their dictionaries not made one.
    #[error(
        "column {column} ({field:?}) cannot be joined: {source}. Publish it in smaller pieces, or with larger keys"
    )]
    Join {
        /// The column, from 0.
        column: usize,
        /// Its name.
        field: String,
        /// What arrow found.
        source: ArrowError,
    },
    /// Writing failed: the sink refused bytes, or the batches were not prepared.
    #[error("segment not written: {source}")]
    Write {
        /// What arrow or the sink reported.
        source: ArrowError,
    },
}

/// How many times the file's length the views of one message may add up to.
pub(crate) const MAX_VIEW_SHARING: u64 = 64;
