//! Files and streams whose parts contradict each other, and values of the other byte order.

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_ipc::{
    Endianness, FieldBuilder, FooterBuilder, IntBuilder, MessageBuilder, MessageHeader, MetadataVersion,
    Schema as FbSchema, SchemaBuilder, Type,
};
use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::*;

fn batch(words: &[&str]) -> RecordBatch {
    let words: DictionaryArray<Int32Type> = words.iter().copied().collect();
    RecordBatch::try_from_iter([("word", Arc::new(words) as ArrayRef)]).unwrap()
}

fn file(batches: usize) -> Vec<u8> {
    let rows = batch(&["a", "b"]);
    let mut writer = FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    (0..batches).for_each(|_| writer.write(&rows).unwrap());
    writer.into_inner().unwrap()
}

fn stream(batches: usize) -> Vec<u8> {
    let rows = batch(&["a", "b"]);
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    (0..batches).for_each(|_| writer.write(&rows).unwrap());
    writer.into_inner().unwrap()
}

fn read(bytes: &[u8]) -> Result<usize, String> {
    let reader = IpcReader::open(bytes, "a").map_err(|error| error.to_string())?;
    reader
        .map(|batch| batch.map(|batch| batch.num_rows()))
        .sum::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// A file up to its footer, and that.
fn split(file: &[u8]) -> (&[u8], &[u8]) {
    let tail = file.len() - FOOTER_TAIL;
    let len = i32::from_le_bytes(file[tail..tail + 4].try_into().unwrap());
    file.split_at(tail - usize::try_from(len).unwrap())
}

/// One column of 32-bit numbers.
fn schema(fbb: &mut FlatBufferBuilder<'static>, endianness: Endianness) -> WIPOffset<FbSchema<'static>> {
    let name = fbb.create_string("x");
    let mut number = IntBuilder::new(fbb);
    number.add_bitWidth(32);
    number.add_is_signed(true);
    let number = number.finish().as_union_value();
    let children = fbb.create_vector::<WIPOffset<arrow_ipc::Field<'_>>>(&[]);
    let mut field = FieldBuilder::new(fbb);
    field.add_name(name);
    field.add_type_type(Type::Int);
    field.add_type_(number);
    field.add_children(children);
    let field = field.finish();
    let fields = fbb.create_vector(&[field]);
    let mut schema = SchemaBuilder::new(fbb);
    schema.add_fields(fields);
    schema.add_endianness(endianness);
    schema.finish()
}

/// The first message of a stream, or of a file behind its magic.
fn schema_message(endianness: Endianness) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let schema = schema(&mut fbb, endianness).as_union_value();
    let mut message = MessageBuilder::new(&mut fbb);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::Schema);
    message.add_header(schema);
    let message = message.finish();
    fbb.finish(message, None);
    let mut metadata = fbb.finished_data().to_vec();
    metadata.resize(metadata.len().next_multiple_of(8), 0);
    [&CONTINUATION[..], &u32::try_from(metadata.len()).unwrap().to_le_bytes(), &metadata].concat()
}

fn footer(endianness: Endianness) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let schema = schema(&mut fbb, endianness);
    let batches = fbb.create_vector::<arrow_ipc::Block>(&[]);
    let mut footer = FooterBuilder::new(&mut fbb);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_recordBatches(batches);
    let footer = footer.finish();
    fbb.finish(footer, None);
    let footer = fbb.finished_data();
    [footer, &u32::try_from(footer.len()).unwrap().to_le_bytes(), IPC_FILE].concat()
}

#[test]
fn the_other_byte_order_is_refused_wherever_it_stands() {
    let message = schema_message;
    let stream = |endianness| [message(endianness), END.to_vec()].concat();
    let file = |first, last| [b"ARROW1\0\0", message(first).as_slice(), &END, &footer(last)].concat();
    assert_eq!(read(&stream(Endianness::Little)), Ok(0));
    assert_eq!(read(&file(Endianness::Little, Endianness::Little)), Ok(0));
    for bytes in [
        stream(Endianness::Big),
        message(Endianness::Big),
        file(Endianness::Big, Endianness::Big),
        file(Endianness::Big, Endianness::Little),
        file(Endianness::Little, Endianness::Big),
    ] {
        let error = read(&bytes).unwrap_err();
        assert!(
            error.contains("big-endian") && error.contains("pyarrow.ipc.open_stream(path).read_all()"),
            "{error}"
        );
    }
}

#[test]
fn a_footer_says_what_the_messages_say() {
    let (three, two) = (file(3), file(2));
    assert_eq!(read(&three), Ok(6));
    assert_eq!(read(&file(0)), Ok(0));
    let mixed = |messages: &[u8], footer: &[u8]| [split(messages).0, split(footer).1].concat();
    assert_eq!(read(&mixed(&three, &three)), Ok(6));
    let told = "2 messages of kind record batch, and there are 3";
    assert!(read(&mixed(&three, &two)).unwrap_err().contains(told));
    assert!(
        read(&mixed(&two, &three)).unwrap_err().contains("3 messages of kind record batch, and there are 2")
    );
    let none = mixed(&three, &file(0));
    assert!(read(&none).unwrap_err().contains("0 messages of kind record batch, and there are 3"));
    let other = [split(&three).0, &footer(Endianness::Little)].concat();
    assert!(read(&other).unwrap_err().contains("another schema"));

    // The first two batches in the other order.
    let (messages, footer) = split(&three);
    let blocks =
        arrow_ipc::root_as_footer(&footer[..footer.len() - FOOTER_TAIL]).unwrap().recordBatches().unwrap();
    let [first, second] = [0, 1].map(|index| blocks.get(index).offset().to_le_bytes());
    let place = |offset: [u8; 8]| footer.windows(8).position(|bytes| bytes == offset).unwrap();
    let mut swapped = footer.to_vec();
    swapped[place(first)..][..8].copy_from_slice(&second);
    swapped[place(second)..][..8].copy_from_slice(&first);
    let error = read(&[messages, &swapped].concat()).unwrap_err();
    assert!(error.contains("its footer says that record batch 0 is at byte"), "{error}");
}

#[test]
fn nothing_behind_the_end_of_a_stream_is_passed_over() {
    let one = stream(2);
    assert_eq!(read(&one), Ok(4));
    assert_eq!(read(&[one.as_slice(), &[0; 100]].concat()), Ok(4), "zeros are no rows");
    // The format lets a stream end without its mark.
    let unmarked = &one[..one.len() - END.len()];
    assert_eq!(read(unmarked), Ok(4));
    for part in 1..END.len() {
        let error = read(&one[..unmarked.len() + part]).unwrap_err();
        assert!(error.contains("ends too early: written only in part"), "{error}");
    }
    for behind in [&one[..], &[0, 0, 0, 1]] {
        let error = read(&[&one, behind].concat()).unwrap_err();
        assert!(error.contains("goes on behind the end of the stream: several streams"), "{error}");
    }
}
