//! The places of a batch's arrays in a file.

use std::ops::Range;
use std::sync::Arc;

use arrow_ipc::{Buffer, FieldNode};
use arrow_schema::{DataType, FieldRef};
use flatbuffers::VectorIter;

use crate::error::IpcError;
use crate::footer::Block;
use crate::message::BatchHeader;
use crate::problem::{Part, Place};
use crate::schema::dictionary_id;

/// An array of a batch whose structure was checked.
pub(crate) struct Column {
    pub(crate) field: FieldRef,
    /// Elements.
    pub(crate) len: usize,
    /// The number of them that are null, as the header says.
    pub(crate) nulls: usize,
    /// The bitmap, if some elements are null.
    pub(crate) validity: Option<Range<usize>>,
    pub(crate) layout: Layout,
}

impl Column {
    /// Bytes of all its parts.
    pub(crate) fn bytes(&self) -> usize {
        let numbers = |numbers: &Numbers| numbers.bytes.len();
        let values = match &self.layout {
            Layout::Null => 0,
            Layout::Bits(part) | Layout::Fixed { values: part, .. } | Layout::Keys { keys: part, .. } => {
                part.len()
            }
            Layout::Bytes { offsets, data } => numbers(offsets) + data.len(),
            Layout::Views { views, data } => views.len() + data.iter().map(Range::len).sum::<usize>(),
            Layout::List { offsets, child, .. } => numbers(offsets) + child.bytes(),
            Layout::ListView { offsets, sizes, child, .. } => numbers(offsets) + sizes.len() + child.bytes(),
            Layout::FixedList { child, .. } => child.bytes(),
            Layout::Struct(children) => children.iter().map(Self::bytes).sum(),
            Layout::SparseUnion { ids, children } => {
                ids.len() + children.iter().map(|(_, child)| child.bytes()).sum::<usize>()
            }
            Layout::DenseUnion { ids, offsets, children } => {
                ids.len()
                    + numbers(offsets)
                    + children.iter().map(|(_, _, child)| child.bytes()).sum::<usize>()
            }
            Layout::Runs { ends, values, .. } => numbers(ends) + values.bytes(),
        };
        values + self.validity.as_ref().map_or(0, Range::len)
    }
}

/// The parts of an array, by the layouts of the Arrow format. Ranges are bytes of the file, widths are bytes.
pub(crate) enum Layout {
    Null,
    Bits(Range<usize>),
    Fixed { values: Range<usize>, width: usize },
    Keys { keys: Range<usize>, width: usize, signed: bool, dictionary_len: u64 },
    Bytes { offsets: Numbers, data: Range<usize> },
    Views { views: Range<usize>, data: Vec<Range<usize>> },
    List { offsets: Numbers, child_len: usize, child: Box<Column> },
    ListView { offsets: Numbers, sizes: Range<usize>, child_len: usize, child: Box<Column> },
    FixedList { size: usize, child: Box<Column> },
    Struct(Vec<Column>),
    SparseUnion { ids: Range<usize>, children: Vec<(i8, Column)> },
    DenseUnion { ids: Range<usize>, offsets: Numbers, children: Vec<(i8, usize, Column)> },
    Runs { ends: Numbers, count: usize, values: Box<Column> },
}

/// Signed numbers of 2, 4 or 8 bytes.
pub(crate) struct Numbers {
    pub(crate) bytes: Range<usize>,
    pub(crate) width: usize,
}

/// The columns of a batch, whose header was checked against the same fields ([`columns::check`](crate::columns::check)).
/// `dictionary_len` says how many values the dictionary of an id has.
pub(crate) fn read(
    header: &BatchHeader<'_>,
    block: &Block,
    place: Place,
    fields: &[FieldRef],
    dictionary_len: &dyn Fn(i64) -> u64,
) -> Result<Vec<Column>, IpcError> {
    let missing = |part| IpcError::Missing { place, part };
    let mut reader = Reader {
        nodes: header.batch.nodes().ok_or_else(|| missing(Part::Nodes))?.iter(),
        buffers: header.batch.buffers().ok_or_else(|| missing(Part::Buffers))?.iter(),
        variadic: header.batch.variadicBufferCounts().map(|counts| counts.iter()),
        body: block.body(),
        place,
        dictionary_len,
    };
    fields.iter().map(|field| Ok(reader.column(field)?.1)).collect()
}

struct Reader<'a> {
    nodes: VectorIter<'a, FieldNode>,
    buffers: VectorIter<'a, Buffer>,
    variadic: Option<VectorIter<'a, i64>>,
    body: Range<usize>,
    place: Place,
    dictionary_len: &'a dyn Fn(i64) -> u64,
}

impl Reader<'_> {
    /// The next array and its length.
    fn column(&mut self, field: &FieldRef) -> Result<(usize, Column), IpcError> {
        let node = self.nodes.next().ok_or(IpcError::Missing { place: self.place, part: Part::Nodes })?;
        let validity = match field.data_type() {
            DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..) => None,
            _ => Some(self.buffer()?).filter(|_| node.null_count() > 0),
        };
        let layout = self.layout(field)?;
        let [len, nulls] = [node.length(), node.null_count()].map(|n| usize::try_from(n).unwrap_or_default());
        Ok((len, Column { field: Arc::clone(field), len, nulls, validity, layout }))
    }

    fn layout(&mut self, field: &FieldRef) -> Result<Layout, IpcError> {
        Ok(match field.data_type() {
            DataType::Null => Layout::Null,
            DataType::Boolean => Layout::Bits(self.buffer()?),
            DataType::Utf8 | DataType::Binary => self.bytes(4)?,
            DataType::LargeUtf8 | DataType::LargeBinary => self.bytes(8)?,
            DataType::Utf8View | DataType::BinaryView => self.views()?,
            DataType::List(child) | DataType::Map(child, _) => self.list(4, child)?,
            DataType::LargeList(child) => self.list(8, child)?,
            DataType::ListView(child) => self.list_view(4, child)?,
            DataType::LargeListView(child) => self.list_view(8, child)?,
            DataType::FixedSizeList(child, size) => {
                Layout::FixedList { size: size_of(*size), child: self.child(child)?.1 }
            }
            DataType::Struct(fields) => Layout::Struct(
                fields.iter().map(|field| Ok(self.column(field)?.1)).collect::<Result<_, IpcError>>()?,
            ),
            DataType::Union(fields, arrow_schema::UnionMode::Sparse) => {
                let ids = self.buffer()?;
                let child = |(id, field)| Ok((id, self.column(field)?.1));
                let children = fields.iter().map(child).collect::<Result<_, IpcError>>()?;
                Layout::SparseUnion { ids, children }
            }
            DataType::Union(fields, arrow_schema::UnionMode::Dense) => {
                let (ids, offsets) = (self.buffer()?, self.numbers(4)?);
                let child = |(id, field)| self.column(field).map(|(len, column)| (id, len, column));
                let children = fields.iter().map(child).collect::<Result<_, IpcError>>()?;
                Layout::DenseUnion { ids, offsets, children }
            }
            DataType::RunEndEncoded(ends, values) => {
                let (count, ends) = self.column(ends)?;
                let Layout::Fixed { values: bytes, width } = ends.layout else {
                    return Err(IpcError::Missing { place: self.place, part: Part::Buffers });
                };
                Layout::Runs { ends: Numbers { bytes, width }, count, values: self.child(values)?.1 }
            }
            DataType::Dictionary(keys, _) => Layout::Keys {
                keys: self.buffer()?,
                width: keys.primitive_width().unwrap_or_default(),
                signed: keys.is_signed_integer(),
                dictionary_len: dictionary_id(field).map_or(0, self.dictionary_len),
            },
            DataType::FixedSizeBinary(size) => {
                Layout::Fixed { values: self.buffer()?, width: size_of(*size) }
            }
            primitive => Layout::Fixed {
                values: self.buffer()?,
                width: primitive.primitive_width().expect("every other type is dealt with before"),
            },
        })
    }

    fn bytes(&mut self, width: usize) -> Result<Layout, IpcError> {
        Ok(Layout::Bytes { offsets: self.numbers(width)?, data: self.buffer()? })
    }

    fn views(&mut self) -> Result<Layout, IpcError> {
        let views = self.buffer()?;
        let count = self.variadic.as_mut().and_then(Iterator::next).unwrap_or_default();
        let data = (0..count).map(|_| self.buffer()).collect::<Result<_, _>>()?;
        Ok(Layout::Views { views, data })
    }

    fn list(&mut self, width: usize, child: &FieldRef) -> Result<Layout, IpcError> {
        let offsets = self.numbers(width)?;
        let (child_len, child) = self.child(child)?;
        Ok(Layout::List { offsets, child_len, child })
    }

    fn list_view(&mut self, width: usize, child: &FieldRef) -> Result<Layout, IpcError> {
        let (offsets, sizes) = (self.numbers(width)?, self.buffer()?);
        let (child_len, child) = self.child(child)?;
        Ok(Layout::ListView { offsets, sizes, child_len, child })
    }

    fn child(&mut self, field: &FieldRef) -> Result<(usize, Box<Column>), IpcError> {
        self.column(field).map(|(len, column)| (len, Box::new(column)))
    }

    fn numbers(&mut self, width: usize) -> Result<Numbers, IpcError> {
        Ok(Numbers { bytes: self.buffer()?, width })
    }

    /// Returns where the next buffer lies in the file.
    fn buffer(&mut self) -> Result<Range<usize>, IpcError> {
        let part = |buffer: &Buffer| {
            let start = self.body.start.checked_add(usize::try_from(buffer.offset()).ok()?)?;
            let end = start.checked_add(usize::try_from(buffer.length()).ok()?)?;
            (end <= self.body.end).then_some(start..end)
        };
        let missing = IpcError::Missing { place: self.place, part: Part::Buffers };
        self.buffers.next().and_then(part).ok_or(missing)
    }
}

fn size_of(size: i32) -> usize {
    usize::try_from(size).unwrap_or_default()
}
