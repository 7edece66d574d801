//! Arrays as arrays of a type that takes all of their values.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeListArray, GenericListArray, LargeBinaryArray, LargeStringArray,
    MapArray, OffsetSizeTrait, StringArray, StructArray, new_null_array,
};
use arrow_buffer::OffsetBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, FieldRef, Fields};
use arrow_select::take::take;

use crate::lossless::places;

/// The dictionary that was made of another one last: batches share theirs, and so shall what is made of them.
#[derive(Default)]
pub(crate) struct Words(Option<(ArrayData, ArrayRef)>);

/// The array as one of `to`, which [`lossy`](crate::lossless::lossy) says takes its values. What is of that type is not
/// copied.
///
/// # Errors
/// If a value does not fit after all: keys, offsets and times have limits.
pub(crate) fn fit(array: &ArrayRef, to: &DataType, words: &mut Words) -> Result<ArrayRef, ArrowError> {
    use DataType::{FixedSizeList, LargeList, List, Map, Null, Struct};
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (Null, to) => Ok(new_null_array(to, array.len())),
        (Struct(given), Struct(wanted)) => {
            let places = places(wanted, given).ok_or_else(|| unfit(array.data_type(), to))?;
            let array = array.as_struct();
            let columns: Vec<&ArrayRef> = places.into_iter().map(|place| array.column(place)).collect();
            Ok(Arc::new(structs(array, &columns, wanted, words)?))
        }
        (List(_), List(item)) => lists::<i32, i32>(array, item, words),
        (List(_), LargeList(item)) => lists::<i32, i64>(array, item, words),
        (LargeList(_), List(item)) => lists::<i64, i32>(array, item, words),
        (LargeList(_), LargeList(item)) => lists::<i64, i64>(array, item, words),
        (FixedSizeList(..), FixedSizeList(item, size)) => {
            let list = array.as_fixed_size_list();
            let (values, nulls) = (fit(list.values(), item.data_type(), words)?, list.nulls().cloned());
            let (item, len) = (Arc::clone(item), list.len());
            Ok(Arc::new(FixedSizeListArray::try_new_with_length(item, *size, values, nulls, len)?))
        }
        (Map(..), Map(entries, sorted)) => {
            let map = array.as_map();
            let (offsets, given) = visible(map.offsets(), |from, len| map.entries().slice(from, len))?;
            let Struct(fields) = entries.data_type() else { return Err(unfit(array.data_type(), to)) };
            let columns: Vec<&ArrayRef> = given.columns().iter().collect();
            let (given, nulls) = (structs(&given, &columns, fields, words)?, map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, given, nulls, *sorted)?))
        }
        (_, to) => flat(array, to, words),
    }
}

/// Bytes of what [`fit`] makes, without what it shares, about: no less, and as much more as bits are.
pub(crate) fn bytes_of(array: &dyn Array, to: &DataType) -> u64 {
    use DataType::{Dictionary, FixedSizeList, LargeList, List, Map, Null, Struct};
    let len = array.len() as u64;
    match (array.data_type(), to) {
        (from, to) if from == to => 0,
        (Null, to) => null_bytes(to, len),
        (Struct(given), Struct(wanted)) => {
            let columns = places(wanted, given).unwrap_or_default();
            let columns = columns.into_iter().map(|place| array.as_struct().column(place));
            sum(columns.zip(wanted).map(|(column, field)| bytes_of(column, field.data_type())))
        }
        (List(_), List(item) | LargeList(item)) => list_bytes::<i32>(array, item),
        (LargeList(_), List(item) | LargeList(item)) => list_bytes::<i64>(array, item),
        (FixedSizeList(..), FixedSizeList(item, _)) => {
            bytes_of(array.as_fixed_size_list().values(), item.data_type())
        }
        (Map(..), Map(entries, _)) => {
            let (map, Struct(fields)) = (array.as_map(), entries.data_type()) else { return 0 };
            let (from, count) = span(map.offsets());
            let entries = map.entries().slice(from, count);
            let columns = entries.columns().iter().zip(fields);
            sum(columns.map(|(column, field)| bytes_of(column, field.data_type()))).saturating_add(4 * len)
        }
        // The words are made once: see `words_bytes`.
        (Dictionary(..), Dictionary(keys, _)) => len * width(keys),
        (_, Dictionary(keys, values)) => (len * width(keys)).saturating_add(flat_bytes(array, values)),
        (_, to) => flat_bytes(array, to),
    }
}

/// Bytes of what [`fit`] makes of the values of dictionaries, once for all that refer to them, about.
pub(crate) fn words_bytes(array: &dyn Array, to: &DataType) -> u64 {
    use DataType::{Dictionary, FixedSizeList, LargeList, List, Map, Struct};
    match (array.data_type(), to) {
        (from, to) if from == to => 0,
        (Struct(given), Struct(wanted)) => {
            let columns = places(wanted, given).unwrap_or_default();
            let columns = columns.into_iter().map(|place| array.as_struct().column(place));
            sum(columns.zip(wanted).map(|(column, field)| words_bytes(column, field.data_type())))
        }
        (List(_), List(item) | LargeList(item)) => {
            words_bytes(array.as_list::<i32>().values(), item.data_type())
        }
        (LargeList(_), List(item) | LargeList(item)) => {
            words_bytes(array.as_list::<i64>().values(), item.data_type())
        }
        (FixedSizeList(..), FixedSizeList(item, _)) => {
            words_bytes(array.as_fixed_size_list().values(), item.data_type())
        }
        (Map(..), Map(entries, _)) => {
            let Struct(fields) = entries.data_type() else { return 0 };
            let columns = array.as_map().entries().columns().iter().zip(fields);
            sum(columns.map(|(column, field)| words_bytes(column, field.data_type())))
        }
        (Dictionary(_, from), Dictionary(_, to)) if from == to => 0,
        (Dictionary(..), Dictionary(_, to)) => flat_bytes(array.as_any_dictionary().values(), to),
        (Dictionary(_, from), to) if **from != *to => flat_bytes(array.as_any_dictionary().values(), to),
        _ => 0,
    }
}

fn structs(
    array: &StructArray,
    columns: &[&ArrayRef],
    fields: &Fields,
    words: &mut Words,
) -> Result<StructArray, ArrowError> {
    let fitted = columns.iter().zip(fields).map(|(column, field)| fit(column, field.data_type(), words));
    let fitted = fitted.collect::<Result<Vec<_>, _>>()?;
    StructArray::try_new_with_length(fields.clone(), fitted, array.nulls().cloned(), array.len())
}

fn lists<I: OffsetSizeTrait, O: OffsetSizeTrait>(
    array: &ArrayRef,
    item: &FieldRef,
    words: &mut Words,
) -> Result<ArrayRef, ArrowError> {
    let list = array.as_list::<I>();
    let (offsets, values) = visible::<I, O, _>(list.offsets(), |from, len| list.values().slice(from, len))?;
    let (values, nulls) = (fit(&values, item.data_type(), words)?, list.nulls().cloned());
    Ok(Arc::new(GenericListArray::<O>::try_new(Arc::clone(item), offsets, values, nulls)?))
}

/// Offsets counted from 0, and what they span, which `slice` cuts out.
fn visible<I: OffsetSizeTrait, O: OffsetSizeTrait, T>(
    offsets: &OffsetBuffer<I>,
    slice: impl FnOnce(usize, usize) -> T,
) -> Result<(OffsetBuffer<O>, T), ArrowError> {
    let (first, len) = span(offsets);
    let counted = offsets.iter().map(|offset| O::from_usize(offset.as_usize() - first));
    let counted: Option<Vec<O>> = counted.collect();
    let counted = counted.ok_or_else(|| ArrowError::OffsetOverflowError(len))?;
    Ok((OffsetBuffer::new(counted.into()), slice(first, len)))
}

/// Of what is not nested.
fn flat(array: &ArrayRef, to: &DataType, words: &mut Words) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (DataType::Dictionary(_, from), DataType::Dictionary(_, values)) => {
            let dictionary = array.as_any_dictionary();
            let array = if from == values {
                Arc::clone(array)
            } else {
                dictionary.with_values(words.of(dictionary.values(), values)?)
            };
            strict(&array, to)
        }
        (DataType::Dictionary(..), to) => {
            let dictionary = array.as_any_dictionary();
            take(&words.of(dictionary.values(), to)?, dictionary.keys(), None)
        }
        (_, DataType::Dictionary(_, values)) => strict(&flat(array, values, &mut Words::default())?, to),
        // Arrow's own would take views of nulls for what they say, and offsets of slices for lengths.
        (DataType::Utf8View, DataType::Utf8) => {
            Ok(Arc::new(array.as_string_view().iter().collect::<StringArray>()))
        }
        (DataType::Utf8View, DataType::LargeUtf8) => {
            Ok(Arc::new(array.as_string_view().iter().collect::<LargeStringArray>()))
        }
        (DataType::LargeUtf8, DataType::Utf8) => {
            Ok(Arc::new(array.as_string::<i64>().iter().collect::<StringArray>()))
        }
        (DataType::BinaryView, DataType::Binary) => {
            Ok(Arc::new(array.as_binary_view().iter().collect::<BinaryArray>()))
        }
        (DataType::BinaryView, DataType::LargeBinary) => {
            Ok(Arc::new(array.as_binary_view().iter().collect::<LargeBinaryArray>()))
        }
        (DataType::LargeBinary, DataType::Binary) => {
            Ok(Arc::new(array.as_binary::<i64>().iter().collect::<BinaryArray>()))
        }
        (_, to) => strict(array, to),
    }
}

/// Arrow's cast, which has to keep every value.
fn strict(array: &dyn Array, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let cast = cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })?;
    let (before, after) = (array.logical_null_count(), cast.logical_null_count());
    if before == after {
        return Ok(cast);
    }
    Err(ArrowError::CastError(format!("the number of nulls was {before}, and would be {after}")))
}

impl Words {
    fn of(&mut self, words: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
        let data = words.to_data();
        if let Some((made_of, made)) = &self.0
            && made.data_type() == to
            && made_of.ptr_eq(&data)
        {
            return Ok(Arc::clone(made));
        }
        let made = flat(words, to, &mut Self::default())?;
        self.0 = Some((data, Arc::clone(&made)));
        Ok(made)
    }
}

fn list_bytes<I: OffsetSizeTrait>(array: &dyn Array, item: &FieldRef) -> u64 {
    let list = array.as_list::<I>();
    let (from, len) = span(list.offsets());
    let within = bytes_of(&list.values().slice(from, len), item.data_type());
    within.saturating_add(8 * (list.len() as u64 + 1))
}

/// Bytes of a flat array, which may be a dictionary, as one of a type that is flat and none.
fn flat_bytes(array: &dyn Array, to: &DataType) -> u64 {
    let len = array.len() as u64;
    let text = || text_bytes(array);
    match to {
        DataType::Utf8 | DataType::Binary => text().saturating_add(4 * (len + 1)),
        DataType::LargeUtf8 | DataType::LargeBinary => text().saturating_add(8 * (len + 1)),
        DataType::Utf8View | DataType::BinaryView => text().saturating_add(16 * len),
        DataType::FixedSizeBinary(size) => len.saturating_mul(u64::from(size.unsigned_abs())),
        DataType::Boolean => len.div_ceil(8),
        to => len * width(to),
    }
}

/// Bytes of all strings.
fn text_bytes(array: &dyn Array) -> u64 {
    match array.data_type() {
        DataType::Utf8 => span(array.as_string::<i32>().offsets()).1 as u64,
        DataType::LargeUtf8 => span(array.as_string::<i64>().offsets()).1 as u64,
        DataType::Binary => span(array.as_binary::<i32>().offsets()).1 as u64,
        DataType::LargeBinary => span(array.as_binary::<i64>().offsets()).1 as u64,
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let (keys, lengths) = (dictionary.keys(), text_lengths(dictionary.values()));
            if lengths.is_empty() {
                return 0;
            }
            let keys =
                dictionary.normalized_keys().into_iter().enumerate().filter(|(row, _)| keys.is_valid(*row));
            sum(keys.map(|(_, key)| lengths[key]))
        }
        _ => sum(text_lengths(array).into_iter()),
    }
}

/// Bytes of each string; none of what are no strings.
fn text_lengths(array: &dyn Array) -> Vec<u64> {
    match array.data_type() {
        DataType::Utf8 => steps(array.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => steps(array.as_string::<i64>().offsets()),
        DataType::Binary => steps(array.as_binary::<i32>().offsets()),
        DataType::LargeBinary => steps(array.as_binary::<i64>().offsets()),
        DataType::Utf8View => {
            array.as_string_view().iter().map(|text| text.map_or(0, |text| text.len() as u64)).collect()
        }
        DataType::BinaryView => {
            array.as_binary_view().iter().map(|bytes| bytes.map_or(0, |bytes| bytes.len() as u64)).collect()
        }
        DataType::FixedSizeBinary(size) => vec![u64::from(size.unsigned_abs()); array.len()],
        _ => Vec::new(),
    }
}

fn steps<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> Vec<u64> {
    offsets.windows(2).map(|ends| (ends[1].as_usize() - ends[0].as_usize()) as u64).collect()
}

/// Returns where what offsets span begins, and how long it is.
fn span<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (usize, usize) {
    let (first, last) = (offsets.first().as_usize(), offsets.last().as_usize());
    (first, last - first)
}

/// Bytes of an array of nulls alone.
fn null_bytes(to: &DataType, len: u64) -> u64 {
    let one = |count: u64, each: u64| count.saturating_mul(each);
    match to {
        DataType::Null => 0,
        DataType::Boolean => len.div_ceil(8),
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(..) => one(len + 1, 4),
        DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_) | DataType::ListView(_) => {
            one(len + 1, 8)
        }
        DataType::Utf8View | DataType::BinaryView | DataType::LargeListView(_) => one(len, 16),
        DataType::FixedSizeBinary(size) => one(len, u64::from(size.unsigned_abs())),
        DataType::FixedSizeList(item, size) => {
            null_bytes(item.data_type(), one(len, u64::from(size.unsigned_abs())))
        }
        DataType::Struct(fields) => sum(fields.iter().map(|field| null_bytes(field.data_type(), len))),
        DataType::Dictionary(keys, _) => one(len, width(keys)),
        flat => one(len, width(flat)),
    }
}

fn width(flat: &DataType) -> u64 {
    flat.primitive_width().unwrap_or(0) as u64
}

fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

fn unfit(from: &DataType, to: &DataType) -> ArrowError {
    ArrowError::CastError(format!("{from} is no {to}"))
}
