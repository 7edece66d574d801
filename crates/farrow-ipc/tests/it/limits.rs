//! Schemas that no honest program writes, and files that would take for ever or fill the memory.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_buffer::Buffer;
use arrow_ipc::{
    BoolBuilder, DictionaryEncodingBuilder, Endianness, FieldBuilder, IntBuilder, SchemaBuilder, Type,
    UnionBuilder, Utf8Builder,
};
use arrow_schema::{DataType, Field, Schema};
use farrow_ipc::{
    ArrayProblem, DictionaryProblem, IpcError, Layout, Place, SegmentReader, Trust, TypeProblem,
};
use flatbuffers::{FlatBufferBuilder, WIPOffset};

use crate::forge::{Message, file, file_with};

fn refused(bytes: &[u8]) -> IpcError {
    Layout::verify(bytes).unwrap_err()
}

fn schema(data_type: DataType) -> Schema {
    Schema::new(vec![Field::new("column", data_type, true)])
}

type Fbb = FlatBufferBuilder<'static>;
type FbField = WIPOffset<arrow_ipc::Field<'static>>;

fn schema_of(
    fbb: &mut Fbb,
    fields: &[FbField],
    endianness: Endianness,
) -> WIPOffset<arrow_ipc::Schema<'static>> {
    let fields = fbb.create_vector(fields);
    let mut schema = SchemaBuilder::new(fbb);
    schema.add_fields(fields);
    schema.add_endianness(endianness);
    schema.finish()
}

#[test]
fn two_fields_may_not_share_a_dictionary() {
    let bytes = file_with(
        |fbb| {
            let fields = [8, 16].map(|width| {
                let mut index = IntBuilder::new(fbb);
                index.add_bitWidth(width);
                index.add_is_signed(true);
                let index = index.finish();
                let mut dictionary = DictionaryEncodingBuilder::new(fbb);
                dictionary.add_id(7);
                dictionary.add_indexType(index);
                let dictionary = dictionary.finish();
                let utf8 = Utf8Builder::new(fbb).finish().as_union_value();
                let mut field = FieldBuilder::new(fbb);
                field.add_type_type(Type::Utf8);
                field.add_type_(utf8);
                field.add_dictionary(dictionary);
                field.finish()
            });
            schema_of(fbb, &fields, Endianness::Little)
        },
        &[],
        &[],
        |_| (),
    );
    let error = refused(&bytes);
    assert!(
        matches!(&error, IpcError::Dictionary { id: 7, problem: DictionaryProblem::Shared, .. }),
        "{error}"
    );
}

fn bool_field(fbb: &mut Fbb) -> FbField {
    let bool_type = BoolBuilder::new(fbb).finish().as_union_value();
    let mut field = FieldBuilder::new(fbb);
    field.add_type_type(Type::Bool);
    field.add_type_(bool_type);
    field.finish()
}

/// The verifier of flatbuffers passes over the place of a type that it does not know.
#[test]
fn a_type_of_an_unknown_kind_is_followed_nowhere() {
    let schema = |fbb: &mut Fbb| {
        let unknown = BoolBuilder::new(fbb).finish().as_union_value();
        let mut field = FieldBuilder::new(fbb);
        field.add_type_type(Type(99));
        field.add_type_(unknown);
        let field = field.finish();
        schema_of(fbb, &[field], Endianness::Little)
    };
    let good = file_with(schema, &[], &[], |_| ());
    for at in 0..good.len() - 1 {
        let mut bytes = good.clone();
        bytes[at..at + 2].copy_from_slice(&0x7ff0_u16.to_le_bytes());
        assert!(Layout::verify(&bytes).is_err(), "{at}");
    }
}

#[test]
fn unions_need_type_ids_of_seven_bits() {
    let union = |children: usize, ids: Option<Vec<i32>>| {
        let schema = move |fbb: &mut Fbb| {
            let children: Vec<_> = (0..children).map(|_| bool_field(fbb)).collect();
            let children = fbb.create_vector(&children);
            let ids = ids.as_ref().map(|ids| fbb.create_vector(ids));
            let mut union = UnionBuilder::new(fbb);
            if let Some(ids) = ids {
                union.add_typeIds(ids);
            }
            let union = union.finish().as_union_value();
            let mut field = FieldBuilder::new(fbb);
            field.add_type_type(Type::Union);
            field.add_type_(union);
            field.add_children(children);
            let field = field.finish();
            schema_of(fbb, &[field], Endianness::Little)
        };
        Layout::verify(&file_with(schema, &[], &[], |_| ()))
    };
    assert!(union(127, None).is_ok());
    assert!(union(128, Some((0..128).collect())).is_ok());
    assert!(union(2, Some(vec![127, 0])).is_ok());
    let wrong: [(usize, Option<Vec<i32>>); 6] = [
        (129, None),
        (128, None),
        (2, Some(vec![0, 128])),
        (2, Some(vec![256, 1])),
        (2, Some(vec![-1, 1])),
        (2, Some(vec![1])),
    ];
    for (count, ids) in wrong {
        let error = union(count, ids).unwrap_err();
        let expected = TypeProblem::UnionIds { children: count };
        assert!(matches!(&error, IpcError::Type { problem, .. } if *problem == expected), "{error}");
    }
    assert!(matches!(union(2, Some(vec![3, 3])), Err(IpcError::Schema { .. })));
}

#[test]
fn the_other_byte_order_is_refused() {
    let schema = |fbb: &mut Fbb| {
        let field = bool_field(fbb);
        schema_of(fbb, &[field], Endianness::Big)
    };
    assert!(matches!(refused(&file_with(schema, &[], &[], |_| ())), IpcError::Endianness));
}

/// Forty bytes of field, referred to a hundred thousand times, would become gigabytes of schema.
#[test]
fn a_flatbuffer_may_not_stand_for_more_than_it_is() {
    let schema = |fbb: &mut Fbb| {
        let name = fbb.create_string(&"n".repeat(10_000));
        let bool_type = BoolBuilder::new(fbb).finish().as_union_value();
        let mut field = FieldBuilder::new(fbb);
        field.add_type_type(Type::Bool);
        field.add_type_(bool_type);
        field.add_name(name);
        let field = field.finish();
        schema_of(fbb, &vec![field; 100_000], Endianness::Little)
    };
    let error = refused(&file_with(schema, &[], &[], |_| ()));
    assert!(matches!(&error, IpcError::Flatbuffer { place: Place::Footer, .. }), "{error}");
}

#[test]
fn views_may_not_share_beyond_reason() {
    let (rows, long) = (4096_i64, 4096_u32);
    let mut view = long.to_le_bytes().to_vec();
    view.extend([0; 12]);
    let mut body = view.repeat(usize::try_from(rows).unwrap());
    let text = (i64::try_from(body.len()).unwrap(), i64::from(long));
    body.resize(body.len() + 4096, 0);
    let mut message = Message::batch(rows, &[(rows, 0)], &[(0, 0), (0, 16 * rows), text], body);
    message.variadic = vec![1];
    let bytes = Buffer::from(file(&schema(DataType::Utf8View), &[], &[message]).as_slice());
    let error = Layout::verify(&bytes).unwrap().validate_values(bytes.clone()).unwrap_err();
    assert!(matches!(error, IpcError::SharedViews { total: 16_777_216, .. }), "{error}");
    // Valid they are, and whoever knows it may read them.
    let batch = SegmentReader::open(bytes, Trust::Validated).unwrap().batch(0).unwrap();
    assert_eq!(batch.column(0).as_string_view().value(4095).len(), 4096);
}

/// Two billion lists of two billion nothings: the mask of the children would have 2^62 bits.
#[test]
fn lengths_without_bytes_behind_them_stay_small() {
    let child = Arc::new(Field::new("child", DataType::Null, false));
    let lists = schema(DataType::FixedSizeList(child, i32::MAX));
    let most = i64::from(i32::MAX);
    let message = Message::batch(8, &[(8, 1), (most, most)], &[(0, 1)], vec![0xfe; 64]);
    let error = refused(&file(&lists, &[], &[message]));
    let too_few = |problem: &_| matches!(problem, ArrayProblem::OtherLength { .. });
    assert!(matches!(&error, IpcError::Array { problem, .. } if too_few(problem)), "{error}");
}
