//! Data that one reader takes and another does not: refused on each way in.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Int16Type, Int32Type,
};
use arrow_array::*;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{
    BoolBuilder, DictionaryEncodingBuilder, Endianness, FieldBuilder, IntBuilder, KeyValueBuilder,
    SchemaBuilder, Type, Utf8Builder,
};
use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit, UnionFields, UnionMode};
use farrow_ipc::{
    DictionaryProblem, IpcError, Layout, MAX_NESTING, MetadataProblem, Place, StreamDecoder, TypeProblem,
    ValueProblem, prepare,
};
use flatbuffers::{FlatBufferBuilder, WIPOffset};

use crate::forge::{Message, encoder, file, file_with};
use crate::samples::{one_column, segment};
use crate::stream::{decode, messages};
use crate::stream_encoder::streamed;

/// Asks what each way in says of a schema.
fn schema_refused(schema: &Schema) -> Option<TypeProblem> {
    let bytes = file(schema, &[], &[]);
    let verified = Layout::verify(&bytes).err();
    let foreign = Layout::verify_foreign(&bytes).err();
    let copied = streamed(&bytes).err();
    let empty = RecordBatch::new_empty(Arc::new(schema.clone()));
    let streamed =
        StreamDecoder::new(&messages(&[empty], &IpcWriteOptions::default())[0].ipc_message, 0).err();
    let written = prepare(&Arc::new(schema.clone()), [], 0).err();
    let problem = |error: Option<IpcError>| match error {
        Some(IpcError::Type { problem, .. }) => Some(problem),
        Some(other) => panic!("{other}"),
        None => None,
    };
    let problem_found = problem(verified);
    for other in [foreign, copied, streamed, written] {
        assert_eq!(problem(other), problem_found);
    }
    problem_found
}

fn field_refused(field: Field) -> Option<TypeProblem> {
    schema_refused(&Schema::new(vec![field]))
}

fn refused(data_type: DataType) -> Option<TypeProblem> {
    field_refused(Field::new("column", data_type, true))
}

fn child(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("child", data_type, true))
}

#[test]
fn names_and_time_zones_end_where_c_strings_do() {
    let name = "with\0nul";
    let below = || Arc::new(Field::new(name, DataType::Int8, true));
    let runs = |ends: &str, values| {
        DataType::RunEndEncoded(Arc::new(Field::new(ends, DataType::Int16, false)), values)
    };
    assert_eq!(field_refused(Field::new(name, DataType::Int8, true)), Some(TypeProblem::NameWithNul));
    let union = UnionFields::try_new([1], [below()]).unwrap();
    for data_type in [
        DataType::List(below()),
        DataType::LargeListView(below()),
        DataType::FixedSizeList(below(), 2),
        DataType::Struct(Fields::from(vec![below()])),
        DataType::Union(union, UnionMode::Dense),
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::List(below()))),
        runs("run_ends", below()),
        runs(name, child(DataType::Int8)),
    ] {
        assert_eq!(refused(data_type), Some(TypeProblem::NameWithNul));
    }
    let moment = |zone: &str| DataType::Timestamp(TimeUnit::Second, Some(zone.into()));
    assert_eq!(refused(moment("UTC\0")), Some(TypeProblem::TimeZoneWithNul));
    assert_eq!(refused(DataType::List(child(moment("\0")))), Some(TypeProblem::TimeZoneWithNul));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(moment("\0")));
    assert_eq!(refused(dictionary), Some(TypeProblem::TimeZoneWithNul));
    // A text that says nothing to one reader is still a text.
    assert_eq!(refused(moment("Nowhere/ä")), None);
    let noted = Field::new("column", DataType::Int8, true);
    assert_eq!(
        field_refused(noted.with_metadata(HashMap::from([("k\0".to_owned(), "\0".to_owned())]))),
        None
    );
}

#[test]
fn runs_within_runs_are_refused() {
    let runs =
        |values| DataType::RunEndEncoded(Arc::new(Field::new("run_ends", DataType::Int32, false)), values);
    assert_eq!(refused(runs(child(runs(child(DataType::Int8))))), Some(TypeProblem::NestedRuns));
    assert_eq!(refused(runs(child(DataType::List(child(runs(child(DataType::Int8))))))), None);
}

#[test]
fn a_union_has_children() {
    for mode in [UnionMode::Sparse, UnionMode::Dense] {
        assert_eq!(refused(DataType::Union(UnionFields::empty(), mode)), Some(TypeProblem::EmptyUnion));
    }
}

#[test]
fn a_dictionary_is_a_level() {
    let nested = |levels: usize, dictionaries: usize| {
        (0..levels).fold(DataType::Int8, |inner, level| {
            let list = DataType::List(child(inner));
            match level < dictionaries {
                true => DataType::Dictionary(Box::new(DataType::Int8), Box::new(list)),
                false => list,
            }
        })
    };
    assert_eq!(refused(nested(MAX_NESTING - 1, 0)), None);
    assert_eq!(refused(nested(MAX_NESTING / 2 - 1, MAX_NESTING / 2 - 1)), None);
    let too_deep = Some(TypeProblem::Nesting { max: MAX_NESTING });
    assert_eq!(refused(nested(MAX_NESTING / 2, MAX_NESTING / 2)), too_deep);
    assert_eq!(refused(nested(MAX_NESTING - 1, 1)), too_deep);
}

fn extension(name: &str, stored: DataType, metadata: Option<&str>) -> Field {
    let mut pairs = HashMap::from([(EXTENSION_TYPE_NAME_KEY.to_owned(), name.to_owned())]);
    pairs.extend(metadata.map(|text| (EXTENSION_TYPE_METADATA_KEY.to_owned(), text.to_owned())));
    Field::new("column", stored, true).with_metadata(pairs)
}

fn variable(data: DataType, shape: DataType) -> DataType {
    DataType::Struct(Fields::from(vec![Field::new("data", data, true), Field::new("shape", shape, true)]))
}

#[test]
fn canonical_extension_types_are_stored_as_they_are_defined() {
    let pairs = |size| DataType::FixedSizeList(child(DataType::Float32), size);
    let tensors =
        variable(DataType::List(child(DataType::Int64)), DataType::FixedSizeList(child(DataType::Int32), 2));
    let parameters = r#"{"permutation":[1,0],"dim_names":["x","y"],"uniform_shape":[null,4]}"#;
    let opaque = r#"{"type_name":"point","vendor_name":"PostGIS","more":[1]}"#;
    for (name, stored, metadata) in [
        ("arrow.bool8", DataType::Int8, Some("")),
        ("arrow.bool8", DataType::Int8, None),
        ("arrow.uuid", DataType::FixedSizeBinary(16), None),
        ("arrow.json", DataType::Utf8View, Some("{}")),
        ("arrow.opaque", DataType::Null, Some(opaque)),
        ("arrow.fixed_shape_tensor", pairs(6), Some(r#"{"shape":[2,3],"permutation":[1,0]}"#)),
        ("arrow.fixed_shape_tensor", pairs(0), Some(r#"{"shape":[0],"dim_names":["x"]}"#)),
        ("arrow.variable_shape_tensor", tensors.clone(), Some(parameters)),
        ("arrow.variable_shape_tensor", tensors.clone(), Some("{}")),
        ("arrow.unheard_of", DataType::Int8, Some("\0")),
        ("somebody.elses", DataType::Int8, None),
    ] {
        assert_eq!(field_refused(extension(name, stored, metadata)), None, "{name} {metadata:?}");
    }
    let other_lists = variable(
        DataType::LargeList(child(DataType::Int64)),
        DataType::FixedSizeList(child(DataType::Int32), 2),
    );
    let other_shape =
        variable(DataType::List(child(DataType::Int64)), DataType::FixedSizeList(child(DataType::Int64), 2));
    let texts =
        variable(DataType::List(child(DataType::Utf8)), DataType::FixedSizeList(child(DataType::Int32), 2));
    for (name, stored) in [
        ("arrow.bool8", DataType::UInt8),
        ("arrow.uuid", DataType::FixedSizeBinary(15)),
        (
            "arrow.uuid",
            DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::FixedSizeBinary(16))),
        ),
        ("arrow.json", DataType::Binary),
        ("arrow.fixed_shape_tensor", DataType::List(child(DataType::Float32))),
        ("arrow.variable_shape_tensor", pairs(6)),
        ("arrow.variable_shape_tensor", other_lists),
        ("arrow.variable_shape_tensor", other_shape),
        ("arrow.variable_shape_tensor", texts),
    ] {
        let problem = field_refused(extension(name, stored.clone(), None)).unwrap();
        assert!(matches!(&problem, TypeProblem::ExtensionStorage { .. }), "{name} {stored}: {problem}");
        let below = DataType::Struct(Fields::from(vec![extension(name, stored, None)]));
        assert_eq!(refused(below), Some(problem));
    }
    for (name, stored, metadata) in [
        ("arrow.bool8", DataType::Int8, "x"),
        ("arrow.uuid", DataType::FixedSizeBinary(16), "{}"),
        ("arrow.opaque", DataType::Int8, ""),
        ("arrow.opaque", DataType::Int8, r#"{"type_name":"point"}"#),
        ("arrow.opaque", DataType::Int8, r#"{"type_name":"point","vendor_name":7}"#),
        ("arrow.fixed_shape_tensor", pairs(6), r#"{"shape":[2,2]}"#),
        ("arrow.fixed_shape_tensor", pairs(6), r#"{"shape":[-2,-3]}"#),
        ("arrow.fixed_shape_tensor", pairs(6), r#"{"shape":[2,3],"shape":[6]}"#),
        ("arrow.fixed_shape_tensor", pairs(6), r#"{"shape":[2,3],"permutation":[1,1]}"#),
        ("arrow.fixed_shape_tensor", pairs(6), r#"{"shape":[2,3],"permutation":[]}"#),
        ("arrow.fixed_shape_tensor", pairs(6), r#"{"shape":[2,3],"dim_names":null}"#),
        ("arrow.fixed_shape_tensor", pairs(6), r#"{"shape":[2,3],"dim_names":["x"]}"#),
        ("arrow.fixed_shape_tensor", pairs(6), r#"{"shape":[4294967296,4294967296,6]}"#),
        ("arrow.variable_shape_tensor", tensors.clone(), "[]"),
        ("arrow.variable_shape_tensor", tensors.clone(), r#"{"permutation":[0,2]}"#),
        ("arrow.variable_shape_tensor", tensors.clone(), r#"{"uniform_shape":[1]}"#),
        ("arrow.variable_shape_tensor", tensors.clone(), r#"{"uniform_shape":[1,-1]}"#),
    ] {
        let problem = field_refused(extension(name, stored, Some(metadata))).unwrap();
        assert!(matches!(&problem, TypeProblem::ExtensionMetadata { .. }), "{name} {metadata}: {problem}");
    }
    // Where pyarrow looks for a plain type.
    let ends = extension("arrow.opaque", DataType::Int16, Some(opaque)).with_nullable(false);
    let runs = DataType::RunEndEncoded(Arc::new(ends), child(DataType::Int8));
    assert_eq!(refused(runs), Some(TypeProblem::RunEnds));
    let (key, value) = (Field::new("key", DataType::Int8, false), Field::new("value", DataType::Int8, true));
    let entries = DataType::Struct(Fields::from(vec![key, value]));
    let entries = extension("arrow.opaque", entries, Some(opaque)).with_nullable(false);
    assert_eq!(refused(DataType::Map(Arc::new(entries), false)), Some(TypeProblem::MapEntries));
}

type Fbb = FlatBufferBuilder<'static>;

/// A file whose one field is as wrong as asked for.
fn forged(build: impl Fn(&mut Fbb) -> WIPOffset<arrow_ipc::Field<'static>>) -> Result<Layout, IpcError> {
    let schema = |fbb: &mut Fbb| {
        let field = build(fbb);
        let fields = fbb.create_vector(&[field]);
        let mut schema = SchemaBuilder::new(fbb);
        schema.add_fields(fields);
        schema.add_endianness(Endianness::Little);
        schema.finish()
    };
    Layout::verify(&file_with(schema, &[], &[], |_| ()))
}

fn metadata_problem(result: Result<Layout, IpcError>) -> MetadataProblem {
    match result.unwrap_err() {
        IpcError::Metadata { place: Place::Footer, problem } => problem,
        other => panic!("{other}"),
    }
}

/// A Boolean field whose custom metadata are these pairs.
fn noted(pairs: &[(Option<&str>, Option<&str>)]) -> Result<Layout, IpcError> {
    forged(|fbb| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| {
                let (key, value) =
                    (key.map(|text| fbb.create_string(text)), value.map(|text| fbb.create_string(text)));
                let mut pair = KeyValueBuilder::new(fbb);
                if let Some(key) = key {
                    pair.add_key(key);
                }
                if let Some(value) = value {
                    pair.add_value(value);
                }
                pair.finish()
            })
            .collect();
        let pairs = fbb.create_vector(&pairs);
        let bool_type = BoolBuilder::new(fbb).finish().as_union_value();
        let mut field = FieldBuilder::new(fbb);
        field.add_type_type(Type::Bool);
        field.add_type_(bool_type);
        field.add_custom_metadata(pairs);
        field.finish()
    })
}

#[test]
fn custom_metadata_has_keys_and_values() {
    assert!(noted(&[(Some("k"), Some("v")), (Some("k"), Some("w"))]).is_ok());
    let without = |missing| MetadataProblem::KeyValue { table: "field", missing };
    assert_eq!(metadata_problem(noted(&[(Some("k"), Some("v")), (None, Some("v"))])), without("a key"));
    assert_eq!(metadata_problem(noted(&[(Some("k"), None)])), without("a value"));
    let name = (Some(EXTENSION_TYPE_NAME_KEY), Some("somebody.elses"));
    assert!(noted(&[name]).is_ok());
    let twice = MetadataProblem::ExtensionTwice { field: String::new(), key: EXTENSION_TYPE_NAME_KEY };
    assert_eq!(metadata_problem(noted(&[name, name])), twice);
}

/// Each offset of the footer set to zero: Rust's verifier takes the zero for an empty text or list.
#[test]
fn no_offset_leads_to_itself() {
    let metadata = HashMap::from([("k".to_owned(), "v".to_owned())]);
    let zone = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
    let union = UnionFields::try_new([3], [Field::new("child", DataType::Int8, true)]).unwrap();
    let keys = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let schema = Schema::new(vec![
        Field::new("moment", zone, true).with_metadata(metadata.clone()),
        Field::new("union", DataType::Union(union, UnionMode::Sparse), true),
        Field::new("keys", keys, true),
    ])
    .with_metadata(metadata);
    let good = file(&schema, &[], &[]);
    Layout::verify(&good).unwrap();
    let mut zeroed = 0;
    for at in (64..good.len() - 10).step_by(4) {
        let mut bytes = good.clone();
        bytes[at..at + 4].fill(0);
        let refused = Layout::verify(&bytes).err();
        let zero = |problem: &_| matches!(problem, MetadataProblem::ZeroOffset { .. });
        zeroed += usize::from(matches!(&refused, Some(IpcError::Metadata { problem, .. }) if zero(problem)));
    }
    assert!(zeroed >= 10, "{zeroed}");
}

#[test]
fn a_dictionary_has_an_id() {
    let with = |id| {
        forged(|fbb| {
            let mut index = IntBuilder::new(fbb);
            index.add_bitWidth(8);
            index.add_is_signed(true);
            let index = index.finish();
            let mut dictionary = DictionaryEncodingBuilder::new(fbb);
            dictionary.add_id(id);
            dictionary.add_indexType(index);
            let dictionary = dictionary.finish();
            let utf8 = Utf8Builder::new(fbb).finish().as_union_value();
            let mut field = FieldBuilder::new(fbb);
            field.add_type_type(Type::Utf8);
            field.add_type_(utf8);
            field.add_dictionary(dictionary);
            field.finish()
        })
    };
    assert!(with(-2).is_ok());
    let error = with(-1).unwrap_err();
    assert!(
        matches!(&error, IpcError::Dictionary { id: -1, problem: DictionaryProblem::NoId, .. }),
        "{error}"
    );
}

/// Asks what each way in says of a batch whose schema is allowed.
fn value_refused(array: impl Array + 'static) -> Option<ValueProblem> {
    let batch = one_column(array);
    let schema = batch.schema();
    let bytes = segment(&schema, std::slice::from_ref(&batch));
    let validated = Layout::verify(&bytes).unwrap().validate_values(Buffer::from(bytes.as_slice())).err();
    let copied = streamed(&bytes).err();
    let streamed = decode(&messages(std::slice::from_ref(&batch), &IpcWriteOptions::default()), 0).err();
    let written = prepare(&schema, [batch], 1 << 20).err();
    let problem = |error: Option<IpcError>| match error {
        Some(IpcError::Value { column: 0, problem, .. }) => Some(problem),
        Some(other) => panic!("{other}"),
        None => None,
    };
    let problem_found = problem(validated);
    // These come without what no element refers to, so places within them are others.
    let kind = |problem: Option<ValueProblem>| problem.map(|problem| std::mem::discriminant(&problem));
    for other in [copied, written] {
        assert_eq!(kind(problem(other)), kind(problem_found.clone()));
    }
    assert_eq!(problem(streamed), problem_found);
    problem_found
}

#[test]
fn a_time_is_of_a_day() {
    let nulls = || Some(NullBuffer::from(vec![true, false, true]));
    let time = |index, found, unit, end| Some(ValueProblem::Time { index, found, unit, end });
    let seconds = |values: Vec<i32>, nulls| Time32SecondArray::new(values.into(), nulls);
    assert_eq!(value_refused(seconds(vec![0, -1, 86_399], nulls())), None, "a null is no time");
    assert_eq!(
        value_refused(seconds(vec![0, 86_400, 86_401], nulls())),
        time(2, 86_401, TimeUnit::Second, 86_400)
    );
    assert_eq!(value_refused(seconds(vec![0, 1, -1], None)), time(2, -1, TimeUnit::Second, 86_400));
    let day = 86_400_000;
    let millis = Time32MillisecondArray::from(vec![i32::MIN]);
    assert_eq!(value_refused(millis), time(0, i32::MIN.into(), TimeUnit::Millisecond, day));
    let micros = Time64MicrosecondArray::from(vec![day * 1000 - 1, day * 1000]);
    assert_eq!(value_refused(micros), time(1, day * 1000, TimeUnit::Microsecond, day * 1000));
    let nanos = Time64NanosecondArray::from(vec![day * 1_000_000]);
    assert_eq!(value_refused(nanos), time(0, day * 1_000_000, TimeUnit::Nanosecond, day * 1_000_000));
}

#[test]
fn a_date_is_a_day() {
    assert_eq!(value_refused(Date64Array::from(vec![Some(-86_400_000), None, Some(0)])), None);
    let half = Date64Array::from(vec![0, -43_200_000]);
    assert_eq!(value_refused(half), Some(ValueProblem::Date { index: 1, found: -43_200_000 }));
    let days = Date32Array::from(vec![i32::MIN, i32::MAX]);
    assert_eq!(value_refused(days), None);
}

#[test]
fn a_decimal_has_its_digits() {
    let found = |text: &str| Some(ValueProblem::Decimal { index: 1, found: text.into(), precision: 3 });
    let narrow = PrimitiveArray::<Decimal32Type>::from(vec![999, 1000]);
    assert_eq!(value_refused(narrow.with_precision_and_scale(3, 1).unwrap()), found("1000"));
    let narrow = PrimitiveArray::<Decimal64Type>::from(vec![-999, -1000]);
    assert_eq!(value_refused(narrow.with_precision_and_scale(3, 0).unwrap()), found("-1000"));
    let wide = PrimitiveArray::<Decimal128Type>::from(vec![999, i128::MIN]);
    let expected = found(&i128::MIN.to_string());
    assert_eq!(value_refused(wide.with_precision_and_scale(3, -2).unwrap()), expected);
    let wide = PrimitiveArray::<Decimal256Type>::from(vec![i256::from(-999), i256::MAX]);
    assert_eq!(value_refused(wide.with_precision_and_scale(3, 3).unwrap()), found(&i256::MAX.to_string()));
    let most = 10_i128.pow(38) - 1;
    let all = PrimitiveArray::<Decimal128Type>::from(vec![Some(most), None, Some(-most)]);
    assert_eq!(value_refused(all.with_precision_and_scale(38, 0).unwrap()), None);
}

fn dense(offsets: Vec<i32>) -> UnionArray {
    let fields = UnionFields::try_new(
        [0, 5],
        [Field::new("a", DataType::Int8, true), Field::new("b", DataType::Int8, true)],
    )
    .unwrap();
    let ids = (0..i8::try_from(offsets.len()).unwrap()).map(|row| 5 * (row % 2)).collect();
    let children: Vec<ArrayRef> =
        vec![Arc::new(Int8Array::from(vec![1, 2, 3])), Arc::new(Int8Array::from(vec![4, 5, 6]))];
    UnionArray::try_new(fields, ids, Some(ScalarBuffer::from(offsets)), children).unwrap()
}

#[test]
fn a_dense_union_goes_forward() {
    assert_eq!(value_refused(dense(vec![0, 2, 0, 2, 2])), None);
    let back = ValueProblem::UnionOffset { index: 3, found: 0, before: 2 };
    assert_eq!(value_refused(dense(vec![0, 2, 0, 0, 2])), Some(back));
}

#[test]
fn values_are_found_wherever_they_lie() {
    let times = || -> ArrayRef { Arc::new(Time32SecondArray::from(vec![1, 2, 90_000, 3])) };
    let found = Some(ValueProblem::Time { index: 2, found: 90_000, unit: TimeUnit::Second, end: 86_400 });
    let item = child(DataType::Time32(TimeUnit::Second));
    let two = OffsetBuffer::<i32>::from_lengths([2, 2]);
    assert_eq!(value_refused(ListArray::new(Arc::clone(&item), two, times(), None)), found);
    let two = OffsetBuffer::<i64>::from_lengths([2, 2]);
    assert_eq!(value_refused(LargeListArray::new(Arc::clone(&item), two, times(), None)), found);
    assert_eq!(value_refused(FixedSizeListArray::new(Arc::clone(&item), 2, times(), None)), found);
    let (starts, sizes) = (ScalarBuffer::from(vec![2, 0]), ScalarBuffer::from(vec![2, 2]));
    let views: ListViewArray = ListViewArray::new(Arc::clone(&item), starts, sizes, times(), None);
    assert_eq!(value_refused(views), found);
    assert_eq!(value_refused(StructArray::new(Fields::from(vec![item]), vec![times()], None)), found);
    let keys = Int16Array::from(vec![0, 1, 2, 3]);
    assert_eq!(value_refused(DictionaryArray::<Int16Type>::new(keys, times())), found);
    let ends = Int32Array::from(vec![1, 5, 6, 9]);
    assert_eq!(value_refused(RunArray::<Int32Type>::try_new(&ends, &times()).unwrap()), found);
}

#[test]
fn an_error_says_where_and_what_to_do() {
    let batch = one_column(Time64MicrosecondArray::from(vec![1, 86_400_000_000]));
    let error = prepare(&batch.schema(), [batch], 0).unwrap_err().to_string();
    assert_eq!(
        error,
        "record batch 0: column 0 (\"column\"): element 1 is 86400000000 µs, a time of day is 0 to 86399999999; use a \
         duration, or null"
    );
}

/// Another program's file, with each of these in it.
#[test]
fn foreign_files_are_held_to_the_same() {
    let batch = one_column(Date64Array::from(vec![1]));
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let error = streamed(&bytes).unwrap_err();
    assert!(matches!(error, IpcError::Value { place: Place::Batch(0), .. }), "{error}");

    let keys = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let schema = Schema::new(vec![Field::new("keys", keys, true)]);
    let nulls = Message::batch(2, &[(2, 2)], &[(0, 1), (64, 2)], vec![0; 128]);
    let bytes = file_with(encoder(&schema), &[], &[nulls], |_| ());
    assert!(streamed(&bytes).is_err(), "Arrow C++ wants the dictionary");
}
