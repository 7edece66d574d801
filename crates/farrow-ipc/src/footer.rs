//! The end of a file: where its messages are and what their columns mean.

use std::borrow::Cow;
use std::ops::Range;

use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::{MetadataVersion, Schema as FbSchema, UnionMode, root_as_footer_with_opts};
use arrow_schema::Schema;
use flatbuffers::{ForwardsUOffset, Vector, VerifierOptions};

use crate::error::IpcError;
use crate::file_bytes::{Copied, FileBytes, Source};
use crate::flatbuffer;
use crate::problem::{BlockProblem, Part, Place, TypeProblem};

const MAGIC: &[u8; 6] = b"ARROW1";
/// The magic and its padding to 8 bytes, as the format asks.
const HEAD_LEN: usize = 8;
/// The footer's length and the magic again.
const TAIL_LEN: usize = 4 + MAGIC.len();
/// The most bytes of one flatbuffer that are read.
const MAX_METADATA_LEN: usize = 256 << 20;

/// A checked footer: its blocks lie between head and footer, on 8-byte boundaries, apart from each other.
pub(crate) struct Footer<'a> {
    pub(crate) schema: Schema,
    pub(crate) dictionaries: Vec<Block>,
    pub(crate) batches: Vec<Block>,
    /// The footer's flatbuffer.
    pub(crate) encoded: Cow<'a, [u8]>,
}

/// The place where a message lies in the file, in bytes. Within the file, so that sums do not overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) position: usize,
    pub(crate) metadata_len: usize,
    pub(crate) body_len: usize,
}

impl Block {
    pub(crate) fn metadata(&self) -> Range<usize> {
        self.position..self.body().start
    }

    pub(crate) fn body(&self) -> Range<usize> {
        let start = self.position + self.metadata_len;
        start..start + self.body_len
    }
}

impl<'a> Footer<'a> {
    pub(crate) fn read(bytes: &'a (impl FileBytes + ?Sized)) -> Result<Self, IpcError> {
        let range = footer_range(bytes)?;
        let end = range.start;
        let encoded = bytes.piece(range)?;
        let footer = root_as_footer_with_opts(&verifier_options(encoded.len()), &encoded)
            .map_err(|source| IpcError::Flatbuffer { place: Place::Footer, source: Box::new(source) })?;
        check_version(footer.version(), Place::Footer)?;
        flatbuffer::check_footer(&footer)?;
        let encoded_schema =
            footer.schema().ok_or(IpcError::Missing { place: Place::Footer, part: Part::Schema })?;
        let schema = read_schema(encoded_schema)?;
        let batches = footer
            .recordBatches()
            .ok_or(IpcError::Missing { place: Place::Footer, part: Part::RecordBatches })?;
        let dictionaries = read_blocks(footer.dictionaries(), Place::Dictionary, end)?;
        let batches = read_blocks(Some(batches), Place::Batch, end)?;
        check_apart(&dictionaries, &batches)?;
        Ok(Self { schema, dictionaries, batches, encoded })
    }
}

/// Returns what the verifier allows in a flatbuffer of `len` bytes: nothing that a tree written out once would not
/// have. Tables and strings may be referred to more than once, and a few bytes could otherwise stand for
/// gigabytes.
pub(crate) fn verifier_options(len: usize) -> VerifierOptions {
    VerifierOptions {
        max_depth: 64,
        // A table takes at least the four bytes of its vtable's offset and the four of the offset to itself.
        max_tables: (len / 8).min(4 << 20),
        // Shared vtables count each time they are used: a few times the bytes that are there.
        max_apparent_size: len.min(MAX_METADATA_LEN) * 8 + 1024,
        ..VerifierOptions::default()
    }
}

pub(crate) fn check_version(version: MetadataVersion, place: Place) -> Result<(), IpcError> {
    if version == MetadataVersion::V5 { Ok(()) } else { Err(IpcError::Version { place, found: version.0 }) }
}

/// Returns how many bytes the flatbuffer at the end of a file has, as the file says: at most 256 MiB, and no more than
/// there are.
///
/// # Errors
/// [`IpcError::TooShort`], [`IpcError::Magic`], [`IpcError::FooterLength`], [`IpcError::Read`].
pub fn footer_len(source: &(impl Source + ?Sized)) -> Result<u64, IpcError> {
    Ok(footer_range(&Copied(source))?.len() as u64)
}

fn footer_range(bytes: &(impl FileBytes + ?Sized)) -> Result<Range<usize>, IpcError> {
    let need = HEAD_LEN + TAIL_LEN;
    let len = bytes.len();
    let Some(tail) = len.checked_sub(TAIL_LEN).filter(|tail| *tail >= HEAD_LEN) else {
        return Err(IpcError::TooShort { len: len as u64, need: need as u64 });
    };
    if *bytes.piece(0..MAGIC.len())? != MAGIC[..] {
        return Err(IpcError::Magic { position: 0 });
    }
    let last = bytes.piece(tail..len)?;
    if last[4..] != MAGIC[..] {
        return Err(IpcError::Magic { position: (tail + 4) as u64 });
    }
    let found = i32::from_le_bytes([last[0], last[1], last[2], last[3]]);
    let room = (tail - HEAD_LEN).min(MAX_METADATA_LEN);
    match usize::try_from(found) {
        Ok(len) if (1..=room).contains(&len) => Ok(tail - len..tail),
        _ => Err(IpcError::FooterLength { found, room: room as u64 }),
    }
}

/// The schema in a footer or in the first message of a stream.
pub(crate) fn read_schema(encoded: FbSchema<'_>) -> Result<Schema, IpcError> {
    if !encoded.endianness().equals_to_target_endianness() {
        return Err(IpcError::Endianness);
    }
    check_unions(encoded.fields())?;
    try_fb_to_schema(encoded).map_err(|source| IpcError::Schema { source })
}

type Fields<'a> = Vector<'a, ForwardsUOffset<arrow_ipc::Field<'a>>>;

/// Type ids are stored as 32-bit numbers and cut to 8 bits by the decoder; without ids it numbers the
/// children, and panics at the 129th, while Arrow C++ takes 128 for -128.
fn check_unions(fields: Option<Fields<'_>>) -> Result<(), IpcError> {
    for field in fields.iter().flatten() {
        let children = field.children();
        if let Some(union) = field.type_as_union()
            && matches!(union.mode(), UnionMode::Dense | UnionMode::Sparse)
        {
            let count = children.map_or(0, |children| children.len());
            let in_range = match union.typeIds() {
                Some(ids) => ids.len() == count && ids.iter().all(|id| (0..=127).contains(&id)),
                None => count <= 127,
            };
            if !in_range {
                let field = field.name().unwrap_or_default().to_owned();
                return Err(IpcError::Type { field, problem: TypeProblem::UnionIds { children: count } });
            }
        }
        check_unions(children)?;
    }
    Ok(())
}

fn read_blocks(
    blocks: Option<Vector<'_, arrow_ipc::Block>>,
    place: fn(usize) -> Place,
    end: usize,
) -> Result<Vec<Block>, IpcError> {
    let read = |(index, block)| read_block(block, place(index), end);
    blocks.iter().flatten().enumerate().map(read).collect()
}

fn read_block(block: &arrow_ipc::Block, place: Place, end: usize) -> Result<Block, IpcError> {
    let refuse = |problem| {
        let (position, metadata_len, body_len) = (block.offset(), block.metaDataLength(), block.bodyLength());
        IpcError::Block { place, position, metadata_len, body_len, problem }
    };
    let out_of_bounds = || refuse(BlockProblem::OutOfBounds { end: end as u64 });
    let position = usize::try_from(block.offset()).map_err(|_| out_of_bounds())?;
    let metadata_len = usize::try_from(block.metaDataLength()).map_err(|_| out_of_bounds())?;
    let body_len = usize::try_from(block.bodyLength()).map_err(|_| out_of_bounds())?;
    let block_end = position.checked_add(metadata_len).and_then(|body| body.checked_add(body_len));
    if position < HEAD_LEN || metadata_len > MAX_METADATA_LEN || block_end.is_none_or(|e| e > end) {
        return Err(out_of_bounds());
    }
    if [position, metadata_len, body_len].iter().any(|n| n % 8 != 0) {
        return Err(refuse(BlockProblem::Misaligned { need: 8 }));
    }
    Ok(Block { position, metadata_len, body_len })
}

fn check_apart(dictionaries: &[Block], batches: &[Block]) -> Result<(), IpcError> {
    let numbered = |place: fn(usize) -> Place| move |(index, block): (usize, &Block)| (*block, place(index));
    let mut blocks: Vec<(Block, Place)> = (dictionaries.iter().enumerate().map(numbered(Place::Dictionary)))
        .chain(batches.iter().enumerate().map(numbered(Place::Batch)))
        .collect();
    blocks.sort_unstable_by_key(|(block, _)| block.position);
    for pair in blocks.windows(2) {
        let (before, (block, place)) = (pair[0].0.body().end, pair[1]);
        if block.position < before {
            return Err(IpcError::Block {
                place,
                position: i64::try_from(block.position).unwrap_or(i64::MAX),
                metadata_len: i32::try_from(block.metadata_len).unwrap_or(i32::MAX),
                body_len: i64::try_from(block.body_len).unwrap_or(i64::MAX),
                problem: BlockProblem::Overlaps { end: before as u64 },
            });
        }
    }
    Ok(())
}
