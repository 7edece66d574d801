//! The field nodes and buffers of a batch against the columns of the schema.
//!
//! A batch's header lists one node per array and a few buffers per node, depth first, without saying which is
//! whose. This walk deals them out as the decoder does, and checks of each what can be known without reading
//! the values: afterwards the decoder finds every node and buffer it asks for, each within the body, on its
//! boundary, and as long as the array's length needs.

use std::ops::Range;

use arrow_ipc::{Buffer, FieldNode};
use arrow_schema::{DataType, Field, UnionMode};
use flatbuffers::VectorIter;

use crate::error::IpcError;
use crate::footer::Block;
use crate::message::BatchHeader;
use crate::problem::{ArrayProblem, Part, Place};
use crate::schema::{MAX_ARRAY_LEN, dictionary_id};

/// The rules for the values of one batch.
pub(crate) struct Rules<'a> {
    pub(crate) place: Place,
    /// The power of two on which buffers begin, counted from the beginning of the file.
    pub(crate) alignment: u64,
    /// True if the batch of a dictionary comes before this one.
    pub(crate) dictionary: &'a dyn Fn(i64) -> bool,
    /// True if that batch may be left out if nothing refers to it. The format lets it; Arrow C++ reads no such file.
    pub(crate) may_lack_dictionary: bool,
}

/// Checks a record batch's columns, and gives where in the file views lie.
pub(crate) fn check<'f>(
    header: &BatchHeader<'_>,
    block: &Block,
    fields: impl Iterator<Item = &'f Field>,
    rules: &Rules<'_>,
) -> Result<Vec<Range<usize>>, IpcError> {
    let mut columns = Columns::new(header, block, rules)?;
    for (index, field) in fields.enumerate() {
        columns.column = index;
        let node = columns.array(field)?;
        if node.len != header.rows {
            return Err(columns.refuse(field, other_length(node.len, header.rows)));
        }
        if node.nulls > 0 && !field.is_nullable() {
            return Err(columns.refuse(field, too_many_nulls(node)));
        }
    }
    columns.finish()
}

#[derive(Clone, Copy)]
struct Node {
    /// Elements, at most [`MAX_ARRAY_LEN`], so that what follows cannot overflow 64 bits.
    len: u64,
    /// At most `len`.
    nulls: u64,
}

struct Columns<'a> {
    rules: &'a Rules<'a>,
    nodes: VectorIter<'a, FieldNode>,
    buffers: VectorIter<'a, Buffer>,
    buffers_read: usize,
    variadic: Option<VectorIter<'a, i64>>,
    body: Range<usize>,
    /// The place in the body where the last buffer ended.
    end: u64,
    column: usize,
    views: Vec<Range<usize>>,
}

impl<'a> Columns<'a> {
    fn new(header: &BatchHeader<'a>, block: &Block, rules: &'a Rules<'a>) -> Result<Self, IpcError> {
        let missing = |part| IpcError::Missing { place: rules.place, part };
        Ok(Self {
            rules,
            nodes: header.batch.nodes().ok_or_else(|| missing(Part::Nodes))?.iter(),
            buffers: header.batch.buffers().ok_or_else(|| missing(Part::Buffers))?.iter(),
            buffers_read: 0,
            variadic: header.batch.variadicBufferCounts().map(|counts| counts.iter()),
            body: block.body(),
            end: 0,
            column: 0,
            views: Vec::new(),
        })
    }

    fn array(&mut self, field: &Field) -> Result<Node, IpcError> {
        let node = self.node(field)?;
        match field.data_type() {
            DataType::Null if node.nulls != node.len => {
                return Err(self.refuse(field, too_many_nulls(node)));
            }
            DataType::Null => {}
            DataType::Union(..) | DataType::RunEndEncoded(..) if node.nulls > 0 => {
                return Err(self.refuse(field, too_many_nulls(node)));
            }
            DataType::Union(children, mode) => {
                self.elements(field, node.len, 1)?;
                if *mode == UnionMode::Dense {
                    self.elements(field, node.len, 4)?;
                }
                for (_, child) in children.iter() {
                    let len = self.array(child)?.len;
                    if *mode == UnionMode::Sparse && len != node.len {
                        return Err(self.refuse(child, other_length(len, node.len)));
                    }
                }
            }
            DataType::RunEndEncoded(ends, values) => self.runs(node, ends, values)?,
            data_type => {
                // Without nulls the bitmap may be left out; what is there is not read then.
                self.buffer(field, if node.nulls > 0 { node.len.div_ceil(8) } else { 0 })?;
                self.values(field, data_type, node)?;
            }
        }
        Ok(node)
    }

    /// Checks what follows the validity bitmap of an array that has one.
    fn values(&mut self, field: &Field, data_type: &DataType, node: Node) -> Result<(), IpcError> {
        match data_type {
            DataType::Boolean => self.buffer(field, node.len.div_ceil(8)).map(drop),
            DataType::Utf8 | DataType::Binary => {
                self.offsets(field, node, 4)?;
                self.buffer(field, 0).map(drop)
            }
            DataType::LargeUtf8 | DataType::LargeBinary => {
                self.offsets(field, node, 8)?;
                self.buffer(field, 0).map(drop)
            }
            DataType::Utf8View | DataType::BinaryView => self.view(field, node),
            DataType::List(child) | DataType::Map(child, _) => {
                self.offsets(field, node, 4)?;
                self.array(child).map(drop)
            }
            DataType::LargeList(child) => {
                self.offsets(field, node, 8)?;
                self.array(child).map(drop)
            }
            DataType::ListView(child) => self.list_view(field, child, node.len, 4),
            DataType::LargeListView(child) => self.list_view(field, child, node.len, 8),
            DataType::FixedSizeList(child, size) => {
                let need = node.len * u64::from(size.unsigned_abs());
                match self.array(child)?.len {
                    len if len < need => Err(self.refuse(child, other_length(len, need))),
                    _ => Ok(()),
                }
            }
            DataType::Struct(children) => {
                children.iter().try_for_each(|child| match self.array(child)?.len {
                    len if len != node.len => Err(self.refuse(child, other_length(len, node.len))),
                    _ => Ok(()),
                })
            }
            DataType::Dictionary(keys, _) => {
                self.elements(field, node.len, width(keys))?;
                match dictionary_id(field) {
                    Some(id) if (self.rules.dictionary)(id) => Ok(()),
                    _ if self.rules.may_lack_dictionary && node.nulls == node.len => Ok(()),
                    _ => Err(self.refuse(field, ArrayProblem::NoDictionary)),
                }
            }
            DataType::FixedSizeBinary(size) => {
                self.buffer(field, node.len * u64::from(size.unsigned_abs())).map(drop)
            }
            primitive => self.elements(field, node.len, width(primitive)).map(drop),
        }
    }

    fn runs(&mut self, node: Node, ends: &Field, values: &Field) -> Result<(), IpcError> {
        let ends_node = self.array(ends)?;
        if ends_node.nulls > 0 {
            return Err(self.refuse(ends, too_many_nulls(ends_node)));
        }
        if node.len > 0 && ends_node.len == 0 {
            return Err(self.refuse(ends, other_length(0, 1)));
        }
        match self.array(values)?.len {
            len if len != ends_node.len => Err(self.refuse(values, other_length(len, ends_node.len))),
            _ => Ok(()),
        }
    }

    fn view(&mut self, field: &Field, node: Node) -> Result<(), IpcError> {
        let views = self.elements(field, node.len, 16)?;
        self.views.push(views);
        let left = self.buffers.len();
        let count = self.variadic.as_mut().and_then(Iterator::next);
        match count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= left) {
            Some(buffers) => (0..buffers).try_for_each(|_| self.buffer(field, 0).map(drop)),
            None => Err(self.refuse(field, ArrayProblem::Variadic { count, left })),
        }
    }

    fn list_view(&mut self, field: &Field, child: &Field, need: u64, width: u64) -> Result<(), IpcError> {
        self.elements(field, need, width)?;
        self.elements(field, need, width)?;
        self.array(child).map(drop)
    }

    /// Offsets: one more than elements; none at all will do for no element.
    fn offsets(&mut self, field: &Field, node: Node, width: u64) -> Result<(), IpcError> {
        let buffer = self.buffers_read;
        let len = self.elements(field, 0, width)?.len() as u64;
        let need = (node.len + 1) * width;
        if len >= need || (node.len == 0 && len == 0) {
            return Ok(());
        }
        Err(self.refuse(field, ArrayProblem::TooShort { buffer, len, need }))
    }

    fn node(&mut self, field: &Field) -> Result<Node, IpcError> {
        let Some(node) = self.nodes.next() else {
            return Err(self.refuse(field, ArrayProblem::NoNode));
        };
        let len = match u64::try_from(node.length()) {
            Ok(len) if node.length() <= MAX_ARRAY_LEN => len,
            _ => {
                let problem = ArrayProblem::Length { found: node.length(), max: MAX_ARRAY_LEN };
                return Err(self.refuse(field, problem));
            }
        };
        match u64::try_from(node.null_count()) {
            Ok(nulls) if nulls <= len => Ok(Node { len, nulls }),
            _ => Err(self.refuse(field, ArrayProblem::Nulls { found: node.null_count(), len })),
        }
    }

    /// The next buffer, at least `need` bytes: where it lies in the file.
    fn buffer(&mut self, field: &Field, need: u64) -> Result<Range<usize>, IpcError> {
        let buffer = self.buffers_read;
        let Some(found) = self.buffers.next() else {
            return Err(self.refuse(field, ArrayProblem::NoBuffer { buffer }));
        };
        self.buffers_read += 1;
        let (offset, len) = (found.offset(), found.length());
        let in_body = u64::try_from(offset).ok().zip(u64::try_from(len).ok()).and_then(|(offset, len)| {
            let end = offset.checked_add(len).filter(|end| *end <= self.body.len() as u64)?;
            let start = self.body.start.checked_add(usize::try_from(offset).ok()?)?;
            Some((offset, end, start..start.checked_add(usize::try_from(len).ok()?)?))
        });
        let Some((offset, end, range)) = in_body else {
            let body_len = self.body.len() as u64;
            return Err(self.refuse(field, ArrayProblem::OutOfBody { buffer, offset, len, body_len }));
        };
        // Writers put buffers one after another; sharing bytes would make a small file long to read.
        if !range.is_empty() {
            if offset < self.end {
                return Err(self.refuse(field, ArrayProblem::Overlap { buffer, offset, end: self.end }));
            }
            self.end = end;
        }
        let position = range.start as u64;
        if !position.is_multiple_of(self.rules.alignment) {
            let problem = ArrayProblem::Misaligned { buffer, position, need: self.rules.alignment };
            return Err(self.refuse(field, problem));
        }
        let len = range.len() as u64;
        if len < need {
            return Err(self.refuse(field, ArrayProblem::TooShort { buffer, len, need }));
        }
        Ok(range)
    }

    /// The next buffer, `need` or more elements of `width` bytes. Arrow's validation panics on a buffer that
    /// ends within an element, even one behind the last that is used.
    fn elements(&mut self, field: &Field, need: u64, width: u64) -> Result<Range<usize>, IpcError> {
        let buffer = self.buffers_read;
        let range = self.buffer(field, need * width)?;
        let len = range.len() as u64;
        if len.is_multiple_of(width) {
            return Ok(range);
        }
        Err(self.refuse(field, ArrayProblem::PartOfElement { buffer, len, width }))
    }

    fn finish(mut self) -> Result<Vec<Range<usize>>, IpcError> {
        let (nodes, buffers) = (self.nodes.len(), self.buffers.len());
        let variadic = self.variadic.as_mut().map_or(0, |counts| counts.len());
        if nodes + buffers + variadic > 0 {
            return Err(IpcError::Leftover { place: self.rules.place, nodes, buffers, variadic });
        }
        Ok(self.views)
    }

    fn refuse(&self, field: &Field, problem: ArrayProblem) -> IpcError {
        IpcError::Array { place: self.rules.place, column: self.column, field: field.name().clone(), problem }
    }
}

fn width(primitive: &DataType) -> u64 {
    primitive.primitive_width().expect("every other type is dealt with before") as u64
}

fn other_length(found: u64, expected: u64) -> ArrayProblem {
    ArrayProblem::OtherLength { found, expected }
}

fn too_many_nulls(node: Node) -> ArrayProblem {
    ArrayProblem::Nulls { found: i64::try_from(node.nulls).unwrap_or(i64::MAX), len: node.len }
}
