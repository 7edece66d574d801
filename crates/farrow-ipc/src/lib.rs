//! Arrow IPC files written once into place, checked, and opened without copies.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! A farrow segment is a complete [Arrow IPC file]: uncompressed, every buffer on a 64-byte boundary, one
//! dictionary per column. This crate makes such files, decides whether given bytes are one, and turns mapped
//! ones into record batches whose buffers point into the mapping. It knows nothing of regions, agents and
//! leases: bytes come in as a slice, a [`Source`] or an [`arrow_buffer::Buffer`], and whoever made the buffer
//! keeps its owner (a mapping, a lease) alive with it.
//!
//! - Writing: [`prepare`] joins small batches and unifies dictionaries, [`prepare_segments`] those that need several files,
//!   [`Plan`] tells the exact size,
//!   [`write`](fn@write) puts exactly that many bytes into place, each buffer copied once. [`SegmentWriter`] does
//!   so batch by batch, where nobody knows how many there will be.
//! - Checking: [`Layout::verify`] reads the metadata alone and proves that every buffer lies where and is as
//!   long as the schema needs it; [`Layout::validate_values`] reads everything.
//! - Checking again: [`Layout::checksums`] is what a commit records beside the metadata's digest, and
//!   [`Recorded::verify`] compares bytes with it later.
//! - Opening: [`SegmentReader`] decodes batches lazily; [`Trust`] says whether their values were validated
//!   before. The structure is checked always.
//! - Receiving: [`StreamDecoder`] decodes the messages of a stream as they come from anybody.
//! - Sending: [`StreamEncoder`] makes the messages of a stream from a file that somebody may write meanwhile (a
//!   [`Source`]); [`slices`] cuts batches by their logical size.
//!
//! # Limits
//!
//! Besides what Arrow itself demands, a segment keeps to these; a file beyond them is an error, never a
//! panic: metadata version V5, little-endian; at most 2^31 - 1 elements in an array (what the Arrow format
//! asks every implementation to support); at most 60 levels of nesting; at most 4,194,304 flatbuffer tables
//! in a footer, which is about two million columns; 256 MiB of metadata in a piece; one dictionary batch per
//! dictionary, and one field per dictionary; no dictionary of list views.
//!
//! # Types that all can read
//!
//! Readers differ in what they take, and here none takes more than the others: what passes is read by pyarrow, by
//! Arrow's Rust implementation, and through the C data interface. So these are errors too, on each way in:
//!
//! - names and time zones with a NUL character, where strings of the C data interface end; runs directly within runs;
//! - canonical extension types (`arrow.uuid`, `arrow.fixed_shape_tensor`, …) on another storage, or with other
//!   parameters, than they are defined for;
//! - times outside a day, dates in milliseconds within a day, decimals of more digits than their precision, and dense
//!   unions that go back within a child, where the value is not null: what `validate(full=True)` of pyarrow refuses;
//! - in a file, a dictionary that is left out, though nothing refers to it; flatbuffers that only Rust's verifier takes.
//!
//! [Arrow IPC file]: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format

// One call is excepted, in `decode.rs`: telling the decoder that values were validated before.
#![deny(unsafe_code)]

mod by_name;
mod checksum;
mod column;
mod columns;
mod compact;
mod decode;
mod error;
mod extension;
mod file_bytes;
mod fit;
mod flatbuffer;
mod footer;
mod gather;
mod layout;
mod logical;
mod lossless;
mod message;
mod moving;
mod numbers;
mod outside;
mod plan;
mod prepare;
mod problem;
mod reader;
mod row_metadata;
mod same_schema;
mod schema;
mod schema_difference;
mod segment_writer;
mod segments;
mod slices;
mod spans;
mod stream;
mod stream_encoder;
mod values;

pub use by_name::{ByName, fits_by_name};
pub use checksum::Recorded;
pub use error::IpcError;
pub use file_bytes::Source;
pub use footer::footer_len;
pub use layout::{Layout, MessageBlock};
pub use logical::logical_bytes;
pub use outside::bytes_outside;
pub use plan::{Plan, write};
pub use prepare::{DEFAULT_TARGET_BYTES, prepare};
pub use problem::{
    ArrayProblem, BlockProblem, DictionaryProblem, MessageProblem, MetadataProblem, Number, Part, Place,
    TypeProblem, ValueProblem,
};
pub use reader::{SegmentReader, Trust};
pub use row_metadata::schema_of_segments;
pub use same_schema::with_schema;
pub use schema::{MAX_ARRAY_LEN, MAX_NESTING, schema_fingerprint};
pub use schema_difference::{FieldPart, SchemaDifference, schema_difference};
pub use segment_writer::SegmentWriter;
pub use segments::prepare_segments;
pub use slices::slices;
pub use stream::StreamDecoder;
pub use stream_encoder::{MessageSizes, StreamEncoder, StreamSchema};
