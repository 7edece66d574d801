//! Columns are what they are called, not where they stand.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, ListArray, RecordBatch, RunArray, StringArray,
    StructArray, new_empty_array,
};
use arrow_buffer::Buffer;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use farrow_ipc::{
    ByName, FieldPart, IpcError, Layout, Plan, SchemaDifference, SegmentReader, SegmentWriter, Trust,
    fits_by_name, prepare, prepare_segments, schema_difference, schema_fingerprint, with_schema,
};

fn int(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn schema(fields: &[Field]) -> SchemaRef {
    Arc::new(Schema::new(fields.to_vec()))
}

fn empty(schema: &SchemaRef) -> RecordBatch {
    let columns = schema.fields().iter().map(|field| new_empty_array(field.data_type())).collect();
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

fn with(field: Field, metadata: &[(&str, &str)]) -> Field {
    let pairs = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    field.with_metadata(pairs.collect::<HashMap<_, _>>())
}

/// The difference, whichever way batches are taken: all say the same, with the batch's number.
fn difference(schema: &SchemaRef, batch: &RecordBatch) -> Option<(SchemaDifference, String)> {
    let first = empty(schema);
    let mut writer = SegmentWriter::new(schema, std::io::sink()).unwrap();
    writer.write(&first).unwrap();
    let both = [first, batch.clone()];
    let found = [
        writer.write(batch),
        Plan::new(schema, &both).map(drop),
        prepare(schema, both.clone(), 1).map(drop),
        prepare_segments(schema, &both, 1).map(drop),
        with_schema(schema, batch, 1).map(drop),
    ];
    let mut found = found.map(|result| match result {
        Ok(()) => None,
        Err(error) => {
            let text = error.to_string();
            let IpcError::BatchSchema { batch: 1, difference, .. } = error else { panic!("{text}") };
            Some((*difference, text))
        }
    });
    assert!(found.iter().all(|each| *each == found[0]), "{found:?}");
    found[0].take()
}

#[test]
fn columns_in_another_order_are_not_swapped() {
    let (first, other) = (schema(&[int("a"), int("b"), int("c")]), schema(&[int("a"), int("c"), int("b")]));
    let (difference, text) = difference(&first, &empty(&other)).unwrap();
    assert!(matches!(difference, SchemaDifference::Order { column: 1, .. }), "{difference:?}");
    assert_eq!(
        text,
        "batch 1 (counted from 0) is not of the schema of those before it: column 1 is \"c\", expected \"b\": the same \
         names in another order. It fits by name"
    );
    let text = Field::new("b", DataType::Utf8, true);
    let (_, text) = self::difference(&first, &empty(&schema(&[int("a"), int("c"), text]))).unwrap();
    assert!(
        text.ends_with("Put them in order first, in pyarrow by `table.select([\"a\", \"b\", \"c\"])`"),
        "{text}"
    );
}

#[test]
fn each_difference_is_named() {
    let nested = |inner: Field| Field::new_struct("s", Fields::from(vec![int("x"), inner]), true);
    let dictionary = || DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let ordered = Field::new("a", dictionary(), true).with_dict_is_ordered(true);
    let order = |ordered| Field::new("y", dictionary(), true).with_dict_is_ordered(ordered);
    let uuid = |field: &str| Field::new(field, DataType::FixedSizeBinary(16), true);
    let tagged = with(uuid("a"), &[("ARROW:extension:name", "arrow.uuid")]);
    let strict = Field::new("y", DataType::Int64, false);
    for (expected, found, part, path, fits) in [
        (int("a"), int("b"), FieldPart::Name, "a", false),
        (int("a"), Field::new("a", DataType::Int32, true), FieldPart::Type, "a", true),
        (
            Field::new("a", dictionary(), true),
            Field::new("a", DataType::Utf8, true),
            FieldPart::Type,
            "a",
            true,
        ),
        (tagged, uuid("a"), FieldPart::Extension, "a", false),
        (ordered, Field::new("a", dictionary(), true), FieldPart::Ordered, "a", false),
        (nested(order(true)), nested(order(false)), FieldPart::Ordered, "s.y", false),
        (nested(int("y")), nested(int("z")), FieldPart::Name, "s.y", false),
        (nested(int("y")), nested(Field::new("y", DataType::Utf8, true)), FieldPart::Type, "s.y", false),
        (nested(int("y")), nested(strict), FieldPart::Nullability, "s.y", true),
        (nested(int("y")), nested(with(int("y"), &[("unit", "m")])), FieldPart::Metadata, "s.y", true),
    ] {
        let (difference, text) =
            difference(&schema(&[int("0"), expected]), &empty(&schema(&[int("0"), found]))).unwrap();
        match &difference {
            SchemaDifference::Field { column: 1, field, part: differs, .. } => {
                assert_eq!((field.as_str(), *differs), (path, part));
            }
            other => panic!("{other:?}"),
        }
        assert!(text.contains(&format!("column 1 ({path}): ")), "{text}");
        let by_name = text.ends_with("t fits by name");
        assert!(by_name != text.contains("in pyarrow by `table."), "one thing to do: {text}");
        assert_eq!(by_name, fits, "{text}");
    }
    for (fields, told) in [
        (vec![int("a"), int("b"), int("c")], "the number of columns is 3, expected 2: \"c\" is one too many"),
        (vec![int("b")], "the number of columns is 1, expected 2: \"a\" is missing"),
        (
            vec![int("a"), int("b"), int("b")],
            "the number of columns is 3, expected 2: some name is there more than once",
        ),
    ] {
        let (_, text) = difference(&schema(&[int("a"), int("b")]), &empty(&schema(&fields))).unwrap();
        assert!(text.contains(told), "{text}");
    }
}

/// A message stays short, however large the schema.
#[test]
fn wide_schemas_are_not_printed() {
    let fields: Vec<Field> = (0..10_000).map(|i| int(&format!("column {i}"))).collect();
    let mut swapped = fields.clone();
    swapped.swap(7, 8);
    let (_, text) = difference(&schema(&fields), &empty(&schema(&swapped))).unwrap();
    assert!(text.len() < 400 && text.ends_with("It fits by name"), "{text}");
    let mut other = swapped.clone();
    other[9] = Field::new("column 9", DataType::Utf8, true);
    let (_, text) = difference(&schema(&fields), &empty(&schema(&other))).unwrap();
    assert!(text.len() < 400 && text.contains("`table.select(first.schema.names)`"), "{text}");
    let wide = Field::new_struct("s", Fields::from(fields), true);
    let (_, text) = difference(&schema(&[wide]), &empty(&schema(&[int("s")]))).unwrap();
    assert!(text.len() < 600, "{text}");
}

#[test]
fn metadata_and_nullability_of_columns_may_differ_and_the_schema_holds() {
    let expected =
        Arc::new(Schema::new(vec![with(int("a"), &[("unit", "m")]), Field::new("b", DataType::Utf8, false)]));
    let found = schema(&[Field::new("a", DataType::Int64, false), Field::new("b", DataType::Utf8, true)]);
    let batch = |b: Vec<Option<&str>>| {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![1])), Arc::new(StringArray::from(b))];
        RecordBatch::try_new(found.clone(), columns).unwrap()
    };
    assert_eq!(difference(&expected, &batch(vec![Some("x")])), None);
    assert_eq!(with_schema(&expected, &batch(vec![Some("x")]), 0).unwrap().schema(), expected);
    let (difference, text) = difference(&expected, &batch(vec![None])).unwrap();
    assert_eq!(difference, SchemaDifference::Nulls { column: 1, field: "b".to_owned(), nulls: 1 });
    assert!(text.contains("column 1 (b) has nulls (1), and the schema allows none"), "{text}");
}

/// Of an append all counts, but for what pandas says of the rows.
#[test]
fn schemas_are_compared_as_a_whole() {
    let of = |fields: &[Field], metadata: &[(&str, &str)]| {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Schema::new_with_metadata(fields.to_vec(), metadata.collect::<HashMap<_, _>>())
    };
    let there = of(&[int("a")], &[("of", "one"), ("pandas", "3 rows")]);
    for pandas in [&[("of", "one")][..], &[("of", "one"), ("pandas", "4 rows")]] {
        let found = of(&[int("a")], pandas);
        assert_eq!(schema_difference(&there, &found), None);
        assert_eq!(schema_fingerprint(&there), schema_fingerprint(&found));
    }
    let strict = Field::new("a", DataType::Int64, false);
    let pandas = with(int("a"), &[("pandas", "3 rows")]);
    for (found, told) in [
        (
            of(&[int("a")], &[("of", "another")]),
            "the metadata \"of\" of the schemas differ: \"another\", expected \"one\"",
        ),
        (of(&[int("a")], &[]), "the metadata \"of\" of the schemas differ: none, expected \"one\""),
        (of(&[strict], &[("of", "one")]), "column 0 (a): the field is not nullable, expected nullable"),
        (of(&[pandas], &[("of", "one")]), "column 0 (a): the field's metadata is {\"pandas\": \"3 rows\"}"),
        (of(&[int("a"), int("__index_level_0__")], &[]), "\"__index_level_0__\" is one too many"),
    ] {
        let difference = schema_difference(&there, &found).unwrap();
        assert!(difference.to_string().contains(told), "{difference}");
        assert_ne!(schema_fingerprint(&there), schema_fingerprint(&found));
        let fits = fits_by_name(&there, &found).is_ok();
        let advice = difference.with_advice(fits);
        let advised = if fits { "t fits by name" } else { "frame.reset_index(drop=True)" };
        assert!(advice.contains(advised), "{advice}");
    }
}

#[test]
fn nested_values_are_kept_apart_too() {
    let child = |name: &str| Arc::new(Field::new(name, DataType::Int32, true));
    let list = |name: &str| -> ArrayRef {
        let inner =
            StructArray::new(vec![child(name)].into(), vec![Arc::new(Int32Array::from(vec![1, 2]))], None);
        let item = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
        Arc::new(ListArray::new(item, arrow_buffer::OffsetBuffer::from_lengths([2]), Arc::new(inner), None))
    };
    let batch = |name| RecordBatch::try_from_iter([("l", list(name))]).unwrap();
    assert_eq!(difference(&batch("x").schema(), &batch("x")), None);
    let (_, text) = difference(&batch("x").schema(), &batch("y")).unwrap();
    assert!(text.contains("column 0 (l.item.x): the name is y, expected x"), "{text}");
}

/// The column's own bitmap says nothing of them.
#[test]
fn nulls_that_a_column_refers_to_are_nulls() {
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let keys = Int32Array::from(vec![0, 1, 1]);
    let dictionary = DictionaryArray::<Int32Type>::try_new(keys, values.clone()).unwrap();
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 3]), &values).unwrap();
    let unused = DictionaryArray::<Int32Type>::try_new(Int32Array::from(vec![0, 0, 0]), values).unwrap();
    let columns: [(ArrayRef, usize); 3] =
        [(Arc::new(dictionary), 2), (Arc::new(runs), 2), (Arc::new(unused), 0)];
    for (column, nulls) in columns {
        let field = Field::new("b", column.data_type().clone(), false);
        let strict = schema(&[int("a"), field]);
        let columns = vec![Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef, column];
        let batch = RecordBatch::try_new(strict.clone(), columns).unwrap();
        let mut by_name = ByName::new(&strict);
        by_name.push(&batch).unwrap();
        let named = by_name.next().unwrap();
        // As another program writes it.
        let mut writer = FileWriter::try_new(Vec::new(), &strict).unwrap();
        writer.write(&batch).unwrap();
        let bytes = Buffer::from(writer.into_inner().unwrap());
        let layout = Layout::verify_foreign(&bytes).unwrap();
        let validated = layout.validate_values(bytes.clone());
        let read = SegmentReader::open(bytes, Trust::Untrusted).and_then(|reader| reader.batch(0));
        if nulls == 0 {
            assert!(with_schema(&strict, &batch, 0).is_ok() && named.is_ok());
            assert!(validated.is_ok() && read.is_ok());
            continue;
        }
        let told = "column \"b\" is not nullable, and 2 of its elements refer to a null";
        for error in [validated.unwrap_err(), read.unwrap_err()] {
            assert!(error.to_string().contains(told), "{error}");
        }
        let expected = SchemaDifference::Nulls { column: 1, field: "b".to_owned(), nulls };
        assert_eq!(difference(&strict, &batch).unwrap().0, expected);
        let Err(IpcError::ByName { difference, .. }) = named else { panic!("{named:?}") };
        assert_eq!(*difference, expected);
    }
}
