//! Files that are wrong in one number each.

use std::sync::Arc;

use arrow_buffer::Buffer;
use arrow_ipc::{Block, MetadataVersion};
use arrow_schema::{DataType, Field, Schema, UnionFields, UnionMode};
use farrow_ipc::{
    ArrayProblem, BlockProblem, DictionaryProblem, IpcError, Layout, MessageProblem, Place, SegmentReader,
    Trust,
};

use crate::forge::{Message, encoder, file, file_with};

fn schema(data_type: DataType, nullable: bool) -> Schema {
    Schema::new(vec![Field::new("column", data_type, nullable)])
}

/// Two 64-bit numbers.
fn numbers() -> Message {
    Message::batch(2, &[(2, 0)], &[(0, 0), (0, 16)], vec![0; 64])
}

fn int64() -> Schema {
    schema(DataType::Int64, true)
}

fn refused(bytes: &[u8]) -> IpcError {
    Layout::verify(bytes).unwrap_err()
}

fn array_problem(bytes: &[u8]) -> ArrayProblem {
    match refused(bytes) {
        IpcError::Array { problem, column: 0, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_forged_without_a_fault_is_accepted() {
    let bytes = file(&int64(), &[], &[numbers(), numbers()]);
    let reader = SegmentReader::open(Buffer::from(bytes.as_slice()), Trust::Untrusted).unwrap();
    assert_eq!((reader.rows(), reader.batch(1).unwrap().num_rows()), (4, 2));
}

#[test]
fn numbers_of_a_message_must_agree_with_the_footer() {
    let with = |change: &dyn Fn(&mut Message)| {
        let mut message = numbers();
        change(&mut message);
        match refused(&file(&int64(), &[], &[message])) {
            IpcError::Message { place: Place::Batch(0), problem } => problem,
            other => panic!("{other}"),
        }
    };
    assert_eq!(with(&|m| m.body_len = 128), MessageProblem::BodyLength { found: 128, expected: 64 });
    assert_eq!(with(&|m| m.body_len = -1), MessageProblem::BodyLength { found: -1, expected: 64 });
    assert_eq!(with(&|m| m.compressed = true), MessageProblem::Compressed);
    assert_eq!(with(&|m| m.rows = -1), MessageProblem::Rows { found: -1, max: i64::from(i32::MAX) });
    assert_eq!(
        with(&|m| m.rows = 1 << 31),
        MessageProblem::Rows { found: 1 << 31, max: i64::from(i32::MAX) }
    );
    assert_eq!(with(&|m| m.dictionary = Some((0, false))), MessageProblem::Kind { found: 2, expected: 3 });
    let old = Message { version: MetadataVersion::V4, ..numbers() };
    let error = refused(&file(&int64(), &[], &[old]));
    assert!(matches!(error, IpcError::Version { place: Place::Batch(0), found: 3 }), "{error}");
    let odd = Message { version: MetadataVersion(i16::MAX), ..numbers() };
    assert!(refused(&file(&int64(), &[], &[odd])).to_string().contains("version V32768"));
}

#[test]
fn blocks_must_lie_in_the_file_apart_from_each_other() {
    let with = |change: &dyn Fn(&mut Block)| {
        let tweak = |blocks: &mut Vec<Block>| change(&mut blocks[1]);
        match refused(&file_with(encoder(&int64()), &[], &[numbers(), numbers()], tweak)) {
            IpcError::Block { place: Place::Batch(_), problem, .. } => problem,
            other => panic!("{other}"),
        }
    };
    let out_of_bounds = |problem| matches!(problem, BlockProblem::OutOfBounds { .. });
    for position in [-64, 0, 1 << 20, i64::MAX - 63, i64::MIN] {
        assert!(out_of_bounds(with(&|b| *b = Block::new(position, b.metaDataLength(), b.bodyLength()))));
    }
    for len in [-8, 1 << 20, i64::MAX - 7] {
        assert!(out_of_bounds(with(&|b| *b = Block::new(b.offset(), b.metaDataLength(), len))));
    }
    for len in [-8, i32::MIN, i32::MAX - 7] {
        assert!(out_of_bounds(with(&|b| *b = Block::new(b.offset(), len, b.bodyLength()))));
    }
    let odd = with(&|b| *b = Block::new(b.offset() - 4, b.metaDataLength(), b.bodyLength()));
    assert_eq!(odd, BlockProblem::Misaligned { need: 8 });
    let twice = with(&|b| *b = Block::new(64, b.metaDataLength(), b.bodyLength()));
    assert!(matches!(twice, BlockProblem::Overlaps { .. }));
    let partly = with(&|b| *b = Block::new(b.offset() - 8, b.metaDataLength(), b.bodyLength()));
    assert!(matches!(partly, BlockProblem::Overlaps { .. }));
}

#[test]
fn metadata_must_fill_its_block() {
    for shorter in [8, 64] {
        let tweak = |blocks: &mut Vec<Block>| {
            let b = blocks[0];
            blocks[0] = Block::new(b.offset(), b.metaDataLength() - shorter, b.bodyLength());
        };
        let error = refused(&file_with(encoder(&int64()), &[], &[numbers()], tweak));
        let prefix = matches!(&error, IpcError::Message { problem: MessageProblem::Prefix { .. }, .. });
        assert!(prefix, "{error}");
    }
    let empty = |blocks: &mut Vec<Block>| blocks[0] = Block::new(64, 0, 0);
    let error = refused(&file_with(encoder(&int64()), &[], &[numbers()], empty));
    assert!(matches!(&error, IpcError::Message { problem: MessageProblem::Prefix { .. }, .. }), "{error}");
}

#[test]
fn buffers_must_lie_in_their_body_one_after_another() {
    let with = |validity: (i64, i64), values: (i64, i64)| {
        array_problem(&file(
            &int64(),
            &[],
            &[Message::batch(2, &[(2, 0)], &[validity, values], vec![0; 128])],
        ))
    };
    for values in
        [(64, 65), (128, 16), (-64, 16), (0, -16), (i64::MAX, 16), (i64::MAX - 8, i64::MAX), (0, i64::MIN)]
    {
        assert!(matches!(with((0, 0), values), ArrayProblem::OutOfBody { buffer: 1, .. }), "{values:?}");
    }
    let overlap = ArrayProblem::Overlap { buffer: 1, offset: 64, end: 65 };
    assert_eq!(with((0, 65), (64, 16)), overlap);
    assert_eq!(with((64, 16), (0, 16)), ArrayProblem::Overlap { buffer: 1, offset: 0, end: 80 });
    assert!(matches!(with((0, 0), (8, 16)), ArrayProblem::Misaligned { buffer: 1, need: 64, .. }));
    assert_eq!(with((0, 0), (64, 15)), ArrayProblem::TooShort { buffer: 1, len: 15, need: 16 });
}

#[test]
fn nodes_must_fit_rows_and_nulls() {
    let with = |nullable, node: (i64, i64), validity: i64| {
        let message = Message::batch(2, &[node], &[(0, validity), (64, 64)], vec![0; 128]);
        array_problem(&file(&schema(DataType::Int64, nullable), &[], &[message]))
    };
    assert_eq!(with(true, (1, 0), 0), ArrayProblem::OtherLength { found: 1, expected: 2 });
    assert_eq!(with(true, (-1, 0), 0), ArrayProblem::Length { found: -1, max: i64::from(i32::MAX) });
    assert_eq!(
        with(true, (i64::MAX, 0), 0),
        ArrayProblem::Length { found: i64::MAX, max: i64::from(i32::MAX) }
    );
    assert_eq!(with(true, (2, 3), 1), ArrayProblem::Nulls { found: 3, len: 2 });
    assert_eq!(with(true, (2, -1), 1), ArrayProblem::Nulls { found: -1, len: 2 });
    assert_eq!(with(true, (2, 1), 0), ArrayProblem::TooShort { buffer: 0, len: 0, need: 1 });
    assert_eq!(with(false, (2, 1), 1), ArrayProblem::Nulls { found: 1, len: 2 });
}

#[test]
fn every_type_needs_its_buffers() {
    let child = |data_type| Arc::new(Field::new("child", data_type, true));
    let short = |data_type: DataType, nodes: &[(i64, i64)], lens: &[i64]| {
        let mut end = 0;
        let buffers: Vec<_> = lens
            .iter()
            .map(|len| {
                let start = end;
                end += (len + 63) / 64 * 64;
                (start, *len)
            })
            .collect();
        let mut message = Message::batch(9, nodes, &buffers, vec![0; usize::try_from(end).unwrap()]);
        message.variadic = vec![0];
        array_problem(&file(&schema(data_type, true), &[], &[message]))
    };
    let too_short = |buffer, len, need| ArrayProblem::TooShort { buffer, len, need };
    let part = |buffer, len, width| ArrayProblem::PartOfElement { buffer, len, width };
    assert_eq!(short(DataType::Utf8, &[(9, 0)], &[0, 41, 0]), part(1, 41, 4));
    assert_eq!(short(DataType::BinaryView, &[(9, 0)], &[0, 152]), part(1, 152, 16));
    assert_eq!(short(DataType::Float64, &[(9, 0)], &[0, 73]), part(1, 73, 8));
    assert_eq!(short(DataType::Boolean, &[(9, 0)], &[0, 1]), too_short(1, 1, 2));
    assert_eq!(short(DataType::Utf8, &[(9, 0)], &[0, 36, 0]), too_short(1, 36, 40));
    assert_eq!(short(DataType::LargeBinary, &[(9, 0)], &[0, 72, 0]), too_short(1, 72, 80));
    assert_eq!(short(DataType::Utf8View, &[(9, 0)], &[0, 128]), too_short(1, 128, 144));
    assert_eq!(short(DataType::FixedSizeBinary(5), &[(9, 0)], &[0, 44]), too_short(1, 44, 45));
    assert_eq!(short(DataType::Decimal256(40, 0), &[(9, 0)], &[0, 256]), too_short(1, 256, 288));
    assert_eq!(
        short(DataType::List(child(DataType::Null)), &[(9, 0), (0, 0)], &[0, 36]),
        too_short(1, 36, 40)
    );
    let list_view = DataType::LargeListView(child(DataType::Null));
    assert_eq!(short(list_view, &[(9, 0), (0, 0)], &[0, 72, 64]), too_short(2, 64, 72));
    let keys = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
    assert_eq!(short(keys.clone(), &[(9, 9)], &[2, 16]), too_short(1, 16, 18));
    assert_eq!(short(keys, &[(9, 8)], &[2, 18]), ArrayProblem::NoDictionary);

    let union = |mode| {
        let fields = UnionFields::try_new([0], [Field::new("child", DataType::Null, true)]).unwrap();
        DataType::Union(fields, mode)
    };
    let nodes = [(9, 0), (9, 9)];
    assert_eq!(short(union(UnionMode::Sparse), &nodes, &[8]), too_short(0, 8, 9));
    assert_eq!(short(union(UnionMode::Dense), &nodes, &[9, 32]), too_short(1, 32, 36));
    assert_eq!(
        short(union(UnionMode::Sparse), &[(9, 1), (9, 9)], &[9]),
        ArrayProblem::Nulls { found: 1, len: 9 }
    );
}

#[test]
fn children_must_fit_their_parents() {
    let child = |data_type| Arc::new(Field::new("child", data_type, true));
    let of = |data_type: DataType, nodes: &[(i64, i64)], buffers: &[(i64, i64)]| {
        array_problem(&file(
            &schema(data_type, true),
            &[],
            &[Message::batch(9, nodes, buffers, vec![0; 128])],
        ))
    };
    let other = |found, expected| ArrayProblem::OtherLength { found, expected };
    let structs = DataType::Struct(vec![Field::new("child", DataType::Null, true)].into());
    assert_eq!(of(structs, &[(9, 0), (8, 8)], &[(0, 0)]), other(8, 9));
    let pairs = DataType::FixedSizeList(child(DataType::Null), 2);
    assert_eq!(of(pairs, &[(9, 0), (17, 17)], &[(0, 0)]), other(17, 18));
    let huge = DataType::FixedSizeList(child(DataType::Null), i32::MAX);
    assert_eq!(of(huge, &[(9, 0), (17, 17)], &[(0, 0)]), other(17, 9 * u64::from(i32::MAX.unsigned_abs())));
    let ids = UnionFields::try_new([0], [Field::new("child", DataType::Null, true)]).unwrap();
    let sparse = DataType::Union(ids, UnionMode::Sparse);
    assert_eq!(of(sparse, &[(9, 0), (10, 10)], &[(0, 9)]), other(10, 9));
    assert_eq!(of(DataType::Null, &[(9, 8)], &[]), ArrayProblem::Nulls { found: 8, len: 9 });

    let ends = Arc::new(Field::new("run_ends", DataType::Int16, false));
    let runs = DataType::RunEndEncoded(ends, child(DataType::Null));
    assert_eq!(of(runs.clone(), &[(9, 0), (2, 0), (3, 3)], &[(0, 0), (0, 4)]), other(3, 2));
    assert_eq!(of(runs.clone(), &[(9, 0), (0, 0), (0, 0)], &[(0, 0), (0, 0)]), other(0, 1));
    let nulls = ArrayProblem::Nulls { found: 1, len: 2 };
    assert_eq!(of(runs, &[(9, 0), (2, 1), (2, 2)], &[(0, 1), (64, 4)]), nulls);
}

#[test]
fn a_message_must_have_as_many_parts_as_the_schema() {
    let with = |nodes: &[(i64, i64)], buffers: &[(i64, i64)], variadic: &[i64]| {
        let message =
            Message { variadic: variadic.to_vec(), ..Message::batch(2, nodes, buffers, vec![0; 64]) };
        refused(&file(&schema(DataType::Utf8View, true), &[], &[message]))
    };
    let (node, views) = ((2, 0), [(0, 0), (0, 32)]);
    for (nodes, buffers, variadic, expected) in [
        (vec![node, node], vec![(0, 0), (0, 32)], vec![0], (1, 0, 0)),
        (vec![node], vec![(0, 0), (0, 32), (0, 0)], vec![0], (0, 1, 0)),
        (vec![node], vec![(0, 0), (0, 32)], vec![0, 0], (0, 0, 1)),
    ] {
        match with(&nodes, &buffers, &variadic) {
            IpcError::Leftover { nodes, buffers, variadic, .. } => {
                assert_eq!((nodes, buffers, variadic), expected);
            }
            other => panic!("{other}"),
        }
    }
    let problem = |error| match error {
        IpcError::Array { problem, .. } => problem,
        other => panic!("{other}"),
    };
    assert_eq!(problem(with(&[], &views, &[0])), ArrayProblem::NoNode);
    assert_eq!(problem(with(&[node], &views[..1], &[0])), ArrayProblem::NoBuffer { buffer: 1 });
    for count in [-1, 1, i64::MAX, i64::MIN] {
        let expected = ArrayProblem::Variadic { count: Some(count), left: 0 };
        assert_eq!(problem(with(&[node], &views, &[count])), expected);
    }
    assert_eq!(problem(with(&[node], &views, &[])), ArrayProblem::Variadic { count: None, left: 0 });
}

#[test]
fn a_dictionary_has_one_batch_before_its_keys() {
    let strings = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let schema = schema(strings, true);
    let dictionary = |id, delta| Message {
        dictionary: Some((id, delta)),
        ..Message::batch(1, &[(1, 0)], &[(0, 0), (0, 8), (64, 0)], vec![0; 64])
    };
    let keys = Message::batch(2, &[(2, 0)], &[(0, 0), (0, 2)], vec![0; 64]);
    let bytes = file(&schema, &[dictionary(0, false)], std::slice::from_ref(&keys));
    let reader = SegmentReader::open(Buffer::from(bytes.as_slice()), Trust::Untrusted).unwrap();
    assert_eq!(reader.batch(0).unwrap().num_rows(), 2);

    let problem =
        |dictionaries: &[Message]| match refused(&file(&schema, dictionaries, std::slice::from_ref(&keys))) {
            IpcError::Dictionary { problem, place, .. } => (problem, place),
            other => panic!("{other}"),
        };
    assert_eq!(problem(&[dictionary(1, false)]), (DictionaryProblem::Unknown, Place::Dictionary(0)));
    assert_eq!(problem(&[dictionary(0, true)]), (DictionaryProblem::Delta, Place::Dictionary(0)));
    let twice = [dictionary(0, false), dictionary(0, false)];
    assert_eq!(problem(&twice), (DictionaryProblem::Replaced, Place::Dictionary(1)));
    assert_eq!(array_problem(&file(&schema, &[], &[keys])), ArrayProblem::NoDictionary);

    // The format lets a dictionary be left out that nothing refers to; Arrow C++ reads no such file.
    let nulls = Message::batch(2, &[(2, 2)], &[(0, 1), (64, 2)], vec![0; 128]);
    assert_eq!(array_problem(&file(&schema, &[], &[nulls])), ArrayProblem::NoDictionary);
}

#[test]
fn bytes_that_are_no_file_are_refused() {
    assert!(matches!(refused(b""), IpcError::TooShort { len: 0, need: 18 }));
    assert!(matches!(refused(&[0; 17]), IpcError::TooShort { len: 17, need: 18 }));
    assert!(matches!(refused(&[0; 18]), IpcError::Magic { position: 0 }));
    assert!(matches!(refused(b"ARROW1\0\0\0\0\0\0\0\0\0\0\0\0\0"), IpcError::Magic { position: 13 }));
    for len in [0, -1, 1, i32::MIN, i32::MAX] {
        let bytes = [b"ARROW1\0\0".as_slice(), &len.to_le_bytes(), b"ARROW1"].concat();
        let error = refused(&bytes);
        assert!(matches!(error, IpcError::FooterLength { found, room: 0 } if found == len), "{error}");
    }
    let good = file(&int64(), &[], &[numbers()]);
    for len in 0..good.len() {
        assert!(Layout::verify(&good[..len]).is_err(), "cut to {len} bytes");
    }
}

#[test]
fn other_bytes_than_those_verified_are_refused() {
    let (one, two) = (file(&int64(), &[], &[numbers()]), file(&int64(), &[], &[numbers(), numbers()]));
    let layout = Layout::verify(&one).unwrap();
    let error = layout.validate_values(Buffer::from(two.as_slice())).unwrap_err();
    assert!(matches!(error, IpcError::OtherBytes { .. }), "{error}");
    // Of the same length, but with other metadata: still an error, not a panic.
    let mut zeroed = one.clone();
    zeroed[64..].fill(0);
    assert!(layout.validate_values(Buffer::from(zeroed.as_slice())).is_err());
}
