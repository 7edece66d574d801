//! Arrays that refer to what they hold by its place, and may do so twice: views, list views, dense unions.

use std::ops::Range;

use arrow_data::MAX_INLINE_VIEW_LEN;

use super::{Bitmap, Gather, Parent, Stop, total};
use crate::column::{Column, Numbers};
use crate::file_bytes::Source;
use crate::numbers::{numbers, put, to_usize, word};
use crate::problem::Number;
use crate::spans::Spans;

/// Bytes of a view.
const VIEW: usize = 16;

impl<S: Source> Gather<'_, S> {
    /// Views, and of the bytes that they refer to each once, in one buffer.
    pub(super) fn views(
        &mut self,
        column: &Column,
        views: &Range<usize>,
        data: &[Range<usize>],
        rows: &[Range<usize>],
        nulls: &Bitmap,
    ) -> Result<(), Stop> {
        let at = self.copy(column, views, rows, VIEW)?;
        let (before, views) = self.gathered.body.split_at_mut(at);
        let (mut ranges, mut wrong) = (Vec::new(), None);
        for (index, view) in views.as_chunks_mut::<VIEW>().0.iter_mut().enumerate() {
            if nulls.is_null(before, index) {
                *view = [0; VIEW];
                continue;
            }
            let len = word(view, 0);
            if len <= MAX_INLINE_VIEW_LEN as usize {
                view[4 + len..].fill(0);
                continue;
            }
            let (buffer, offset) = (word(view, 8), word(view, 12));
            match data.get(buffer).filter(|data| offset + len <= data.len()) {
                Some(data) => ranges.push(data.start + offset..data.start + offset + len),
                None => {
                    wrong = Some((offset + len, data.get(buffer).map_or(0, Range::len)));
                    break;
                }
            }
        }
        if let Some((end, most)) = wrong {
            return Err(self.refuse(column, Number::ViewEnd, end as i64, 0..=most as i64));
        }
        let spans = Spans::of(ranges);
        let begin = self.spans(column, &spans)?;
        self.gathered.variadic.push(i64::from(spans.total() > 0));
        let (before, copied) = self.gathered.body.split_at_mut(begin);
        for view in before[at..].as_chunks_mut::<VIEW>().0.iter_mut().take(total(rows)?) {
            let len = word(view, 0);
            if len <= MAX_INLINE_VIEW_LEN as usize {
                continue;
            }
            let position = spans.position(data[word(view, 8)].start + word(view, 12));
            view[4..8].copy_from_slice(&copied[position..position + 4]);
            view[8..12].fill(0);
            view[12..].copy_from_slice(&u32::try_from(position).map_err(|_| Stop::Full)?.to_le_bytes());
        }
        Ok(())
    }

    /// Copies what views refer to; only if there is something, it is a buffer.
    fn spans(&mut self, column: &Column, spans: &Spans) -> Result<usize, Stop> {
        if spans.total() == 0 {
            return Ok(self.gathered.body.len());
        }
        if i32::try_from(spans.total()).is_err() {
            return Err(Stop::Full);
        }
        let begin = self.buffer(spans.total())?;
        let mut at = begin;
        for range in spans.ranges() {
            self.read(column, &range, 0, at..at + range.len())?;
            at += range.len();
        }
        Ok(begin)
    }

    /// Offsets and sizes of list views, and the elements that they refer to, each once.
    pub(super) fn list_views(
        &mut self,
        column: &Column,
        offsets: &Numbers,
        sizes: &Range<usize>,
        child_len: usize,
        rows: &[Range<usize>],
        nulls: &Bitmap,
    ) -> Result<Spans, Stop> {
        let (width, count) = (offsets.width, total(rows)?);
        let offsets_at = self.copy(column, &offsets.bytes, rows, width)?;
        let sizes_at = self.copy(column, sizes, rows, width)?;
        let mut views = Vec::with_capacity(count);
        {
            let starts = numbers(&self.gathered.body[offsets_at..offsets_at + count * width], width);
            let sizes = numbers(&self.gathered.body[sizes_at..sizes_at + count * width], width);
            for (index, (start, size)) in starts.zip(sizes).enumerate() {
                if nulls.is_null(&self.gathered.body, index) || size == 0 {
                    views.push(0..0);
                    continue;
                }
                let end =
                    start.checked_add(size).filter(|end| start >= 0 && size > 0 && *end <= child_len as i64);
                match end {
                    Some(end) => views.push(to_usize(start)..to_usize(end)),
                    None => {
                        let found = start.saturating_add(size.max(0));
                        let found = if start < 0 || size < 0 { start.min(size) } else { found };
                        return Err(self.refuse(column, Number::ListViewEnd, found, 0..=child_len as i64));
                    }
                }
            }
        }
        let spans = Spans::of(views.iter().filter(|view| !view.is_empty()).cloned().collect());
        for (index, view) in views.iter().enumerate() {
            let position = if view.is_empty() { 0 } else { spans.position(view.start) };
            put(&mut self.gathered.body[offsets_at + index * width..], width, position)?;
            put(&mut self.gathered.body[sizes_at + index * width..], width, view.len())?;
        }
        Ok(spans)
    }

    /// Of each child the elements that are used, each once.
    pub(super) fn dense_union(
        &mut self,
        column: &Column,
        ids: &Range<usize>,
        offsets: &Numbers,
        children: &[(i8, usize, Column)],
        rows: &[Range<usize>],
    ) -> Result<(), Stop> {
        let child_of = |id: i8| children.iter().position(|(known, ..)| *known == id);
        let ids_at = self.type_ids(column, ids, rows, |id| child_of(id).is_some())?;
        let offsets_at = self.copy(column, &offsets.bytes, rows, offsets.width)?;
        let child_of: Vec<usize> =
            (0..=u8::MAX).map(|id| child_of(i8::from_le_bytes([id])).unwrap_or_default()).collect();
        let mut used: Vec<Vec<Range<usize>>> = children.iter().map(|_| Vec::new()).collect();
        let count = total(rows)?;
        for index in 0..count {
            let child = child_of[usize::from(self.gathered.body[ids_at + index])];
            let (offset, len) = (self.i32(offsets_at, index), children[child].1);
            match usize::try_from(offset).ok().filter(|offset| *offset < len) {
                Some(offset) => used[child].push(offset..offset + 1),
                None => {
                    return Err(self.refuse(column, Number::Offset, i64::from(offset), 0..=len as i64 - 1));
                }
            }
        }
        let spans: Vec<Spans> = used.into_iter().map(Spans::of).collect();
        for index in 0..count {
            let spans = &spans[child_of[usize::from(self.gathered.body[ids_at + index])]];
            let position = spans.position(usize::try_from(self.i32(offsets_at, index)).unwrap_or_default());
            put(&mut self.gathered.body[offsets_at + index * 4..], 4, position)?;
        }
        for ((_, _, child), spans) in children.iter().zip(&spans) {
            self.array(child, &spans.ranges().collect::<Vec<_>>(), Parent::Any)?;
        }
        Ok(())
    }

    fn i32(&self, at: usize, index: usize) -> i32 {
        let at = at + index * 4;
        self.gathered.body[at..].first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes))
    }
}
