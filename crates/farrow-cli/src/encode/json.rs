//! JSON. It has no NaN and no infinities: these become null.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderFactory, EncoderOptions, WriterBuilder};
use arrow_schema::{ArrowError, FieldRef};

/// Returns a builder of writers that name each null: also a value of a dictionary that is null.
pub(super) fn builder() -> WriterBuilder {
    WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(Dictionaries))
}

/// Makes encoders of dictionaries, in any depth. Arrow's own encoder looks at the nulls of the keys alone.
#[derive(Debug)]
struct Dictionaries;

impl EncoderFactory for Dictionaries {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let Some(dictionary) = array.as_any_dictionary_opt() else { return Ok(None) };
        let values = make_encoder(field, dictionary.values().as_ref(), options)?;
        // Without values all keys are null.
        let keys = if dictionary.values().is_empty() { Vec::new() } else { dictionary.normalized_keys() };
        Ok(Some(NullableEncoder::new(Box::new(Dictionary { keys, values }), array.logical_nulls())))
    }
}

struct Dictionary<'a> {
    keys: Vec<usize>,
    values: NullableEncoder<'a>,
}

impl Encoder for Dictionary<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        self.values.encode(self.keys[row], out);
    }
}
