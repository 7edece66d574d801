//! Files put together by hand, so that any number in them can be wrong.

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::DictionaryTracker;
use arrow_ipc::{
    Block, BodyCompressionBuilder, Buffer, DictionaryBatchBuilder, FieldNode, FooterBuilder, MessageBuilder,
    MessageHeader, MetadataVersion, RecordBatchBuilder, Schema as FbSchema,
};
use arrow_schema::Schema;
use flatbuffers::{FlatBufferBuilder, WIPOffset};

/// A record batch or dictionary batch. Each field goes into the file as it is.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) dictionary: Option<(i64, bool)>,
    pub(crate) version: MetadataVersion,
    pub(crate) rows: i64,
    pub(crate) nodes: Vec<(i64, i64)>,
    pub(crate) buffers: Vec<(i64, i64)>,
    pub(crate) variadic: Vec<i64>,
    pub(crate) compressed: bool,
    pub(crate) body: Vec<u8>,
    /// The length of its body, as the message says.
    pub(crate) body_len: i64,
}

impl Message {
    pub(crate) fn batch(rows: i64, nodes: &[(i64, i64)], buffers: &[(i64, i64)], body: Vec<u8>) -> Self {
        Self {
            dictionary: None,
            version: MetadataVersion::V5,
            rows,
            nodes: nodes.to_vec(),
            buffers: buffers.to_vec(),
            variadic: vec![],
            compressed: false,
            body_len: i64::try_from(body.len()).unwrap(),
            body,
        }
    }

    /// The metadata as in the file: prefix, flatbuffer, padding to 64 bytes.
    fn metadata(&self) -> Vec<u8> {
        let mut fbb = FlatBufferBuilder::new();
        let buffers: Vec<_> = self.buffers.iter().map(|(offset, len)| Buffer::new(*offset, *len)).collect();
        let nodes: Vec<_> = self.nodes.iter().map(|(len, nulls)| FieldNode::new(*len, *nulls)).collect();
        let (buffers, nodes) = (fbb.create_vector(&buffers), fbb.create_vector(&nodes));
        let variadic = fbb.create_vector(&self.variadic);
        let compression = self.compressed.then(|| BodyCompressionBuilder::new(&mut fbb).finish());
        let mut batch = RecordBatchBuilder::new(&mut fbb);
        batch.add_length(self.rows);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        batch.add_variadicBufferCounts(variadic);
        if let Some(compression) = compression {
            batch.add_compression(compression);
        }
        let batch = batch.finish();
        let (header, kind) = match self.dictionary {
            None => (batch.as_union_value(), MessageHeader::RecordBatch),
            Some((id, delta)) => {
                let mut dictionary = DictionaryBatchBuilder::new(&mut fbb);
                dictionary.add_id(id);
                dictionary.add_data(batch);
                dictionary.add_isDelta(delta);
                (dictionary.finish().as_union_value(), MessageHeader::DictionaryBatch)
            }
        };
        let mut message = MessageBuilder::new(&mut fbb);
        message.add_version(self.version);
        message.add_header_type(kind);
        message.add_header(header);
        message.add_bodyLength(self.body_len);
        let message = message.finish();
        fbb.finish(message, None);
        let flatbuffer = fbb.finished_data();
        let len = (8 + flatbuffer.len()).next_multiple_of(64) - 8;
        let mut bytes = vec![0xff; 4];
        bytes.extend(i32::try_from(len).unwrap().to_le_bytes());
        bytes.extend(flatbuffer);
        bytes.resize(8 + len, 0);
        bytes
    }
}

/// A file of these messages.
pub(crate) fn file(schema: &Schema, dictionaries: &[Message], batches: &[Message]) -> Vec<u8> {
    file_with(encoder(schema), dictionaries, batches, |_| ())
}

/// A file whose schema and whose blocks of record batches are as wrong as asked for.
pub(crate) fn file_with(
    schema: impl Fn(&mut FlatBufferBuilder<'static>) -> WIPOffset<FbSchema<'static>>,
    dictionaries: &[Message],
    batches: &[Message],
    tweak: impl Fn(&mut Vec<Block>),
) -> Vec<u8> {
    let mut bytes = b"ARROW1".to_vec();
    bytes.resize(64, 0);
    let mut put = |message: &Message| {
        let (metadata, position) = (message.metadata(), i64::try_from(bytes.len()).unwrap());
        bytes.extend(&metadata);
        bytes.extend(&message.body);
        let metadata_len = i32::try_from(metadata.len()).unwrap();
        Block::new(position, metadata_len, i64::try_from(message.body.len()).unwrap())
    };
    let dictionaries: Vec<Block> = dictionaries.iter().map(&mut put).collect();
    let mut batches: Vec<Block> = batches.iter().map(&mut put).collect();
    tweak(&mut batches);

    let mut fbb = FlatBufferBuilder::new();
    let schema = schema(&mut fbb);
    let (dictionaries, batches) = (fbb.create_vector(&dictionaries), fbb.create_vector(&batches));
    let mut footer = FooterBuilder::new(&mut fbb);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(batches);
    let footer = footer.finish();
    fbb.finish(footer, None);
    let footer = fbb.finished_data();
    bytes.extend(footer);
    bytes.extend(i32::try_from(footer.len()).unwrap().to_le_bytes());
    bytes.extend(b"ARROW1");
    bytes
}

/// Puts an honest schema into a file.
pub(crate) fn encoder(
    schema: &Schema,
) -> impl Fn(&mut FlatBufferBuilder<'static>) -> WIPOffset<FbSchema<'static>> {
    move |fbb| {
        let mut tracker = DictionaryTracker::new(false);
        IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker).schema_to_fb_offset(fbb, schema)
    }
}
