//! Rows of a batch copied into the body of a message: out of bytes that may change at any moment.
//!
//! Each byte that something depends on (offsets, sizes, views, type ids, keys, run ends) is copied once and looked
//! at in the copy alone. What the copy says is checked against lengths that are this process's own before anything
//! is read by it, so whatever the bytes are, nothing outside the buffer that the metadata names is read.

mod runs;
mod shared;

use std::ops::{Range, RangeInclusive};

use arrow_buffer::bit_mask::set_bits;
use arrow_ipc::{Buffer, FieldNode};

use crate::column::{Column, Layout, Numbers};
use crate::error::IpcError;
use crate::file_bytes::Source;
use crate::numbers::{first_key, rebase, to_usize};
use crate::problem::{ArrayProblem, Number, Place};
use crate::schema::MAX_ARRAY_LEN;

/// The boundary on which buffers begin, counted from the beginning of the body.
const ALIGNMENT: usize = 64;

/// The reasons why rows did not become a message.
pub(crate) enum Stop {
    /// They are larger than the message may be.
    Full,
    /// They cannot be read, or are no values of their type.
    Failed(IpcError),
}

impl From<IpcError> for Stop {
    fn from(error: IpcError) -> Self {
        Self::Failed(error)
    }
}

/// The body of a message, and what its header says of it.
pub(crate) struct Gathered {
    pub(crate) body: Vec<u8>,
    pub(crate) nodes: Vec<FieldNode>,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) variadic: Vec<i64>,
    /// Bytes of values, without padding.
    pub(crate) used: usize,
}

/// A body in the making.
pub(crate) struct Gather<'s, S> {
    source: &'s S,
    place: Place,
    /// The most bytes of values.
    most: usize,
    column: usize,
    gathered: Gathered,
    /// Memory for what is only looked at.
    copied: Vec<u8>,
}

impl<'s, S: Source> Gather<'s, S> {
    /// A body of at most `most` bytes of values, with memory for `capacity`; what pads them comes on top.
    pub(crate) fn new(source: &'s S, place: Place, capacity: usize, most: usize) -> Self {
        let (nodes, buffers, variadic) = (Vec::new(), Vec::new(), Vec::new());
        let gathered = Gathered { body: Vec::with_capacity(capacity), nodes, buffers, variadic, used: 0 };
        Self { source, place, most, column: 0, gathered, copied: Vec::new() }
    }

    /// Adds some rows of the columns of a batch.
    pub(crate) fn rows(&mut self, columns: &[(usize, Column)], rows: &Range<usize>) -> Result<(), Stop> {
        for (index, column) in columns {
            self.column = *index;
            self.array(column, std::slice::from_ref(rows), Parent::NONE)?;
        }
        Ok(())
    }

    /// Returns what was added.
    pub(crate) fn finish(self) -> Gathered {
        let mut gathered = self.gathered;
        gathered.body.resize(gathered.body.len().next_multiple_of(ALIGNMENT), 0);
        gathered
    }

    /// Adds the elements in `rows`, one range behind the other.
    fn array(&mut self, column: &Column, rows: &[Range<usize>], parent: Parent) -> Result<(), Stop> {
        let len = total(rows)?;
        let node = self.gathered.nodes.len();
        self.gathered.nodes.push(FieldNode::new(len as i64, 0));
        match &column.layout {
            Layout::Null => self.gathered.nodes[node] = FieldNode::new(len as i64, len as i64),
            Layout::SparseUnion { ids, children } => {
                self.type_ids(column, ids, rows, |id| children.iter().any(|(known, _)| *known == id))?;
                for (_, child) in children {
                    self.array(child, rows, Parent::Any)?;
                }
            }
            Layout::DenseUnion { ids, offsets, children } => {
                self.dense_union(column, ids, offsets, children, rows)?;
            }
            Layout::Runs { ends, count, values } => self.runs(column, ends, *count, values, rows)?,
            layout => {
                let nulls = match &column.validity {
                    Some(bitmap) => self.bits(column, bitmap, rows)?,
                    None => Bitmap { at: self.buffer(0)?, zeros: 0 },
                };
                self.gathered.nodes[node] = FieldNode::new(len as i64, nulls.zeros as i64);
                if nulls.zeros > 0 && !column.field.is_nullable() {
                    self.check_hidden(column, len, &nulls, parent)?;
                }
                self.values(column, layout, rows, &nulls)?;
            }
        }
        Ok(())
    }

    /// Checks that the nulls of a field that has none are those of its parent.
    fn check_hidden(&self, column: &Column, len: usize, nulls: &Bitmap, parent: Parent) -> Result<(), Stop> {
        let Parent::Of(parent, size) = parent else { return Ok(()) };
        let body = &self.gathered.body;
        let shows = |index| nulls.is_null(body, index) && !parent.is_null(body, index / size);
        if (0..len).any(shows) {
            let problem = ArrayProblem::Nulls { found: nulls.zeros as i64, len: len as u64 };
            return Err(self.array_problem(column, problem));
        }
        Ok(())
    }

    /// Checks what follows the validity bitmap.
    fn values(
        &mut self,
        column: &Column,
        layout: &Layout,
        rows: &[Range<usize>],
        nulls: &Bitmap,
    ) -> Result<(), Stop> {
        match layout {
            Layout::Bits(values) => self.bits(column, values, rows).map(drop),
            Layout::Fixed { values, width } => self.copy(column, values, rows, *width).map(drop),
            Layout::Keys { keys, width, signed, dictionary_len } => {
                let at = self.copy(column, keys, rows, *width)?;
                let beyond =
                    |index, key: u64| key >= *dictionary_len && !nulls.is_null(&self.gathered.body, index);
                match first_key(&self.gathered.body[at..], *width, *signed, beyond) {
                    Some(found) => {
                        Err(self.refuse(column, Number::Key, found, 0..=*dictionary_len as i64 - 1))
                    }
                    None => Ok(()),
                }
            }
            Layout::Bytes { offsets, data } => self.bytes(column, offsets, data, rows),
            Layout::Views { views, data } => self.views(column, views, data, rows, nulls),
            Layout::List { offsets, child_len, child } => {
                let spans = self.offsets(column, offsets, *child_len, rows)?;
                self.array(child, &spans, Parent::NONE)
            }
            Layout::ListView { offsets, sizes, child_len, child } => {
                let spans = self.list_views(column, offsets, sizes, *child_len, rows, nulls)?;
                self.array(child, &spans.ranges().collect::<Vec<_>>(), Parent::Any)
            }
            Layout::FixedList { size, child } => {
                let within =
                    |row: &Range<usize>| Some(row.start.checked_mul(*size)?..row.end.checked_mul(*size)?);
                let rows: Option<Vec<_>> = rows.iter().map(within).collect();
                self.array(child, &rows.ok_or(Stop::Full)?, Parent::Of(*nulls, *size))
            }
            Layout::Struct(children) => {
                children.iter().try_for_each(|child| self.array(child, rows, Parent::Of(*nulls, 1)))
            }
            Layout::Null | Layout::SparseUnion { .. } | Layout::DenseUnion { .. } | Layout::Runs { .. } => {
                Ok(())
            }
        }
    }

    /// Strings, each behind the other as they are in the file.
    fn bytes(
        &mut self,
        column: &Column,
        offsets: &Numbers,
        data: &Range<usize>,
        rows: &[Range<usize>],
    ) -> Result<(), Stop> {
        let spans = self.offsets(column, offsets, data.len(), rows)?;
        self.copy(column, data, &spans, 1).map(drop)
    }

    /// Offsets counted from the first that is copied, and what they span. They ascend, up to `most`.
    fn offsets(
        &mut self,
        column: &Column,
        offsets: &Numbers,
        most: usize,
        rows: &[Range<usize>],
    ) -> Result<Vec<Range<usize>>, Stop> {
        let width = offsets.width;
        let len = total(rows)?.checked_add(1).and_then(|len| len.checked_mul(width)).ok_or(Stop::Full)?;
        let start = self.buffer(len)?;
        let (mut at, mut base) = (start, 0);
        let mut spans: Vec<Range<usize>> = Vec::with_capacity(rows.len());
        for row in rows.iter().filter(|row| !row.is_empty()) {
            // The last offset of the rows before is the first of these.
            let end = at + (row.len() + 1) * width;
            self.read(column, &offsets.bytes, row.start * width, at..end)?;
            let span = match rebase(&mut self.gathered.body[at..end], width, base, most as i64) {
                Ok(span) => span.ok_or(Stop::Full)?,
                Err((found, least)) => {
                    return Err(self.refuse(column, Number::Offset, found, least..=most as i64));
                }
            };
            base += span.end - span.start;
            at = end - width;
            let span = to_usize(span.start)..to_usize(span.end);
            match spans.last_mut() {
                Some(last) if last.end == span.start => last.end = span.end,
                _ => spans.push(span),
            }
        }
        Ok(spans)
    }

    /// Type ids, each of them known.
    fn type_ids(
        &mut self,
        column: &Column,
        ids: &Range<usize>,
        rows: &[Range<usize>],
        known: impl Fn(i8) -> bool,
    ) -> Result<usize, Stop> {
        let at = self.copy(column, ids, rows, 1)?;
        let known: Vec<bool> = (0..=u8::MAX).map(|id| known(i8::from_le_bytes([id]))).collect();
        match self.gathered.body[at..at + total(rows)?].iter().find(|id| !known[usize::from(**id)]) {
            Some(id) => Err(self.refuse(
                column,
                Number::TypeId,
                i64::from(i8::from_le_bytes([*id])),
                0..=i64::from(i8::MAX),
            )),
            None => Ok(at),
        }
    }

    /// A bitmap, or bits that are values.
    fn bits(&mut self, column: &Column, part: &Range<usize>, rows: &[Range<usize>]) -> Result<Bitmap, Stop> {
        let len = total(rows)?.div_ceil(8);
        let at = self.buffer(len)?;
        let (mut written, mut zeros) = (0, 0);
        for row in rows {
            let copied = self.aside(column, part, row.start / 8..row.end.div_ceil(8))?;
            zeros += set_bits(&mut self.gathered.body[at..], &copied, written, row.start % 8, row.len());
            written += row.len();
            self.copied = copied;
        }
        Ok(Bitmap { at, zeros })
    }

    /// Elements of `width` bytes as they are, in a buffer: where it begins.
    fn copy(
        &mut self,
        column: &Column,
        part: &Range<usize>,
        rows: &[Range<usize>],
        width: usize,
    ) -> Result<usize, Stop> {
        let begin = self.buffer(total(rows)?.checked_mul(width).ok_or(Stop::Full)?)?;
        let mut at = begin;
        for row in rows {
            let end = at + row.len() * width;
            self.read(column, part, row.start * width, at..end)?;
            at = end;
        }
        Ok(begin)
    }

    /// The next buffer, of `len` bytes: where it begins.
    fn buffer(&mut self, len: usize) -> Result<usize, Stop> {
        let used = self.gathered.used.checked_add(len).filter(|used| *used <= self.most).ok_or(Stop::Full)?;
        self.gathered.used = used;
        let begin = self.gathered.body.len().next_multiple_of(ALIGNMENT);
        self.gathered.buffers.push(Buffer::new(begin as i64, len as i64));
        if len > 0 {
            self.gathered.body.resize(begin + len, 0);
        }
        Ok(begin.min(self.gathered.body.len()))
    }

    /// Copies what lies `from` bytes into `part` to a place of the body.
    fn read(
        &mut self,
        column: &Column,
        part: &Range<usize>,
        from: usize,
        to: Range<usize>,
    ) -> Result<(), Stop> {
        let (position, len) = self.position(column, part, &(from..from + to.len()))?;
        self.source
            .read_at(position, &mut self.gathered.body[to])
            .map_err(|source| Stop::Failed(IpcError::Read { position, len, source }))
    }

    /// A copy of some bytes of `part`, in memory that is to be given back to `copied`.
    fn aside(&mut self, column: &Column, part: &Range<usize>, bytes: Range<usize>) -> Result<Vec<u8>, Stop> {
        let (position, len) = self.position(column, part, &bytes)?;
        let mut copied = std::mem::take(&mut self.copied);
        copied.resize(bytes.len(), 0);
        let read = self.source.read_at(position, &mut copied);
        read.map(|()| copied).map_err(|source| Stop::Failed(IpcError::Read { position, len, source }))
    }

    /// Returns where in the file some bytes of `part` are, which must have them.
    fn position(
        &self,
        column: &Column,
        part: &Range<usize>,
        bytes: &Range<usize>,
    ) -> Result<(u64, u64), Stop> {
        if bytes.end > part.len() {
            return Err(self.refuse(column, Number::BufferEnd, bytes.end as i64, 0..=part.len() as i64));
        }
        Ok(((part.start + bytes.start) as u64, bytes.len() as u64))
    }

    fn refuse(&self, column: &Column, what: Number, found: i64, allowed: RangeInclusive<i64>) -> Stop {
        let (least, most) = allowed.into_inner();
        self.array_problem(column, ArrayProblem::Value { what, found, least, most })
    }

    fn array_problem(&self, column: &Column, problem: ArrayProblem) -> Stop {
        let field = column.field.name().clone();
        Stop::Failed(IpcError::Array { place: self.place, column: self.column, field, problem })
    }
}

/// The nulls that an array may have whose field says that it has none.
#[derive(Clone, Copy)]
enum Parent {
    /// Any: not every element is somebody's value.
    Any,
    /// Those of a parent, of which each element has so many.
    Of(Bitmap, usize),
}

impl Parent {
    /// No null.
    const NONE: Self = Self::Of(Bitmap { at: 0, zeros: 0 }, 1);
}

/// Bits in the body.
#[derive(Clone, Copy)]
struct Bitmap {
    at: usize,
    zeros: usize,
}

impl Bitmap {
    /// Of a validity bitmap, whether element `index` is null; `body` may end behind it.
    fn is_null(&self, body: &[u8], index: usize) -> bool {
        self.zeros > 0 && body[self.at + index / 8] >> (index % 8) & 1 == 0
    }
}

/// Elements in some ranges: no more than an array may have.
fn total(rows: &[Range<usize>]) -> Result<usize, Stop> {
    let sum = rows.iter().try_fold(0_usize, |sum, row| sum.checked_add(row.len()));
    sum.filter(|sum| *sum as u64 <= MAX_ARRAY_LEN.unsigned_abs()).ok_or(Stop::Full)
}
