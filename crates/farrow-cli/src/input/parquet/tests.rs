//! Footers that say one thing here and another there.

use std::io::Write as _;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Int64Array, ListArray};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::{FileMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData};
use parquet::file::properties::WriterProperties;

use super::*;

/// Two row groups of six rows, of a flat column and of lists.
fn whole() -> Vec<u8> {
    let lists = (0..12).map(|row| (row % 5 != 0).then(|| (0..row % 3).map(Some)));
    let columns: [(&str, ArrayRef); 2] = [
        ("flat", Arc::new((0..12).collect::<Int64Array>())),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(6)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

/// The same pages behind another footer: other rows of the file, other row groups.
fn with_footer(rows: i64, groups: impl Fn(Vec<RowGroupMetaData>) -> Vec<RowGroupMetaData>) -> Vec<u8> {
    let mut bytes = whole();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&stored(&bytes)).unwrap();
    let of = metadata.file_metadata();
    let created_by = of.created_by().map(str::to_owned);
    let (meta, orders) = (of.key_value_metadata().cloned(), of.column_orders().cloned());
    let file = FileMetaData::new(of.version(), rows, created_by, meta, of.schema_descr_ptr(), orders);
    let metadata = ParquetMetaData::new(file, groups(metadata.row_groups().to_vec()));
    let tail = bytes.len() - 8;
    let len = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap());
    bytes.truncate(tail - len as usize);
    let end = bytes.len();
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
    // The writer makes the file's rows the sum of the groups'. They are a varint of one byte between two field headers.
    let groups = metadata.row_groups();
    let zigzag = |rows: i64| u8::try_from(2 * rows.abs() - i64::from(rows < 0)).unwrap();
    let sum = zigzag(groups.iter().map(RowGroupMetaData::num_rows).sum());
    let place = [0x16, sum, 0x19, u8::try_from(groups.len() << 4).unwrap() | 0x0c];
    let place = bytes[end..].windows(4).position(|bytes| bytes == place).unwrap();
    bytes[end + place + 1] = zigzag(rows);
    bytes
}

fn stored(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn read(bytes: &[u8]) -> Result<usize, String> {
    let rows = open(Source::File(stored(bytes)), &Progress::hidden()).map_err(|error| error.to_string())?;
    let rows = rows.map(|batch| batch.map(|batch| batch.num_rows()));
    rows.sum::<Result<usize, _>>().map_err(|error| error.to_string())
}

fn with_rows(group: &RowGroupMetaData, rows: i64, values: impl Fn(i64) -> i64) -> RowGroupMetaData {
    let columns = group.columns().iter().cloned().map(|column| {
        let values = values(column.num_values());
        column.into_builder().set_num_values(values).build().unwrap()
    });
    let columns = columns.collect();
    group.clone().into_builder().set_num_rows(rows).set_column_metadata(columns).build().unwrap()
}

#[test]
fn counts_that_agree_are_read() {
    assert_eq!(read(&whole()), Ok(12));
    assert_eq!(read(&with_footer(12, |groups| groups)), Ok(12), "a footer that is written again is as good");
    assert_eq!(read(&with_footer(0, |_| vec![])), Ok(0));
}

#[test]
fn counts_that_differ_are_named() {
    let first = |rows: i64, values: fn(i64) -> i64| {
        move |mut groups: Vec<RowGroupMetaData>| {
            groups[0] = with_rows(&groups[0], rows, values);
            groups
        }
    };
    let cases = [
        (with_footer(0, |groups| groups), "the file has 0 rows, and that 12 are in its 2 row groups"),
        (with_footer(13, |groups| groups), "the file has 13 rows, and that 12 are in its 2 row groups"),
        (with_footer(-1, |groups| groups), "the file has -1 rows, and that 12 are in its 2 row groups"),
        (
            with_footer(12, |groups| groups[..1].to_vec()),
            "the file has 12 rows, and that 6 are in its 1 row group",
        ),
        (with_footer(-1, first(-7, |n| n)), "row group 0 has -7 rows"),
        (
            with_footer(12, first(6, |n| n - 1)),
            "row group 0 has 6 rows, and that its column flat has 5 values",
        ),
        (with_footer(9, first(3, |n| n)), "row group 0 has 3 rows, and that its column flat has 6 values"),
    ];
    for (bytes, told) in cases {
        let error = read(&bytes).unwrap_err();
        assert!(error.contains(told) && !error.contains('\n'), "{error}");
    }
}

/// Where the footer agrees with itself, the pages have fewer rows.
#[test]
fn rows_that_are_not_there_are_missed() {
    let seven = with_footer(13, |groups| {
        let mut groups = groups;
        let columns = groups[0].columns().iter().cloned();
        let columns =
            columns.map(|column| column.into_builder().set_num_values(7).build().unwrap()).collect();
        groups[0] =
            groups[0].clone().into_builder().set_num_rows(7).set_column_metadata(columns).build().unwrap();
        groups
    });
    let error = read(&seven).unwrap_err();
    assert!(!error.contains('\n'), "{error}");
}
