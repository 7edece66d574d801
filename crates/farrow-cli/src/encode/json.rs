//! JSON, of every type. It has no NaN and no infinities: these become null. An element of a union is an object with the
//! name of its field, and keys of maps are text.

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, MapArray, UnionArray};
use arrow_buffer::ArrowNativeType;
use arrow_cast::display::ArrayFormatter;
use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderFactory, EncoderOptions, WriterBuilder};
use arrow_schema::{ArrowError, DataType, FieldRef, UnionFields};

use super::text::{Key, dictionary, formatter, is_time};

/// Returns a builder of writers that name each null: also a value of a dictionary that is null.
pub(super) fn builder() -> WriterBuilder {
    WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(Encoders))
}

/// Makes encoders, in any depth, of what Arrow's own writer lacks: nulls among the values of dictionaries, times of any
/// number, unions, keys of maps that are no text.
#[derive(Debug)]
struct Encoders;

impl EncoderFactory for Encoders {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            r#type if is_time(r#type) => Box::new(Quoted(formatter(array)?)),
            DataType::Dictionary(..) => {
                let Some((key, values)) = dictionary(array) else { return Ok(None) };
                Box::new(Dictionary { key, values: make_encoder(field, values.as_ref(), options)? })
            }
            DataType::Union(fields, _) => Box::new(Union::new(fields, array.as_union(), options)?),
            DataType::Map(entries, _) => Box::new(Map::new(entries, array.as_map(), options)?),
            _ => return Ok(None),
        };
        // An element of a union is an object, and not null itself.
        let nulls = if array.as_union_opt().is_some() { None } else { array.logical_nulls() };
        Ok(Some(NullableEncoder::new(encoder, nulls)))
    }
}

/// Text that needs no escape.
struct Quoted<'a>(ArrayFormatter<'a>);

impl Encoder for Quoted<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = write!(out, "\"{}\"", self.0.value(row));
    }
}

struct Dictionary<'a> {
    key: Key<'a>,
    values: NullableEncoder<'a>,
}

impl Encoder for Dictionary<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        self.values.encode((self.key)(row), out);
    }
}

struct Union<'a> {
    array: &'a UnionArray,
    /// By the type's number: the name as JSON, and the values.
    children: Vec<Option<(Vec<u8>, NullableEncoder<'a>)>>,
}

impl<'a> Union<'a> {
    fn new(
        fields: &'a UnionFields,
        array: &'a UnionArray,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let mut children: Vec<_> = (0..=i8::MAX).map(|_| None).collect();
        for (id, field) in fields.iter() {
            let values = make_encoder(field, array.child(id).as_ref(), options)?;
            children[usize::from(id.unsigned_abs())] = Some((quoted(field.name()), values));
        }
        Ok(Self { array, children })
    }
}

impl Encoder for Union<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let id = usize::from(self.array.type_id(row).unsigned_abs());
        let at = self.array.value_offset(row);
        out.push(b'{');
        // The array was validated: its numbers are those of its fields.
        if let Some((name, values)) = &mut self.children[id] {
            out.extend_from_slice(name);
            out.push(b':');
            encode(values, at, out);
        }
        out.push(b'}');
    }
}

struct Map<'a> {
    array: &'a MapArray,
    keys: ArrayFormatter<'a>,
    values: NullableEncoder<'a>,
}

impl<'a> Map<'a> {
    fn new(
        entries: &'a FieldRef,
        array: &'a MapArray,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let keys = formatter(array.keys().as_ref())?;
        Ok(Self { array, keys, values: make_encoder(entries, array.values().as_ref(), options)? })
    }
}

impl Encoder for Map<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let offsets = self.array.value_offsets();
        let (first, end) = (offsets[row].as_usize(), offsets[row + 1].as_usize());
        out.push(b'{');
        for at in first..end {
            if at > first {
                out.push(b',');
            }
            out.extend_from_slice(&quoted(&self.keys.value(at).to_string()));
            out.push(b':');
            encode(&mut self.values, at, out);
        }
        out.push(b'}');
    }
}

fn encode(values: &mut NullableEncoder<'_>, row: usize, out: &mut Vec<u8>) {
    if values.is_null(row) {
        out.extend_from_slice(b"null");
    } else {
        values.encode(row, out);
    }
}

/// Text as JSON.
fn quoted(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}
