//! Text: where it ends is looked at once, and what was looked at is what is validated.
//!
//! Views may share bytes, so their lengths say how long it takes to look at all of their text. Those that were added up
//! before may be others by now, so they are counted here again.

use arrow_data::{ArrayData, ByteView, MAX_INLINE_VIEW_LEN};
use arrow_schema::ArrowError;

use crate::error::{IpcError, MAX_VIEW_SHARING};
use crate::numbers::numbers;
use crate::problem::Place;

/// Offsets that are copied at a time.
const PIECE: usize = 1 << 10;

/// The texts of a batch.
pub(super) struct Texts {
    place: Place,
    /// Bytes of the file.
    len: u64,
    /// Bytes of views that were looked at.
    total: u64,
}

impl Texts {
    pub(super) fn new(place: Place, len: u64) -> Self {
        Self { place, len, total: 0 }
    }

    /// Of `len` texts with offsets of so many bytes each, which were found to be in order and within `data`.
    ///
    /// # Errors
    /// [`IpcError::Values`] for the first that is no text.
    pub(super) fn check(
        &self,
        (offsets, width): (&[u8], usize),
        len: usize,
        data: &[u8],
    ) -> Result<(), IpcError> {
        if len == 0 {
            return Ok(());
        }
        let mut copy = [0; 8 * PIECE];
        let mut ends: Vec<usize> = Vec::with_capacity(PIECE);
        let mut before = None;
        for (piece, bytes) in offsets[..(len + 1) * width].chunks(PIECE * width).enumerate() {
            let copy = &mut copy[..bytes.len()];
            copy.copy_from_slice(bytes);
            ends.clear();
            ends.extend(numbers(copy, width).map(|end| usize::try_from(end).unwrap_or(usize::MAX)));
            // The first one of all begins a text and ends none.
            let (start, ends, index) = match before {
                Some(start) => (start, &ends[..], piece * PIECE - 1),
                None => (ends[0], &ends[1..], 0),
            };
            self.check_piece(index, start, ends, data)?;
            before = Some(ends.last().copied().unwrap_or(start));
        }
        Ok(())
    }

    /// Of texts that lie one behind the other from `first` on; the first has this index.
    fn check_piece(&self, index: usize, first: usize, ends: &[usize], data: &[u8]) -> Result<(), IpcError> {
        let last = ends.last().copied().unwrap_or(first);
        if let Some(text) = data.get(first..last).and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            let boundary = |end: &usize| end.checked_sub(first).is_some_and(|end| text.is_char_boundary(end));
            return match ends.iter().position(|end| !boundary(end)) {
                None => Ok(()),
                Some(text) => {
                    self.refuse(format!("incomplete utf-8 byte sequence from index {}", index + text))
                }
            };
        }
        let mut start = first;
        for (text, end) in ends.iter().enumerate() {
            match data.get(start..*end).map(std::str::from_utf8) {
                Some(Ok(_)) => start = *end,
                Some(Err(error)) => {
                    let index = index + text;
                    return self.refuse(format!("Invalid UTF8 sequence at string index {index}: {error}"));
                }
                None => break,
            }
        }
        self.refuse(format!("Offsets from index {index} on were changed while they were validated"))
    }

    /// Of an array of views.
    ///
    /// # Errors
    /// [`IpcError::Values`] for the first view that is no text, [`IpcError::SharedViews`] as soon as there is too much.
    pub(super) fn check_views(&mut self, data: &ArrayData) -> Result<(), IpcError> {
        let views = &data.buffer::<u128>(0)[..data.len()];
        views.iter().enumerate().try_for_each(|(index, view)| self.view(index, *view, data))
    }

    fn view(&mut self, index: usize, view: u128, data: &ArrayData) -> Result<(), IpcError> {
        let parts = ByteView::from(view);
        let (inline, start, len) = (view.to_le_bytes(), parts.offset as usize, parts.length as usize);
        let bytes = if parts.length <= MAX_INLINE_VIEW_LEN {
            inline.get(4..4 + len)
        } else {
            self.total = self.total.saturating_add(u64::from(parts.length));
            if self.total > self.len.saturating_mul(MAX_VIEW_SHARING) {
                return Err(IpcError::SharedViews { place: self.place, total: self.total, len: self.len });
            }
            // The views come first.
            let buffer = data.buffers()[1..].get(parts.buffer_index as usize);
            buffer.and_then(|buffer| buffer.get(start..start + len))
        };
        let Some(bytes) = bytes else {
            return self.refuse(format!("View at index {index} was changed while it was validated"));
        };
        match std::str::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) => self.refuse(format!("Encountered non-UTF-8 data at index {index}: {error}")),
        }
    }

    fn refuse(&self, why: String) -> Result<(), IpcError> {
        Err(IpcError::Values { place: self.place, source: ArrowError::InvalidArgumentError(why) })
    }
}

#[cfg(test)]
mod tests {
    use arrow_buffer::Buffer;
    use arrow_schema::DataType;

    use super::*;

    const LEN: u32 = 1000;

    /// So many views, all of the same bytes.
    fn views(bytes: &[u8], views: usize) -> ArrayData {
        let prefix = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let view = ByteView { length: LEN, prefix, buffer_index: 0, offset: 0 };
        let array = ArrayData::builder(DataType::BinaryView).len(views);
        let array = array.add_buffer(Buffer::from_vec(vec![view.as_u128(); views]));
        array.add_buffer(Buffer::from(bytes)).build().unwrap()
    }

    /// Whatever their lengths were when they were added up before.
    #[test]
    fn no_more_is_looked_at_than_was_found_to_be_in_proportion() {
        let most = usize::try_from(MAX_VIEW_SHARING).unwrap();
        let texts = || Texts::new(Place::Batch(3), u64::from(LEN));
        let text = vec![b'a'; LEN as usize];
        texts().check_views(&views(&text, most)).unwrap();
        let error = texts().check_views(&views(&text, most + 1_000_000)).unwrap_err();
        assert!(matches!(error, IpcError::SharedViews { total: 65_000, len: 1000, .. }), "{error}");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let mut bytes = vec![b'a'; LEN as usize];
        bytes[900] = 0xff;
        let mut texts = Texts::new(Place::Batch(3), u64::from(LEN));
        let error = texts.check_views(&views(&bytes, 1)).unwrap_err();
        assert!(matches!(error, IpcError::Values { place: Place::Batch(3), .. }), "{error}");
    }

    /// Over the ends of what is copied at a time.
    #[test]
    fn texts_are_whole_wherever_they_lie() {
        let count = 2 * PIECE + 7;
        let data = "é".repeat(count).into_bytes();
        let offsets = |ends: &dyn Fn(usize) -> usize| -> Vec<u8> {
            (0..=count).flat_map(|text| u32::try_from(ends(text)).unwrap().to_le_bytes()).collect()
        };
        let texts = Texts::new(Place::Batch(3), data.len() as u64);
        let check = |offsets: &[u8], data: &[u8]| texts.check((offsets, 4), count, data);
        let whole = offsets(&|text| 2 * text);
        check(&whole, &data).unwrap();
        // Bytes before the first text and behind the last one are not checked.
        let within = offsets(&|text| 2 * text.clamp(1, count - 1));
        let mut framed = data.clone();
        (framed[0], framed[2 * count - 1]) = (0xff, 0xff);
        check(&within, &framed).unwrap();
        for wrong in [1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, count - 1] {
            check(&offsets(&|text| 2 * text - usize::from(text == wrong)), &data).unwrap_err();
            let mut data = data.clone();
            data[2 * wrong] = 0xff;
            check(&whole, &data).unwrap_err();
            // Ends that were changed since they were found to be in order.
            check(&offsets(&|text| if text == wrong { 0 } else { 2 * text }), &data).unwrap_err();
            check(&offsets(&|text| if text == wrong { 1 << 30 } else { 2 * text }), &data).unwrap_err();
        }
    }
}
