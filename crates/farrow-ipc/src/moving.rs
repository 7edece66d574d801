//! Validating bytes that somebody may write meanwhile.
//!
//! A byte may have another value at the next look. Arrow's validation reads most values once. Some that it reads again can
//! make it panic, or read outside the array. It is not shown those:
//!
//! | values | Arrow's | here |
//! |---|---|---|
//! | offsets, sizes, run ends, keys, views of bytes, bitmaps | each is read once, in bounds whatever it is | left to it |
//! | offsets of text | read once more, where the text is looked at | it is given bytes; [`texts`] |
//! | views of text | lengths that were added up before | it is given views of bytes; [`texts`] |
//! | type ids and offsets of unions | ids are read again as an index | it is given numbers; [`unions`] |
//! | nulls of dictionaries' values, of runs and of unions, which no field of a struct may have that is not nullable | keys, run ends, type ids and offsets are read again as indexes | it is not asked; [`nulls`] |
//! | fixed-size values | not looked at | [`values`] |
//!
//! This module copies values before it checks them, in pieces of a few KiB, and believes the copy. It makes no array of
//! the values, since that may read them again.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_buffer::{Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, FieldRef};

use crate::column::{self, Column, Layout as Parts};
use crate::decode::{self, Body, Values, panic_message};
use crate::error::IpcError;
use crate::file_bytes::{FileBytes, Unsealed};
use crate::footer::Block;
use crate::layout::Layout;
use crate::message::BatchHeader;
use crate::problem::Place;
use crate::schema::dictionary_id;
use crate::values::{self, Dictionaries};

mod nulls;
mod texts;
mod types;
mod unions;

use texts::Texts;

/// Validates all values of a file of this layout, for as long as `goes_on` says so, which is asked before each batch.
pub(crate) fn validate(
    layout: &Layout,
    bytes: &Buffer,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<(), IpcError> {
    decode::check(bytes, layout.file_len())?;
    let metadata = Unsealed(bytes);
    let mut dictionaries = HashMap::with_capacity(layout.dictionaries().len());
    for (index, block) in layout.dictionaries().iter().enumerate() {
        let block = block.in_memory();
        let metadata = metadata.piece(block.metadata())?;
        let known = |id| dictionaries.contains_key(&id);
        let dictionary = layout.dictionary_header(&metadata, &block, index, &known)?;
        let message = Message { layout, bytes, block: &block, place: Place::Dictionary(index) };
        let field = Arc::new(dictionary.values);
        let found = message.check(&dictionary.header, &[field], &dictionary.views, &dictionaries, true)?;
        if let Some(values) = found.into_iter().next() {
            dictionaries.insert(dictionary.id, values);
        }
    }
    for (index, block) in layout.batches().iter().enumerate() {
        if !goes_on() {
            return Err(IpcError::Ended);
        }
        let block = block.in_memory();
        let metadata = metadata.piece(block.metadata())?;
        let known = |id| dictionaries.contains_key(&id);
        let (header, views) = layout.batch_header(&metadata, &block, index, &known)?;
        let message = Message { layout, bytes, block: &block, place: Place::Batch(index) };
        message.check(&header, layout.schema().fields(), &views, &dictionaries, false)?;
    }
    Ok(())
}

/// A message whose structure was checked.
struct Message<'a> {
    layout: &'a Layout,
    bytes: &'a Buffer,
    block: &'a Block,
    place: Place,
}

/// An array whose values were validated.
struct Checked {
    /// As Arrow was given it.
    data: ArrayData,
    /// The elements that are null, those included that are so by what they refer to; where it was asked for.
    nulls: Option<NullBuffer>,
}

impl Message<'_> {
    /// Validates the columns, which refer to no null where they are not nullable; with their nulls, if they are asked for.
    fn check(
        &self,
        header: &BatchHeader<'_>,
        fields: &[FieldRef],
        views: &[Range<usize>],
        dictionaries: &HashMap<i64, Checked>,
        nulls: bool,
    ) -> Result<Vec<Checked>, IpcError> {
        let Self { layout, bytes, block, place } = *self;
        let len = layout.file_len();
        let body = Body { bytes: decode::body(bytes, block.body()), place, values: Values::Unproved };
        body.check_views(block, views, len)?;
        let dictionary_len =
            |id| dictionaries.get(&id).map_or(0, |values: &Checked| values.data.len() as u64);
        let columns = column::read(header, block, place, fields, &dictionary_len)?;
        let check = || {
            let mut texts = Texts::new(place, len);
            let numbered = columns.iter().enumerate();
            numbered
                .map(|(column, array)| {
                    let arrays = Arrays { bytes, dictionaries, place, column, texts: &mut texts };
                    let field = &array.field;
                    let strict = !field.is_nullable() && nulls::by_reference(field.data_type());
                    let checked = arrays.top(array, nulls || strict)?;
                    let found = checked.nulls.as_ref().map_or(0, NullBuffer::null_count);
                    if strict && found > 0 {
                        let source = ArrowError::InvalidArgumentError(values::unexpected_nulls(field, found));
                        return Err(IpcError::Values { place, source });
                    }
                    Ok(checked)
                })
                .collect::<Result<Vec<_>, _>>()
        };
        // Nothing is known to panic in it. What it was at is dropped with it.
        catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
            Err(IpcError::DecoderPanicked { place, message: panic_message(panic.as_ref()) })
        })
    }
}

/// The arrays of one column.
struct Arrays<'a> {
    bytes: &'a Buffer,
    dictionaries: &'a HashMap<i64, Checked>,
    place: Place,
    column: usize,
    texts: &'a mut Texts,
}

impl Arrays<'_> {
    fn top(mut self, column: &Column, nulls: bool) -> Result<Checked, IpcError> {
        let checked = self.array(column, nulls)?;
        self.restrict(column, &checked.data)?;
        Ok(checked)
    }

    /// An array and those in it, with its nulls, if they are asked for.
    fn array(&mut self, column: &Column, nulls: bool) -> Result<Checked, IpcError> {
        let Column { field, len, layout, .. } = column;
        let data_type = types::as_given(field.data_type());
        let (mut buffers, mut children, mut found) = (Vec::new(), Vec::new(), None);
        match layout {
            Parts::Null => found = nulls.then(|| NullBuffer::new_null(*len)),
            Parts::Bits(values) | Parts::Fixed { values, .. } => buffers.push(self.slice(values)),
            Parts::Keys { keys, .. } => {
                buffers.push(self.slice(keys));
                children.push(self.dictionary(field, &data_type));
            }
            Parts::Bytes { offsets, data } => {
                buffers.extend([&offsets.bytes, data].map(|part| self.slice(part)));
            }
            Parts::Views { views, data } => {
                buffers.push(self.slice(views));
                buffers.extend(data.iter().map(|part| self.slice(part)));
            }
            Parts::List { offsets, child, .. } => {
                buffers.push(self.slice(&offsets.bytes));
                children.push(self.array(child, false)?.data);
            }
            Parts::ListView { offsets, sizes, child, .. } => {
                buffers.extend([&offsets.bytes, sizes].map(|part| self.slice(part)));
                children.push(self.array(child, false)?.data);
            }
            Parts::FixedList { child, .. } => children.push(self.array(child, false)?.data),
            Parts::Struct(fields) => return self.structure(column, data_type, fields),
            Parts::SparseUnion { ids, children } => {
                let children = children.iter().map(|(id, child)| (*id, child));
                found = self.union(column, ids, None, children, nulls)?;
                buffers.push(self.slice(ids));
            }
            Parts::DenseUnion { ids, offsets, children } => {
                let children = children.iter().map(|(id, _, child)| (*id, child));
                found = self.union(column, ids, Some(&offsets.bytes), children, nulls)?;
                buffers.push(self.slice(ids));
            }
            Parts::Runs { ends, count, values } => {
                let values = self.array(values, nulls)?;
                if let (true, Some(of_values)) = (nulls, &values.nulls) {
                    let ends = (&self.bytes[ends.bytes.clone()], ends.width);
                    found =
                        Some(nulls::of_runs(ends, *count, of_values, *len).map_err(|why| self.refuse(why))?);
                }
                let ends = ArrayData::builder(types::run_ends(&data_type))
                    .len(*count)
                    .add_buffer(self.slice(&ends.bytes));
                children.extend([self.build(ends)?, values.data]);
            }
        }
        let data = self.build(self.builder(column, data_type).buffers(buffers).child_data(children))?;
        self.look_at(column, &data)?;
        if nulls && found.is_none() {
            found = self.nulls(column, &data)?;
        }
        Ok(Checked { data, nulls: found })
    }

    /// An array of structs: a field that is not nullable has nulls only where they have.
    fn structure(
        &mut self,
        column: &Column,
        data_type: DataType,
        fields: &[Column],
    ) -> Result<Checked, IpcError> {
        let asked =
            |field: &Column| !field.field.is_nullable() && nulls::by_reference(field.field.data_type());
        let checked: Vec<Checked> =
            fields.iter().map(|field| self.array(field, asked(field))).collect::<Result<_, _>>()?;
        let children = checked.iter().map(|child| child.data.clone()).collect();
        let data = self.build(self.builder(column, data_type).child_data(children))?;
        for (field, child) in fields.iter().zip(&checked).filter(|(field, _)| asked(field)) {
            let (own, mask) = (child.nulls.as_ref(), data.nulls());
            if own.is_some_and(|own| own.null_count() > 0 && mask.is_none_or(|mask| !mask.contains(own))) {
                let name = field.field.name();
                return Err(
                    self.refuse(format!("Found unmasked nulls for non-nullable struct field {name:?}"))
                );
            }
        }
        let nulls = data.nulls().cloned();
        Ok(Checked { data, nulls })
    }

    /// Looks at what of an array Arrow does not look at.
    fn look_at(&mut self, column: &Column, data: &ArrayData) -> Result<(), IpcError> {
        match (&column.layout, column.field.data_type()) {
            (Parts::Bytes { offsets, data }, DataType::Utf8 | DataType::LargeUtf8) => {
                let offsets = (&self.bytes[offsets.bytes.clone()], offsets.width);
                self.texts.check(offsets, column.len, &self.bytes[data.clone()])
            }
            (Parts::Views { .. }, DataType::Utf8View) => self.texts.check_views(data),
            _ => Ok(()),
        }
    }

    /// The nulls of an array that is not of structs, runs or a union.
    fn nulls(&self, column: &Column, data: &ArrayData) -> Result<Option<NullBuffer>, IpcError> {
        let Parts::Keys { keys, width, .. } = &column.layout else { return Ok(data.nulls().cloned()) };
        let values = dictionary_id(&column.field).and_then(|id| self.dictionaries.get(&id));
        let Some(of_values) = values.and_then(|values| values.nulls.as_ref()) else {
            return Ok(data.nulls().cloned());
        };
        let keys = (&self.bytes[keys.clone()], *width);
        Ok(Some(nulls::of_keys(keys, column.len, data.nulls(), of_values)))
    }

    /// Refuses values that the format rules out, of an array that is in no other one, or in a union.
    fn restrict(&self, column: &Column, data: &ArrayData) -> Result<(), IpcError> {
        values::check_column(&column.field, data, self.place, self.column, Dictionaries::Checked)
    }

    fn dictionary(&self, field: &FieldRef, data_type: &DataType) -> ArrayData {
        let values = dictionary_id(field).and_then(|id| self.dictionaries.get(&id));
        // Its message is there: that is a part of the structure.
        values.map_or_else(|| ArrayData::new_empty(&types::words(data_type)), |values| values.data.clone())
    }

    fn builder(&self, column: &Column, data_type: DataType) -> arrow_data::ArrayDataBuilder {
        let bitmap = column.validity.as_ref().map(|bitmap| self.slice(bitmap));
        ArrayData::builder(data_type).len(column.len).null_bit_buffer(bitmap).null_count(column.nulls)
    }

    fn build(&self, builder: arrow_data::ArrayDataBuilder) -> Result<ArrayData, IpcError> {
        let built = builder.align_buffers(true).build();
        built.map_err(|source| IpcError::Values { place: self.place, source })
    }

    fn slice(&self, part: &Range<usize>) -> Buffer {
        self.bytes.slice_with_length(part.start, part.len())
    }

    fn refuse(&self, why: String) -> IpcError {
        IpcError::Values { place: self.place, source: ArrowError::InvalidArgumentError(why) }
    }
}
