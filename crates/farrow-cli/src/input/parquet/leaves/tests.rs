//! Files whose Arrow schema asks for more than Arrow's reader can do, and files that have none.

use std::io::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Float32Array, ListArray, RecordBatch,
    RecordBatchReader as _, StringArray, StructArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_cast::cast;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;
use crate::input::Source;
use crate::progress::Progress;

fn stored(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn read(bytes: &[u8]) -> RecordBatch {
    let mut rows = super::super::open(Source::File(stored(bytes)), &Progress::hidden()).unwrap();
    let schema = rows.schema();
    let batch = rows.next().unwrap().unwrap();
    assert_eq!(batch.schema(), schema);
    batch
}

/// Returns a file of these values whose Arrow schema has another type for them.
fn declared(column: &ArrayRef, r#type: DataType) -> Vec<u8> {
    let schema = |r#type| Arc::new(Schema::new(vec![Field::new("c", r#type, true)]));
    let mut properties = WriterProperties::builder().build();
    add_encoded_arrow_schema_to_metadata(&schema(r#type), &mut properties);
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let rows = RecordBatch::try_new(schema(column.data_type().clone()), vec![column.clone()]).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), rows.schema(), options).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

fn dictionary(values: &DataType) -> DataType {
    DataType::Dictionary(Box::new(DataType::Int8), Box::new(values.clone()))
}

fn item(r#type: &DataType) -> FieldRef {
    Arc::new(Field::new("item", r#type.clone(), true))
}

#[test]
fn dictionaries_that_cannot_be_read_are_their_values() {
    let truths = BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]);
    let amounts = Decimal128Array::from(vec![Some(110), None, Some(220), Some(110)]);
    let amounts = |precision| amounts.clone().with_precision_and_scale(precision, 2).unwrap();
    let large = cast(&amounts(30), &DataType::Decimal256(50, 2)).unwrap();
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.5), None, Some(2.0), Some(1.5)]));
    let halves = cast(&floats, &DataType::Float16).unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]));
    let columns: [(ArrayRef, bool); 7] = [
        (Arc::new(truths), false),
        (Arc::new(amounts(30)), false),
        (large, false),
        (halves, false),
        // Dictionaries that can be read stay dictionaries.
        (Arc::new(amounts(5)), true),
        (floats, true),
        (texts, true),
    ];
    for (column, stays) in columns {
        let values = column.data_type().clone();
        let wanted = if stays { dictionary(&values) } else { values.clone() };
        let flat = read(&declared(&column, dictionary(&values)));
        assert_eq!(flat.column(0).data_type(), &wanted);
        assert_eq!(&cast(flat.column(0), &values).unwrap(), &column);

        let list: ArrayRef =
            Arc::new(ListArray::new(item(&values), OffsetBuffer::from_lengths([1, 3]), column.clone(), None));
        let lists = read(&declared(&list, DataType::List(item(&dictionary(&values)))));
        assert_eq!(lists.column(0).data_type(), &DataType::List(item(&wanted)));
        assert_eq!(&cast(lists.column(0).as_list::<i32>().values(), &values).unwrap(), &column);

        let structs: ArrayRef =
            Arc::new(StructArray::new(vec![item(&values)].into(), vec![column.clone()], None));
        let structs = read(&declared(&structs, DataType::Struct(vec![item(&dictionary(&values))].into())));
        assert_eq!(&cast(structs.column(0).as_struct().column(0), &values).unwrap(), &column);
    }
}

/// Writers that know nothing of Arrow leave the logical types alone.
#[test]
fn uuids_and_json_without_an_arrow_schema_are_so() {
    let message = "message m {
        required fixed_len_byte_array(16) u (UUID);
        required binary j (JSON);
        required fixed_len_byte_array(16) plain;
        optional group l (LIST) { repeated group list { optional fixed_len_byte_array(16) element (UUID); } }
    }";
    let (schema, properties) = (Arc::new(parse_message_type(message).unwrap()), Arc::default());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (column, levels) in [(0, None), (1, None), (2, None), (3, Some(3))] {
        let (definition, repetition) = (levels.map(|level| [level]), levels.map(|_| [0]));
        let (definition, repetition) =
            (definition.as_ref().map(|of| &of[..]), repetition.as_ref().map(|of| &of[..]));
        let mut writer = group.next_column().unwrap().unwrap();
        if column == 1 {
            let value = [ByteArray::from("{}")];
            writer.typed::<ByteArrayType>().write_batch(&value, definition, repetition).unwrap();
        } else {
            let value = [FixedLenByteArray::from(vec![7; 16])];
            writer.typed::<FixedLenByteArrayType>().write_batch(&value, definition, repetition).unwrap();
        }
        writer.close().unwrap();
    }
    group.close().unwrap();
    let rows = read(&writer.into_inner().unwrap());
    let schema = rows.schema();
    let DataType::List(element) = schema.field(3).data_type() else { panic!("{schema}") };
    let named = [schema.field(0), schema.field(1), schema.field(2), &**element];
    let named = named.map(|field| (field.extension_type_name(), field.extension_type_metadata()));
    let uuid = (Some("arrow.uuid"), Some(""));
    assert_eq!(named, [uuid, (Some("arrow.json"), Some("")), (None, None), uuid]);
    assert_eq!(rows.column(0).as_fixed_size_binary().value(0), [7; 16]);
    assert_eq!(rows.column(3).as_list::<i32>().values().as_fixed_size_binary().value(0), [7; 16]);
}
