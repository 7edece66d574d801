//! Checks beyond the verifiers of flatbuffers in Rust and in C++: metadata that passes is read by both.

use arrow_ipc::{
    DictionaryBatch, DictionaryEncoding, Field, Footer, KeyValue, Message, RecordBatch, Schema, Timestamp,
    Union,
};
use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use flatbuffers::{ForwardsUOffset, Table, VOffsetT, Vector};

use crate::error::IpcError;
use crate::problem::{MetadataProblem, Place};

type Fields<'a> = Vector<'a, ForwardsUOffset<Field<'a>>>;
type KeyValues<'a> = Vector<'a, ForwardsUOffset<KeyValue<'a>>>;

/// Checks a footer, its schema included.
pub(crate) fn check_footer(footer: &Footer<'_>) -> Result<(), IpcError> {
    let slots =
        [Footer::VT_SCHEMA, Footer::VT_DICTIONARIES, Footer::VT_RECORDBATCHES, Footer::VT_CUSTOM_METADATA];
    offsets("footer", footer._tab, &slots)
        .and_then(|()| key_values("footer", footer.custom_metadata()))
        .map_err(|problem| IpcError::Metadata { place: Place::Footer, problem })?;
    footer.schema().map_or(Ok(()), |schema| check_schema(schema, Place::Footer))
}

/// Checks a message of any kind.
pub(crate) fn check_message(message: &Message<'_>, place: Place) -> Result<(), IpcError> {
    offsets("message", message._tab, &[Message::VT_HEADER, Message::VT_CUSTOM_METADATA])
        .and_then(|()| key_values("message", message.custom_metadata()))
        .and_then(|()| {
            let dictionary = message.header_as_dictionary_batch();
            if let Some(dictionary) = dictionary {
                offsets("dictionary batch", dictionary._tab, &[DictionaryBatch::VT_DATA])?;
            }
            let batch = message.header_as_record_batch();
            batch.or_else(|| dictionary?.data()).map_or(Ok(()), |batch| record_batch(&batch))
        })
        .map_err(|problem| IpcError::Metadata { place, problem })?;
    message.header_as_schema().map_or(Ok(()), |schema| check_schema(schema, place))
}

fn record_batch(batch: &RecordBatch<'_>) -> Result<(), MetadataProblem> {
    let slots = [
        RecordBatch::VT_NODES,
        RecordBatch::VT_BUFFERS,
        RecordBatch::VT_COMPRESSION,
        RecordBatch::VT_VARIADICBUFFERCOUNTS,
    ];
    offsets("record batch", batch._tab, &slots)
}

fn check_schema(schema: Schema<'_>, place: Place) -> Result<(), IpcError> {
    let slots = [Schema::VT_FIELDS, Schema::VT_CUSTOM_METADATA, Schema::VT_FEATURES];
    offsets("schema", schema._tab, &slots)
        .and_then(|()| key_values("schema", schema.custom_metadata()))
        .and_then(|()| fields(schema.fields()))
        .map_err(|problem| IpcError::Metadata { place, problem })
}

fn fields(all: Option<Fields<'_>>) -> Result<(), MetadataProblem> {
    for field in all.iter().flatten() {
        let slots = [
            Field::VT_NAME,
            Field::VT_TYPE_,
            Field::VT_DICTIONARY,
            Field::VT_CHILDREN,
            Field::VT_CUSTOM_METADATA,
        ];
        offsets("field", field._tab, &slots)?;
        // Where a type of an unknown kind lies nobody has looked: it is not followed.
        if field._tab.vtable().get(Field::VT_TYPE_) == 0 {
            return Err(MetadataProblem::NoType { field: field.name().unwrap_or_default().to_owned() });
        }
        if let Some(timestamp) = field.type_as_timestamp() {
            offsets("timestamp", timestamp._tab, &[Timestamp::VT_TIMEZONE])?;
        }
        if let Some(union) = field.type_as_union() {
            offsets("union", union._tab, &[Union::VT_TYPEIDS])?;
        }
        if let Some(dictionary) = field.dictionary() {
            offsets("dictionary encoding", dictionary._tab, &[DictionaryEncoding::VT_INDEXTYPE])?;
        }
        key_values("field", field.custom_metadata())?;
        one_extension(&field)?;
        fields(field.children())?;
    }
    Ok(())
}

/// An offset of zero leads to itself. C++ refuses it; Rust takes the four zero bytes for an empty vector or text.
fn offsets(table: &'static str, found: Table<'_>, slots: &[VOffsetT]) -> Result<(), MetadataProblem> {
    let vtable = found.vtable();
    let is_zero = |slot: &VOffsetT| {
        let at = found.loc() + usize::from(vtable.get(*slot));
        at > found.loc() && found.buf().get(at..at + 4) == Some(&[0; 4])
    };
    if slots.iter().any(is_zero) { Err(MetadataProblem::ZeroOffset { table }) } else { Ok(()) }
}

fn key_values(table: &'static str, pairs: Option<KeyValues<'_>>) -> Result<(), MetadataProblem> {
    for pair in pairs.iter().flatten() {
        offsets("key-value pair", pair._tab, &[KeyValue::VT_KEY, KeyValue::VT_VALUE])?;
        let missing = |missing| Err(MetadataProblem::KeyValue { table, missing });
        if pair.key().is_none() {
            return missing("a key");
        }
        if pair.value().is_none() {
            return missing("a value");
        }
    }
    Ok(())
}

/// Of two entries with one key, Rust takes the last and C++ the first: an extension type must not depend on that.
fn one_extension(field: &Field<'_>) -> Result<(), MetadataProblem> {
    for key in [EXTENSION_TYPE_NAME_KEY, EXTENSION_TYPE_METADATA_KEY] {
        let pairs = field.custom_metadata();
        if pairs.iter().flatten().filter(|pair| pair.key() == Some(key)).count() > 1 {
            let field = field.name().unwrap_or_default().to_owned();
            return Err(MetadataProblem::ExtensionTwice { field, key });
        }
    }
    Ok(())
}
