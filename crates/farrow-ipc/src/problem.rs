//! Places of faults, and the faults. Lengths and positions are bytes unless said otherwise.

use std::fmt;

use arrow_schema::{DataType, TimeUnit};

/// A piece of a file. Numbers count from 0, in the footer's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The footer.
    Footer,
    /// A dictionary batch.
    Dictionary(usize),
    /// A record batch.
    Batch(usize),
    /// A message of a stream; the schema is number 0.
    Message(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Footer => f.write_str("footer"),
            Self::Dictionary(index) => write!(f, "dictionary batch {index}"),
            Self::Batch(index) => write!(f, "record batch {index}"),
            Self::Message(index) => write!(f, "message {index} of the stream"),
        }
    }
}

/// A part of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The footer's schema.
    Schema,
    /// The footer's list of record batches.
    RecordBatches,
    /// The header of a message.
    Header,
    /// The values within a dictionary batch.
    DictionaryValues,
    /// The field nodes of a batch.
    Nodes,
    /// The buffers of a batch.
    Buffers,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Schema => "schema",
            Self::RecordBatches => "list of record batches",
            Self::Header => "header",
            Self::DictionaryValues => "dictionary values",
            Self::Nodes => "field nodes",
            Self::Buffers => "buffers",
        })
    }
}

/// A fault that makes a type unfit for a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeProblem {
    /// Nested too deeply.
    #[error("nested deeper than {max} levels")]
    Nesting {
        /// Levels allowed.
        max: usize,
    },
    /// A name with a NUL character.
    #[error("the name has a NUL character, where names of the C data interface end; give it another one")]
    NameWithNul,
    /// A time zone with a NUL character.
    #[error(
        "the time zone has a NUL character, where strings of the C data interface end; use a name such as UTC"
    )]
    TimeZoneWithNul,
    /// A canonical extension type on another type than it is defined for.
    #[error("extension type {name} is stored as {found}, which pyarrow refuses: {needed} is needed")]
    ExtensionStorage {
        /// The extension type.
        name: &'static str,
        /// The type that was found.
        found: Box<DataType>,
        /// The type that it is defined for.
        needed: &'static str,
    },
    /// A canonical extension type with parameters that it cannot have.
    #[error("extension type {name} has the metadata {found:?}, which pyarrow refuses: {reason}")]
    ExtensionMetadata {
        /// The extension type.
        name: &'static str,
        /// Its serialized parameters.
        found: Box<str>,
        /// The fault.
        reason: Box<str>,
    },
    /// A negative width or list length.
    #[error("negative size {size}")]
    NegativeSize {
        /// The width or length.
        size: i32,
    },
    /// A map whose entries are not a non-null struct of a non-null key and a value.
    #[error("map entries must be a non-null struct of a non-null key and a value")]
    MapEntries,
    /// Run ends that are not non-null 16, 32 or 64-bit signed integers.
    #[error("run ends must be non-null Int16, Int32 or Int64")]
    RunEnds,
    /// Runs whose values are runs: the C data interface of Arrow C++ refuses them.
    #[error("runs directly within runs cannot be read by every program; encode them once")]
    NestedRuns,
    /// A dictionary whose keys are not integers.
    #[error("dictionary keys must be integers")]
    DictionaryKeys,
    /// A dictionary whose values are a dictionary: the format cannot say that.
    #[error("a dictionary directly within a dictionary cannot be written to a file")]
    NestedDictionary,
    /// A dictionary with list views among its values: checking them costs each batch a pass over all of them.
    #[error("list views within a dictionary are not supported; use lists")]
    ListViewInDictionary,
    /// A decimal whose precision or scale its width cannot have.
    #[error("precision {precision} and scale {scale} for at most {max} digits")]
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: i8,
        /// Digits the width can hold.
        max: u8,
    },
    /// A union that no value can have: Arrow's Rust implementation imports none through the C data interface.
    #[error("a union without children cannot be read by every program; leave the column out")]
    EmptyUnion,
    /// A union with more children than type ids, or with type ids beyond 0 to 127.
    #[error(
        "union of {children} children with type ids that are not {children} different numbers from 0 to 127 (127 \
         children at most if no ids are given)"
    )]
    UnionIds {
        /// Children the union has.
        children: usize,
    },
}

/// A fault of a block of the footer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockProblem {
    /// Not between the first magic and the footer.
    #[error("is not within bytes 8 to {end}")]
    OutOfBounds {
        /// The place where the footer begins.
        end: u64,
    },
    /// Not on the boundary the format or farrow demands.
    #[error("does not begin and end on {need}-byte boundaries")]
    Misaligned {
        /// The boundary.
        need: u64,
    },
    /// Begins before the one before it ends.
    #[error("overlaps the block before it, which ends at {end}")]
    Overlaps {
        /// The place where that one ends.
        end: u64,
    },
}

/// A fault of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageProblem {
    /// No continuation marker and length before the metadata.
    #[error("its prefix is not the continuation marker and {expected}")]
    Prefix {
        /// The length of metadata the block leaves room for.
        expected: i64,
    },
    /// Neither a record batch nor a dictionary batch, or the wrong one of them.
    #[error("holds a message of kind {found}, not of kind {expected} as the footer says")]
    Kind {
        /// `MessageHeader` in the message.
        found: u8,
        /// `MessageHeader` by the footer's list.
        expected: u8,
    },
    /// Message and footer disagree.
    #[error("body of {found} bytes, {expected} by the footer")]
    BodyLength {
        /// In the message.
        found: i64,
        /// In the footer.
        expected: u64,
    },
    /// Compressed buffers cannot be used in place.
    #[error("its buffers are compressed and cannot be used in place; write without compression")]
    Compressed,
    /// A stream that begins with something else than its schema.
    #[error("is of kind {found}; a stream begins with its schema")]
    NoSchema {
        /// `MessageHeader` in the message.
        found: u8,
    },
    /// A schema within a stream.
    #[error("is a second schema; a stream has one")]
    SecondSchema,
    /// A message that is no part of a stream of record batches.
    #[error("is of kind {found}, neither a record batch nor a dictionary batch")]
    OtherKind {
        /// `MessageHeader` in the message.
        found: u8,
    },
    /// A message of a stream whose body is cut off.
    #[error("has a body of {found} bytes, and says that it has {said}")]
    BodyCutOff {
        /// Bytes that came.
        found: u64,
        /// In the message.
        said: i64,
    },
    /// Longer metadata than a stream may have.
    #[error("has {found} bytes of metadata, at most {max} are read")]
    MetadataLength {
        /// Bytes that came.
        found: u64,
        /// The most.
        max: u64,
    },
    /// Dictionaries that together are too large to be kept.
    #[error(
        "makes dictionaries of {found} bytes in all, at most {max} are kept; send plain values, or fewer at a time"
    )]
    DictionaryBytes {
        /// Bytes of all that are to be kept.
        found: u64,
        /// The most.
        max: u64,
    },
    /// A row count that is negative or too large.
    #[error("{found} rows, 0 to {max} are allowed")]
    Rows {
        /// As given.
        found: i64,
        /// The largest array length.
        max: i64,
    },
}

/// A fault of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DictionaryProblem {
    /// No field has it.
    #[error("belongs to no field of the schema")]
    Unknown,
    /// Two fields have it.
    #[error("belongs to more than one field; give each its own")]
    Shared,
    /// The id that Arrow C++ takes for none.
    #[error("has the id that Arrow C++ takes for none; number dictionaries from 0")]
    NoId,
    /// A second batch for the same dictionary.
    #[error("comes a second time; a file holds one batch for each")]
    Replaced,
    /// A delta.
    #[error("is a delta; write it with unified dictionaries")]
    Delta,
}

/// A fault of metadata that a flatbuffer verifier of one language accepts and another reader does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataProblem {
    /// An offset that leads to itself.
    #[error("a {table} has an offset of zero, which Arrow C++ refuses")]
    ZeroOffset {
        /// The kind of flatbuffer table.
        table: &'static str,
    },
    /// A field that names its type and does not describe it.
    #[error("field {field:?} has no table for its type, which Arrow C++ refuses")]
    NoType {
        /// The field's name.
        field: String,
    },
    /// Custom metadata without a key or a value.
    #[error("custom metadata of a {table} has an entry without {missing}, which Arrow C++ refuses")]
    KeyValue {
        /// The kind of flatbuffer table.
        table: &'static str,
        /// `a key` or `a value`.
        missing: &'static str,
    },
    /// An extension type given twice: one reader takes the first, another the last.
    #[error("the custom metadata of field {field:?} has {key} more than once")]
    ExtensionTwice {
        /// The field's name.
        field: String,
        /// The key.
        key: &'static str,
    },
}

/// A value that its type does not allow. Elements count from 0, in the array that the field's values are in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueProblem {
    /// A time that is no time of a day.
    #[error(
        "element {index} is {found} {unit}, a time of day is 0 to {}; use a duration, or null",
        *.end - 1
    )]
    Time {
        /// The element.
        index: usize,
        /// Its value.
        found: i64,
        /// The unit of the type.
        unit: TimeUnit,
        /// Units of a day.
        end: i64,
    },
    /// A date in milliseconds that is no whole day.
    #[error(
        "element {index} is {found} ms since 1970, no whole number of days (86400000 ms); use a timestamp, or cast \
         to date32"
    )]
    Date {
        /// The element.
        index: usize,
        /// Its value, in milliseconds.
        found: i64,
    },
    /// A decimal of more digits than its type has.
    #[error(
        "element {index} is {found} without its point, more than {precision} digits; use a larger precision"
    )]
    Decimal {
        /// The element.
        index: usize,
        /// Its digits, without a decimal point.
        found: Box<str>,
        /// Digits that the type has.
        precision: u8,
    },
    /// A dense union that does not take the values of a child in order.
    #[error(
        "element {index} is value {found} of its child, after value {before}: a dense union takes the values of each \
         child in order; copy it with `take`"
    )]
    UnionOffset {
        /// The element.
        index: usize,
        /// Its offset.
        found: i32,
        /// The offset of the element of the same child before it.
        before: i32,
    },
}

/// A fault of an array.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayProblem {
    /// The message has fewer field nodes than the schema needs.
    #[error("has no field node")]
    NoNode,
    /// The message has fewer buffers than the schema needs.
    #[error("has no buffer {buffer}")]
    NoBuffer {
        /// The buffer's number in the message, from 0.
        buffer: usize,
    },
    /// A view column without its count of data buffers, or with an impossible one.
    #[error("has {count:?} variadic buffers, with {left} buffers left in the message")]
    Variadic {
        /// The count as given.
        count: Option<i64>,
        /// Buffers left.
        left: usize,
    },
    /// A length that is negative or too large.
    #[error("{found} elements, 0 to {max} are allowed")]
    Length {
        /// As given.
        found: i64,
        /// The largest array length.
        max: i64,
    },
    /// Not as long as its parent or its batch needs.
    #[error("{found} elements where {expected} are needed")]
    OtherLength {
        /// As given.
        found: u64,
        /// The number that the parent needs.
        expected: u64,
    },
    /// A null count its length or its type does not allow.
    #[error("{found} nulls of {len} elements are not allowed here")]
    Nulls {
        /// As given.
        found: i64,
        /// The array's length.
        len: u64,
    },
    /// A buffer that is not within the body.
    #[error("buffer {buffer} at {offset}, {len} bytes, is not within the body of {body_len} bytes")]
    OutOfBody {
        /// The buffer's number in the message, from 0.
        buffer: usize,
        /// The place where it begins in the body.
        offset: i64,
        /// Its length.
        len: i64,
        /// The body's length.
        body_len: u64,
    },
    /// A buffer that begins before the one before it ends.
    #[error("buffer {buffer} at {offset} of the body overlaps the one before it, which ends at {end}")]
    Overlap {
        /// The buffer's number in the message, from 0.
        buffer: usize,
        /// The place where it begins in the body.
        offset: u64,
        /// The place where the one before it ends.
        end: u64,
    },
    /// A buffer off its boundary.
    #[error(
        "buffer {buffer} begins at byte {position}, not on a {need}-byte boundary; write with 64-byte alignment"
    )]
    Misaligned {
        /// The buffer's number in the message, from 0.
        buffer: usize,
        /// The place where it begins in the file.
        position: u64,
        /// The boundary.
        need: u64,
    },
    /// A buffer shorter than the array needs.
    #[error("buffer {buffer} has {len} bytes, {need} are needed")]
    TooShort {
        /// The buffer's number in the message, from 0.
        buffer: usize,
        /// Its length.
        len: u64,
        /// The number that the array's length asks for.
        need: u64,
    },
    /// A buffer that ends within an element.
    #[error("buffer {buffer} has {len} bytes, not a whole number of {width}-byte elements")]
    PartOfElement {
        /// The buffer's number in the message, from 0.
        buffer: usize,
        /// Its length.
        len: u64,
        /// Bytes of an element.
        width: u64,
    },
    /// Keys without a dictionary.
    #[error("has keys, but its dictionary does not come before it")]
    NoDictionary,
    /// A number that the other parts of the array do not allow.
    #[error("{what} {found} where {least} to {most} is possible")]
    Value {
        /// Of what.
        what: Number,
        /// The number.
        found: i64,
        /// The least that is possible.
        least: i64,
        /// The most.
        most: i64,
    },
}

/// The meaning of a number in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Number {
    /// The index of a value of a dictionary.
    Key,
    /// The place where an element begins or ends.
    Offset,
    /// The place where the bytes of a view end.
    ViewEnd,
    /// The place where the elements of a list view end.
    ListViewEnd,
    /// The number of a child of a union.
    TypeId,
    /// The place where a run ends.
    RunEnd,
    /// The place where the last run ends.
    LastRunEnd,
    /// The place where what the array needs of a buffer ends.
    BufferEnd,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Offset => "offset",
            Self::ViewEnd => "end of a view",
            Self::ListViewEnd => "end of a list view",
            Self::TypeId => "type id",
            Self::RunEnd => "run end",
            Self::LastRunEnd => "last run end",
            Self::BufferEnd => "end of what is read",
        })
    }
}
