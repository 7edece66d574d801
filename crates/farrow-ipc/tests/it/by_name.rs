//! Columns matched by name, and cast where nothing is lost.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, DurationMillisecondType, DurationNanosecondType, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32SecondType, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampSecondType, UInt8Type, UInt32Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray,
    Int8Array, Int32Array, Int64Array, LargeBinaryArray, LargeListArray, LargeStringArray, ListArray,
    MapArray, NullArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray, StructArray,
    new_null_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit, UnionFields, UnionMode};
use farrow_ipc::{ByName, IpcError, fits_by_name};

use crate::samples::{every_type, one_column};

fn schema(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

fn column(array: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap()
}

fn of(data_type: &DataType) -> SchemaRef {
    schema(vec![Field::new("c", data_type.clone(), true)])
}

/// All that a batch becomes.
fn pieces(schema: &SchemaRef, batch: &RecordBatch) -> Result<Vec<RecordBatch>, IpcError> {
    let mut by_name = ByName::new(schema);
    by_name.push(batch)?;
    by_name.collect()
}

/// The one column that it becomes.
fn cast(array: ArrayRef, to: &DataType) -> Result<ArrayRef, IpcError> {
    let pieces = pieces(&of(to), &column(array))?;
    assert_eq!(pieces.len(), 1);
    Ok(Arc::clone(pieces[0].column(0)))
}

fn dictionary(keys: DataType, values: DataType) -> DataType {
    DataType::Dictionary(Box::new(keys), Box::new(values))
}

fn words() -> ArrayRef {
    Arc::new(DictionaryArray::<Int8Type>::from_iter([
        Some("a"),
        None,
        Some("long enough for a buffer"),
        Some("a"),
    ]))
}

const TEXT: [Option<&str>; 4] = [Some("a"), None, Some("long enough for a buffer"), Some("a")];

fn texts() -> [ArrayRef; 3] {
    [
        Arc::new(StringArray::from_iter(TEXT)),
        Arc::new(LargeStringArray::from_iter(TEXT)),
        Arc::new(StringViewArray::from_iter(TEXT)),
    ]
}

fn bytes() -> [ArrayRef; 3] {
    let bytes = TEXT.map(|text| text.map(str::as_bytes));
    [
        Arc::new(BinaryArray::from_iter(bytes)),
        Arc::new(LargeBinaryArray::from_iter(bytes)),
        Arc::new(BinaryViewArray::from_iter(bytes)),
    ]
}

fn primitive<T: arrow_array::ArrowPrimitiveType>(values: [Option<T::Native>; 3]) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter(values))
}

#[test]
fn what_is_cast_is_what_it_was() {
    let mut same: Vec<Vec<ArrayRef>> = vec![texts().to_vec(), bytes().to_vec()];
    same[0].push(words());
    same[0].push(arrow_cast::cast(&texts()[0], &dictionary(DataType::UInt32, DataType::LargeUtf8)).unwrap());
    same[0].push(arrow_cast::cast(&texts()[0], &dictionary(DataType::Int64, DataType::Utf8View)).unwrap());
    for kind in &same {
        for (from, to) in kind.iter().flat_map(|from| kind.iter().map(move |to| (from, to))) {
            let found = cast(Arc::clone(from), to.data_type()).unwrap();
            assert_eq!(found.data_type(), to.data_type());
            // The words of a dictionary may be in another order.
            let plain = |array: &ArrayRef| arrow_cast::cast(array, kind[0].data_type()).unwrap();
            assert_eq!(&plain(&found), &kind[0], "{} as {}", from.data_type(), to.data_type());
        }
    }
    let fixed = FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].into_iter()).unwrap();
    let pairs: Vec<(ArrayRef, ArrayRef)> = vec![
        (Arc::new(fixed), Arc::new(BinaryViewArray::from_iter_values([b"ab", b"cd"]))),
        (
            primitive::<Int8Type>([Some(-128), None, Some(127)]),
            primitive::<Int64Type>([Some(-128), None, Some(127)]),
        ),
        (primitive::<Int8Type>([Some(-1), None, Some(1)]), primitive::<Int16Type>([Some(-1), None, Some(1)])),
        (
            primitive::<UInt8Type>([Some(255), None, Some(0)]),
            primitive::<UInt32Type>([Some(255), None, Some(0)]),
        ),
        (
            primitive::<UInt8Type>([Some(255), None, Some(0)]),
            primitive::<Int16Type>([Some(255), None, Some(0)]),
        ),
        (
            primitive::<Float32Type>([Some(0.1), None, Some(f32::INFINITY)]),
            primitive::<Float64Type>([Some(f64::from(0.1_f32)), None, Some(f64::INFINITY)]),
        ),
        (
            primitive::<TimestampSecondType>([Some(-7), None, Some(9)]),
            primitive::<TimestampMicrosecondType>([Some(-7_000_000), None, Some(9_000_000)]),
        ),
        (
            primitive::<DurationMillisecondType>([Some(-7), None, Some(9)]),
            primitive::<DurationNanosecondType>([Some(-7_000_000), None, Some(9_000_000)]),
        ),
        (
            primitive::<Time32SecondType>([Some(86_399), None, Some(0)]),
            primitive::<Time64MicrosecondType>([Some(86_399_000_000), None, Some(0)]),
        ),
        (
            primitive::<Date32Type>([Some(-1), None, Some(1)]),
            primitive::<Date64Type>([Some(-86_400_000), None, Some(86_400_000)]),
        ),
    ];
    for (from, to) in &pairs {
        assert_eq!(&cast(Arc::clone(from), to.data_type()).unwrap(), to, "{}", from.data_type());
        let back = cast(Arc::clone(to), from.data_type());
        assert!(
            matches!(back, Err(IpcError::ByName { batch: 0, .. })),
            "{} as {}",
            to.data_type(),
            from.data_type()
        );
        let ints = dictionary(DataType::Int8, from.data_type().clone());
        if from.data_type().is_integer() {
            assert_eq!(&cast(cast(Arc::clone(from), &ints).unwrap(), to.data_type()).unwrap(), to);
        }
    }
    let decimal = |digits, after, value: i128| -> ArrayRef {
        let array = PrimitiveArray::<Decimal128Type>::from_iter([Some(value), None]);
        Arc::new(array.with_precision_and_scale(digits, after).unwrap())
    };
    assert_eq!(&cast(decimal(3, 1, 123), &DataType::Decimal128(5, 2)).unwrap(), &decimal(5, 2, 1230));
    assert_eq!(&cast(decimal(3, -1, 123), &DataType::Decimal128(4, 0)).unwrap(), &decimal(4, 0, 1230));
    for (digits, after) in [(3, 2), (2, 1), (5, 0), (3, -1)] {
        let lost = cast(decimal(3, 1, 100), &DataType::Decimal128(digits, after));
        assert!(matches!(lost, Err(IpcError::ByName { .. })), "{digits}, {after}");
    }
}

#[test]
fn columns_are_found_whatever_their_order() {
    let whole = every_type(100);
    let fields = whole.schema_ref().fields();
    let reversed: Vec<usize> = (0..fields.len()).rev().collect();
    let batch = whole.project(&reversed).unwrap();
    let found = pieces(&whole.schema(), &batch).unwrap();
    assert_eq!(found, std::slice::from_ref(&whole), "and nothing is cast that need not be");
    for (one, other) in found[0].columns().iter().zip(whole.columns()) {
        assert!(one.to_data().ptr_eq(&other.to_data()));
    }
    assert_eq!(pieces(&whole.schema(), &batch.slice(3, 0)).unwrap(), [whole.slice(3, 0)]);

    let ab = schema(["a", "b"].map(|name| Field::new(name, DataType::Int64, true)).to_vec());
    let named = |names: &[&str]| {
        let column = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
        RecordBatch::try_from_iter(names.iter().map(|name| (*name, column()))).unwrap()
    };
    for (names, told) in [
        (&["a"][..], "\"b\" is missing. Add it"),
        (&["b", "c", "a"], "\"c\" is one too many. Leave it out"),
        (&["a", "__index_level_0__", "b"], "it is the index of pandas: `frame.reset_index(drop=True)`"),
        (&["a", "B"], "\"b\" is missing and \"B\" is one too many. Give columns the names"),
        (&["a", "b", "b"], "several columns are called \"b\""),
    ] {
        let error = pieces(&ab, &named(names)).unwrap_err().to_string();
        assert!(
            error.starts_with("batch 0 (counted from 0) cannot be matched by name") && error.contains(told),
            "{error}"
        );
        assert!(!error.contains("by_name=True"), "it is done already: {error}");
    }
    // Of each batch it is said which one it was.
    let mut by_name = ByName::new(&ab);
    by_name.push(&named(&["b", "a"])).unwrap();
    assert_eq!(by_name.by_ref().count(), 1);
    let error = by_name.push(&named(&["a"])).unwrap_err();
    assert!(matches!(error, IpcError::ByName { batch: 1, .. }), "{error}");
}

#[test]
fn nulls_become_anything_and_strict_columns_none() {
    let whole = every_type(5);
    for field in whole.schema_ref().fields() {
        let target = schema(vec![Field::new("c", field.data_type().clone(), true)]);
        let found = pieces(&target, &column(Arc::new(NullArray::new(5))));
        match field.data_type() {
            DataType::Union(..) | DataType::RunEndEncoded(..) => {
                assert!(matches!(found, Err(IpcError::ByName { .. })), "{field}");
            }
            data_type => assert_eq!(found.unwrap()[0].column(0), &new_null_array(data_type, 5)),
        }
    }
    let within = Fields::from(vec![Field::new(
        "u",
        DataType::Union(
            UnionFields::try_new([0], [Field::new("n", DataType::Int8, true)]).unwrap(),
            UnionMode::Sparse,
        ),
        true,
    )]);
    assert!(
        fits_by_name(&of(&DataType::Struct(within)), column(Arc::new(NullArray::new(1))).schema_ref())
            .is_err()
    );

    let strict = schema(vec![Field::new("c", DataType::Int64, false)]);
    assert_eq!(pieces(&strict, &column(Arc::new(Int32Array::from(vec![7])))).unwrap()[0].schema(), strict);
    for nulls in
        [Arc::new(NullArray::new(2)) as ArrayRef, Arc::new(Int32Array::from(vec![None, Some(1), None]))]
    {
        let error = pieces(&strict, &column(nulls)).unwrap_err().to_string();
        assert!(
            error.contains("column 0 (c) has nulls (2), and the schema allows none. Fill them"),
            "{error}"
        );
    }
}

#[test]
fn nested_columns_are_cast_within() {
    let item = |data_type: &DataType| Arc::new(Field::new("element", data_type.clone(), true));
    let ends = || OffsetBuffer::from_lengths([2, 0, 1, 1]);
    let nulls = || Some(NullBuffer::from(vec![true, false, true, true]));
    let values: ArrayRef = Arc::new(Int8Array::from(vec![Some(1), None, Some(3), Some(4)]));
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)]));
    let list: ArrayRef = Arc::new(ListArray::new(
        Arc::new(Field::new("item", DataType::Int8, false)).as_ref().clone().with_nullable(true).into(),
        ends(),
        Arc::clone(&values),
        nulls(),
    ));
    let large = LargeListArray::new(
        item(&DataType::Int64),
        OffsetBuffer::<i64>::from_lengths([2, 0, 1, 1]),
        Arc::clone(&wide),
        nulls(),
    );
    assert_eq!(cast(Arc::clone(&list), large.data_type()).unwrap().as_list::<i64>(), &large);
    // Cut out of a longer one, and back to fewer bits of offsets.
    assert_eq!(cast(list.slice(2, 2), large.data_type()).unwrap().as_list::<i64>(), &large.slice(2, 2));
    let to_list = DataType::List(item(&DataType::Int64));
    assert_eq!(
        cast(Arc::new(large.slice(1, 3)), &to_list).unwrap().as_list::<i32>().value(1).as_ref(),
        &Int64Array::from(vec![3])
    );

    let fixed = FixedSizeListArray::new(item(&DataType::Int8), 2, Arc::clone(&values), None);
    let expected = FixedSizeListArray::new(item(&DataType::Int64), 2, Arc::clone(&wide), None);
    assert_eq!(cast(Arc::new(fixed), expected.data_type()).unwrap().as_fixed_size_list(), &expected);

    let fields = |names: [(&str, &DataType); 2]| {
        Fields::from(names.map(|(name, of)| Field::new(name, of.clone(), true)).to_vec())
    };
    let given = fields([("y", &DataType::Utf8), ("x", &DataType::Int8)]);
    let wanted = fields([("x", &DataType::Int64), ("y", &DataType::Utf8View)]);
    let given = StructArray::new(given, vec![Arc::clone(&texts()[0]), values], nulls());
    let expected = StructArray::new(wanted.clone(), vec![wide, Arc::clone(&texts()[2])], nulls());
    assert_eq!(cast(Arc::new(given.clone()), expected.data_type()).unwrap().as_struct(), &expected);
    assert_eq!(
        cast(Arc::new(given.slice(1, 2)), expected.data_type()).unwrap().as_struct(),
        &expected.slice(1, 2)
    );
    let other = fields([("x", &DataType::Int64), ("z", &DataType::Utf8View)]);
    assert!(fits_by_name(&of(&DataType::Struct(other)), column(Arc::new(given)).schema_ref()).is_err());
    let lost = fields([("x", &DataType::Utf8), ("y", &DataType::Utf8)]);
    let refused = fits_by_name(&of(&DataType::Struct(lost)), column(Arc::new(expected)).schema_ref());
    assert_eq!(refused.unwrap_err().to_string(), "column 0 (c.x): the type is Int64, expected Utf8 (string)");

    let entries = |names: [&str; 2], value: &DataType| {
        let fields =
            vec![Field::new(names[0], DataType::Utf8, false), Field::new(names[1], value.clone(), true)];
        Arc::new(Field::new("entries", DataType::Struct(fields.into()), false))
    };
    let DataType::Struct(fields) = entries(["keys", "values"], &DataType::Int8).data_type().clone() else {
        panic!()
    };
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let pairs = StructArray::new(fields, vec![keys, Arc::new(Int8Array::from(vec![1, 2, 3]))], None);
    let map = MapArray::new(
        entries(["keys", "values"], &DataType::Int8),
        OffsetBuffer::from_lengths([1, 2]),
        pairs,
        None,
        false,
    );
    let to = DataType::Map(entries(["key", "value"], &DataType::Int32), false);
    let found = cast(Arc::new(map.slice(1, 1)), &to).unwrap();
    assert_eq!(found.as_map().value(0).column(1).as_ref(), &Int32Array::from(vec![2, 3]));
}

#[test]
fn what_does_not_fit_is_told_with_its_column() {
    let far: ArrayRef = primitive::<TimestampSecondType>([Some(i64::MAX / 1000), None, Some(1)]);
    let error = cast(far, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap_err();
    assert!(matches!(error, IpcError::Cast { batch: 0, column: 0, .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("column 0 (\"c\"): not all values of Timestamp(s) can be cast to Timestamp(µs)"),
        "{error}"
    );

    let many: ArrayRef = Arc::new(StringArray::from_iter_values((0..200).map(|n| n.to_string())));
    let small = dictionary(DataType::Int8, DataType::Utf8);
    for array in [Arc::clone(&many), cast(many, &dictionary(DataType::Int32, DataType::LargeUtf8)).unwrap()] {
        let error = cast(array, &small).unwrap_err();
        assert!(matches!(error, IpcError::Cast { .. }), "{error}");
    }

    let in_order = Field::new("c", small.clone(), true).with_dict_is_ordered(true);
    let in_order = schema(vec![in_order]);
    for array in [words(), Arc::clone(&texts()[0])] {
        assert!(matches!(pieces(&in_order, &column(array)), Err(IpcError::ByName { .. })));
    }
    // Behind a batch that fits, and within lists: equal as types, and not the same.
    for nested in [false, true] {
        let [ordered, not] = [true, false].map(|ordered| {
            let item = Field::new("c", small.clone(), true).with_dict_is_ordered(ordered);
            let field = if nested { Field::new_list("c", item, true) } else { item };
            RecordBatch::new_empty(schema(vec![field]))
        });
        for (first, second) in [(&ordered, &not), (&not, &ordered)] {
            let mut by_name = ByName::new(first.schema_ref());
            by_name.push(first).unwrap();
            assert!(by_name.all(|piece| piece.is_ok()));
            let refused = by_name.push(second).unwrap_err().to_string();
            assert!(
                refused.contains("the dictionary is ") && refused.contains("ordered, expected"),
                "{refused}"
            );
        }
    }
    let zoned = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Second, zone.map(Into::into));
    for (to, from) in [
        (zoned(Some("UTC")), zoned(None)),
        (zoned(Some("UTC")), zoned(Some("Europe/Vienna"))),
        (DataType::Float64, DataType::Int32),
        (DataType::Int64, DataType::Float32),
        (DataType::Int64, DataType::Utf8),
        (DataType::Utf8, DataType::Int64),
        (DataType::Binary, DataType::Utf8),
        (DataType::Int8, DataType::UInt8),
        (DataType::UInt64, DataType::Int8),
        (DataType::FixedSizeBinary(3), DataType::Binary),
        (DataType::FixedSizeBinary(3), DataType::FixedSizeBinary(2)),
        (DataType::Null, DataType::Int8),
        (dictionary(DataType::Int8, DataType::Float32), DataType::Float32),
        (DataType::new_list(DataType::Int8, false), DataType::new_list(DataType::Int8, true)),
        (
            DataType::new_fixed_size_list(DataType::Int8, 2, true),
            DataType::new_fixed_size_list(DataType::Int8, 3, true),
        ),
    ] {
        let refused = fits_by_name(&of(&to), &of(&from)).unwrap_err().to_string();
        assert!(refused.starts_with("column 0 (c"), "{refused}");
    }
    let tagged = Field::new("c", DataType::FixedSizeBinary(16), true).with_metadata(
        [("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())].into_iter().collect::<HashMap<_, _>>(),
    );
    assert!(fits_by_name(&schema(vec![tagged.clone()]), &of(&DataType::FixedSizeBinary(16))).is_err());
    assert!(fits_by_name(&schema(vec![tagged]), &of(&DataType::Null)).is_ok());
}

/// Memory is in proportion to what is made at a time, not to what keys and views stand for.
#[test]
fn what_is_made_is_made_in_pieces() {
    let word = "w".repeat(1 << 20);
    let keys = PrimitiveArray::<Int32Type>::from_iter_values(std::iter::repeat_n(0, 300));
    let one_word: ArrayRef =
        Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![word.as_str()]))));
    let view = StringViewArray::from_iter_values([word.as_str()]);
    let views = ScalarBuffer::from(vec![view.views()[0]; 300]);
    let views: ArrayRef = Arc::new(StringViewArray::new(views, view.data_buffers().to_vec(), None));
    for array in [one_word, views] {
        let mut by_name = ByName::new(&of(&DataType::Utf8));
        by_name.push(&column(array)).unwrap();
        let mut rows = 0;
        for piece in by_name {
            let piece = piece.unwrap();
            assert!(piece.get_array_memory_size() < 100 << 20, "{} rows at once", piece.num_rows());
            assert!(piece.column(0).as_string::<i32>().iter().all(|text| text == Some(&*word)));
            rows += piece.num_rows();
        }
        assert_eq!(rows, 300);
    }
    // Nulls take nothing, and a row of this type two gigabytes.
    let nulls = column(Arc::new(NullArray::new(1 << 30)));
    let error = pieces(&of(&DataType::FixedSizeBinary(i32::MAX)), &nulls).unwrap_err();
    assert!(matches!(error, IpcError::CastLength { column: 0, bytes: 2_147_483_647, .. }), "{error}");
    let nested = DataType::new_fixed_size_list(DataType::FixedSizeBinary(i32::MAX), i32::MAX, true);
    assert!(matches!(pieces(&of(&nested), &nulls), Err(IpcError::CastLength { .. })));
    let mut by_name = ByName::new(&of(&DataType::Int64));
    by_name.push(&nulls).unwrap();
    assert_eq!(by_name.next().unwrap().unwrap().num_rows(), 8 << 20, "the next piece, and no more");

    // The words of a dictionary are cast once, and shared by what is made of all of them.
    let mut by_name = ByName::new(&of(&dictionary(DataType::Int32, DataType::LargeUtf8)));
    let mut made: Vec<ArrayRef> = Vec::new();
    let batch = one_column(words().as_dictionary::<Int8Type>().clone());
    let batch = column(Arc::clone(batch.column(0)));
    for part in [batch.slice(0, 2), batch.slice(2, 2)] {
        by_name.push(&part).unwrap();
        made.extend(
            by_name.by_ref().map(|piece| Arc::clone(piece.unwrap().column(0).as_any_dictionary().values())),
        );
    }
    assert!(made[0].to_data().ptr_eq(&made[1].to_data()));
}
