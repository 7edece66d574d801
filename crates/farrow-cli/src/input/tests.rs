//! Files as they may be: whole, cut, changed, invented.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{BrotliLevel, Compression};
use ::parquet::file::properties::WriterProperties;
use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampSecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, ListArray, StringArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use tempfile::TempDir;

use super::*;
use crate::encode::Encoder;

const PLAIN: Csv = Csv { delimiter: None, no_header: false, text: false };

fn rows() -> RecordBatch {
    let mut keys = StringDictionaryBuilder::<Int32Type>::new();
    for row in 0..1000 {
        keys.append(if row % 3 == 0 { "low" } else { "high" }).unwrap();
    }
    let lists = (0..1000).map(|row| (row % 7 != 0).then(|| (0..row % 5).map(Some)));
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new((0..1000).collect::<Int64Array>())),
        (
            "amount",
            Arc::new(
                (0..1000).map(|row| (row % 9 > 0).then_some(f64::from(row) / 8.0)).collect::<Float64Array>(),
            ),
        ),
        ("text", Arc::new((0..1000).map(|row| Some(format!("row {row}"))).collect::<StringArray>())),
        ("key", Arc::new(keys.finish())),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn encoded(format: Format, rows: &RecordBatch) -> Vec<u8> {
    let mut encoder = Encoder::new(format, &rows.schema(), Vec::new()).unwrap();
    encoder.write(&rows.slice(0, 600)).unwrap();
    encoder.write(&rows.slice(600, 400)).unwrap();
    encoder.finish().unwrap()
}

fn compressed(compression: CompressionType, file: bool, rows: &RecordBatch) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(Some(compression)).unwrap();
    let mut out = Vec::new();
    if file {
        let mut writer = FileWriter::try_new_with_options(&mut out, &rows.schema(), options).unwrap();
        writer.write(rows).unwrap();
        writer.finish().unwrap();
    } else {
        let mut writer = StreamWriter::try_new_with_options(&mut out, &rows.schema(), options).unwrap();
        writer.write(rows).unwrap();
        writer.finish().unwrap();
    }
    out
}

/// Every format, as its name ends, with the bytes of 1000 rows.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let rows = rows();
    let flat = rows.project(&[0, 1, 2]).unwrap();
    vec![
        ("arrow", encoded(Format::Ipc, &rows)),
        ("arrows", encoded(Format::Stream, &rows)),
        ("feather", compressed(CompressionType::LZ4_FRAME, true, &rows)),
        ("arrows", compressed(CompressionType::ZSTD, false, &rows)),
        ("parquet", encoded(Format::Parquet, &rows)),
        ("csv", encoded(Format::Csv, &flat)),
    ]
}

fn read(name: &str, bytes: &[u8], csv: &Csv) -> Result<Vec<RecordBatch>, String> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(name);
    File::create(&path).unwrap().write_all(bytes).unwrap();
    let rows = open(&path, None, csv, || None, &Progress::hidden()).map_err(|error| error.to_string())?;
    let schema = rows.schema();
    let batches = rows.collect::<Result<Vec<_>, _>>().map_err(|error| farrow_client::chain(&error))?;
    assert!(batches.iter().all(|batch| batch.schema() == schema));
    Ok(batches)
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[test]
fn every_format_gives_its_rows() {
    for (extension, bytes) in files() {
        let batches = read(&format!("a.{extension}"), &bytes, &PLAIN).unwrap();
        assert_eq!(count(&batches), 1000, "{extension}");
        // What a name does not tell, the first bytes do; but not of CSV.
        let found = read("a", &bytes, &PLAIN);
        assert_eq!(found.is_ok(), extension != "csv", "{extension}: {found:?}");
    }
    let rows = rows();
    let read = read("a.arrow", &encoded(Format::Ipc, &rows), &PLAIN).unwrap();
    assert_eq!(read, [rows.slice(0, 600), rows.slice(600, 400)]);
}

#[test]
fn files_one_after_another_are_refused() {
    for (extension, bytes) in files().into_iter().filter(|(extension, _)| *extension != "csv") {
        let refused = read(&format!("a.{extension}"), &[bytes.clone(), bytes].concat(), &PLAIN).unwrap_err();
        assert!(refused.contains("one after another"), "{extension}: {refused}");
    }
    // Files without rows are files, too.
    let none = rows().slice(0, 0);
    for (name, format) in
        [("a.arrow", Format::Ipc), ("a.arrows", Format::Stream), ("a.parquet", Format::Parquet)]
    {
        let mut encoder = Encoder::new(format, &none.schema(), Vec::new()).unwrap();
        encoder.write(&none).unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(count(&read(name, &bytes, &PLAIN).unwrap()), 0);
        let refused = read(name, &[bytes.clone(), bytes].concat(), &PLAIN).unwrap_err();
        assert!(refused.contains("one after another"), "{name}: {refused}");
    }
}

#[test]
fn what_is_cut_off_is_told() {
    for (extension, bytes) in files() {
        for len in (0..bytes.len()).step_by(1 + bytes.len() / 97) {
            match read(&format!("a.{extension}"), &bytes[..len], &PLAIN) {
                Err(error) => assert!(error.contains(&format!("a.{extension}: ")), "{error}"),
                // A stream need not say that it ends, and of CSV every part is one.
                Ok(rows) => {
                    assert!(
                        ["arrows", "csv"].contains(&extension),
                        "{extension}, {len} of {} bytes",
                        bytes.len()
                    );
                    assert!(count(&rows) <= 1000);
                }
            }
        }
    }
}

/// Whatever is changed, it is rows or an error: no panic comes this far, and no length is believed.
#[test]
fn what_is_damaged_is_rows_or_an_error() {
    crate::contained::quiet_panics();
    let (mut errors, mut random) = (0, fastrand::Rng::with_seed(1));
    for (extension, bytes) in files() {
        for _ in 0..300 {
            let mut damaged = bytes.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..damaged.len());
                let len = random.usize(1..=8).min(damaged.len() - at);
                match random.u8(..3) {
                    0 => damaged[at..at + len].fill(0xff),
                    1 => damaged[at] ^= 1 << random.u8(..8),
                    _ => damaged[at..at + len].fill_with(|| random.u8(..)),
                }
            }
            errors += usize::from(read(&format!("a.{extension}"), &damaged, &PLAIN).is_err());
        }
    }
    assert!(errors > 100, "{errors} of 1800");
}

#[test]
fn lengths_are_not_believed() {
    let stream = encoded(Format::Stream, &rows());
    for (len, told) in [(u32::MAX / 2, "bytes of metadata"), (200 << 20, "ends within a message")] {
        let mut damaged = stream.clone();
        damaged[4..8].copy_from_slice(&len.to_le_bytes());
        let error = read("a.arrows", &damaged, &PLAIN).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
    // The second message's, the first one with a body.
    let prefix = |at: usize| u32::from_le_bytes(stream[at + 4..at + 8].try_into().unwrap()) as usize;
    let second = 8 + prefix(0);
    let metadata = &stream[second + 8..second + 8 + prefix(second)];
    let len = arrow_ipc::root_as_message(metadata).unwrap().bodyLength().to_le_bytes();
    let place = second + 8 + metadata.windows(8).position(|bytes| bytes == len).unwrap();
    for (len, told) in [
        (-1, "a message of -1 bytes"),
        (1 << 60, "at most 4294967296 are read"),
        (1 << 31, "ends within a message"),
    ] {
        let mut damaged = stream.clone();
        damaged[place..place + 8].copy_from_slice(&i64::to_le_bytes(len));
        let error = read("a.arrows", &damaged, &PLAIN).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn csv_is_typed_by_its_values() {
    let types = |text: &str, csv: &Csv| -> Vec<String> {
        let batches = read("a.csv", text.as_bytes(), csv).unwrap();
        batches[0]
            .schema()
            .fields()
            .iter()
            .map(|field| format!("{} {}", field.name(), field.data_type()))
            .collect()
    };
    let text = "id,amount,day,none,name\n1,2.5,2020-01-31,,x\n2,,2020-02-01,,\"a\n, b\"\n";
    assert_eq!(types(text, &PLAIN), ["id Int64", "amount Float64", "day Date32", "none Utf8", "name Utf8"]);
    let as_text = Csv { text: true, ..PLAIN };
    assert_eq!(types("\u{feff}a,b\n1,2\n", &as_text), ["a Utf8", "b Utf8"]);
    let others = Csv { delimiter: Some(b';'), no_header: true, text: false };
    assert_eq!(types("1;2\n3;4\n", &others), ["column_1 Int64", "column_2 Int64"]);
    assert_eq!(count(&read("a.tsv", b"a\tb\n1\t2\n", &PLAIN).unwrap()), 1);
}

#[test]
fn csv_that_does_not_fit_is_told_with_its_line() {
    let error = read("a.csv", b"a,b\n1,2\n3\n", &PLAIN).unwrap_err();
    assert!(error.contains("line 3") && error.contains("expected 2 got 1"), "{error}");
    let mut late = b"a\n".to_vec();
    late.extend(b"1\n".repeat(1 << 20));
    late.extend(b"one\n");
    let error = read("a.csv", &late, &PLAIN).unwrap_err();
    assert!(error.contains("'one'") && error.contains("--text"), "{error}");
    assert_eq!(count(&read("a.csv", &late, &Csv { text: true, ..PLAIN }).unwrap()), (1 << 20) + 1);
    let error = read("a.csv", b"", &PLAIN).unwrap_err();
    assert!(error.contains("is empty"), "{error}");
    let error = read("a.csv", b"a,b\n\xff\xfe,2\n", &PLAIN).unwrap_err();
    assert!(error.contains("UTF-8"), "{error}");
}

fn field_types(batches: &[RecordBatch]) -> Vec<String> {
    batches[0].schema().fields().iter().map(|field| field.data_type().to_string()).collect()
}

#[test]
fn csv_times_keep_their_offset() {
    let text = "local,offset,utc,mixed\n\
        2024-01-01 00:00:00,2024-01-01T00:00:00+02:00,2024-01-01T00:00:00.5Z,2024-01-01 00:00:00Z\n\
        2024-01-01 01:00:00,,2024-01-01T01:00:00Z,2024-01-01 01:00:00\n";
    let batches = read("a.csv", text.as_bytes(), &PLAIN).unwrap();
    let types = ["Timestamp(s)", "Timestamp(s, \"UTC\")", "Timestamp(ms, \"UTC\")", "Utf8"];
    assert_eq!(field_types(&batches), types);
    let instants = batches[0].column(1).as_primitive::<TimestampSecondType>();
    assert_eq!((instants.value(0), instants.is_null(1)), (1_704_060_000, true));
    let mixed = batches[0].column(3).as_string::<i32>();
    assert_eq!(mixed.value(0), "2024-01-01 00:00:00Z");
}

/// Behind the sample, a time of the other kind or with a fraction would lose a part of it.
#[test]
fn csv_times_that_lose_something_are_told_with_their_row() {
    for (first, late, told) in [
        ("2024-01-01 00:00:00", "2024-01-01 00:00:00+02:00", "has an offset"),
        ("2024-01-01 00:00:00Z", "2024-01-01 00:00:00", "has no offset"),
        ("2024-01-01 00:00:00", "2024-01-01 00:00:00.25", "has a fraction"),
        ("2024-01-01 00:00:00", "2024-13-01 00:00:00", "is no time"),
        ("2024-01-01 00:00:00", "2016-12-31 23:59:60", "is a leap second"),
        ("2024-01-01 00:00:00Z", "2016-12-31T23:59:60Z", "is a leap second"),
    ] {
        let rows = 1 << 17;
        let text = format!("t\n{}{late}\n", format!("{first}\n").repeat(rows));
        let error = read("a.csv", text.as_bytes(), &PLAIN).unwrap_err();
        let place = format!("row {}, column t: '{late}' {told}", rows + 1);
        assert!(error.contains(&place) && error.contains("--text"), "{error}");
    }
}

/// Arrow's own reader makes another second of each.
#[test]
fn csv_leap_seconds_are_text_or_refused() {
    let text = "a,b,c,d\n\
        2016-12-31T23:59:60Z,2016-12-31 23:59:60.5,2016-12-31T23:59:60+01:00,2016-12-31T23:59:59+00:60\n";
    let batches = read("a.csv", text.as_bytes(), &PLAIN).unwrap();
    assert_eq!(field_types(&batches)[..3], ["Utf8", "Utf8", "Utf8"]);
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "2016-12-31T23:59:60Z");
    // Into columns that there are.
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.csv");
    for (r#type, leap, other, told) in [
        (DataType::Timestamp(TimeUnit::Second, None), "2016-12-31 23:59:60", "2016-12-31 23:59:59", None),
        (DataType::Timestamp(TimeUnit::Second, None), "2016-12-31 235960", "2016-12-31 235959", None),
        (DataType::Date64, "2016-12-31 23:59:60.5", "2016-12-31 00:00:00", None),
        (DataType::Time32(TimeUnit::Second), "23:59:60", "11:59:59 pm", None),
        (DataType::Time64(TimeUnit::Nanosecond), "12:34:60.5", "12:34:59.5", None),
        (DataType::Time32(TimeUnit::Second), "23:59:59.5", "23:59:59", Some("has a fraction")),
    ] {
        let schema = Arc::new(Schema::new(vec![Field::new("t", r#type, true)]));
        let rows = |value: &str| {
            std::fs::write(&path, format!("t\n{other}\n{value}\n")).unwrap();
            let known = || Some(Known { schema: schema.clone(), by_name: false });
            let rows = open(&path, None, &PLAIN, known, &Progress::hidden()).unwrap();
            rows.map(|batch| batch.map(|batch| batch.num_rows())).collect::<Result<Vec<_>, _>>()
        };
        assert_eq!(rows(other).unwrap(), [2]);
        let error = farrow_client::chain(&rows(leap).unwrap_err());
        let place = format!("row 2, column t: '{leap}' {}", told.unwrap_or("is a leap second"));
        assert!(error.contains(&place), "{error}");
    }
}

#[test]
fn options_of_csv_are_refused_for_other_formats() {
    let parquet = encoded(Format::Parquet, &rows());
    for (name, csv, option) in [
        ("a.parquet", Csv { delimiter: Some(b';'), ..PLAIN }, "--delimiter"),
        ("a", Csv { no_header: true, ..PLAIN }, "--no-header"),
        ("a.pq", Csv { text: true, ..PLAIN }, "--text"),
    ] {
        let error = read(name, &parquet, &csv).unwrap_err();
        assert!(error.contains(&format!("is read as parquet, and {option} is of CSV")), "{error}");
    }
    let stream = encoded(Format::Stream, &rows());
    assert!(read("a", &stream, &Csv { text: true, ..PLAIN }).unwrap_err().contains("is read as stream"));
}

#[test]
fn csv_ends_with_no_quote_open() {
    let rows = b"1,\"a\nb\"\n".repeat(200_000);
    for (text, place) in [
        (b"a,b\n1,\"x\n2,y\n".to_vec(), "line 2, character 3"),
        (b"a,\"b\n1,2\n".to_vec(), "line 1, character 3"),
        ([b"a,b\n", &rows[..], b"2,\"c\n3,d\n"].concat(), "line 400002, character 3"),
    ] {
        let error = read("a.csv", &text, &PLAIN).unwrap_err();
        assert!(error.contains(place) && error.contains("never closed"), "{error}");
    }
    assert_eq!(count(&read("a.csv", &[b"a,b\n", &rows[..]].concat(), &PLAIN).unwrap()), 200_000);
}

#[test]
fn csv_errors_do_not_repeat_a_long_value() {
    let mut text = b"a,b\n".to_vec();
    text.extend(b"1,2\n".repeat(300_000));
    text.extend(b"y' as type 'z".repeat(200_000));
    text.extend(b",3\n");
    let error = read("a.csv", &text, &PLAIN).unwrap_err();
    assert!(error.len() < 1024, "{} bytes", error.len());
    assert!(error.contains("line 300002, column a: 'y' as type") && error.contains("Int64"), "{error}");
}

#[test]
fn feather_v1_is_called_so() {
    for name in ["a.feather", "a"] {
        let error = read(name, b"FEA1\0\0\0\0\x10\0\0\0", &PLAIN).unwrap_err();
        assert!(error.contains("Feather V1") && error.contains("pyarrow.feather"), "{error}");
    }
}

#[test]
fn parquet_by_brotli_is_read() {
    let rows = rows();
    let properties = WriterProperties::builder().set_compression(Compression::BROTLI(BrotliLevel::default()));
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties.build())).unwrap();
    writer.write(&rows).unwrap();
    assert_eq!(count(&read("a.parquet", &writer.into_inner().unwrap(), &PLAIN).unwrap()), 1000);
}

#[test]
fn metadata_of_schema_and_fields_survive() {
    let field = Field::new("x", DataType::Int64, true);
    let field = field.with_metadata(HashMap::from([("unit".to_owned(), "m".to_owned())]));
    let metadata = [("pandas".to_owned(), "{}".to_owned()), ("geo".to_owned(), "{\"v\": 1}".to_owned())];
    let schema = Arc::new(Schema::new_with_metadata(vec![field], HashMap::from(metadata)));
    let rows =
        RecordBatch::try_new(schema.clone(), vec![Arc::new((0..1000).collect::<Int64Array>())]).unwrap();
    let files = [
        ("arrow", encoded(Format::Ipc, &rows)),
        ("arrows", encoded(Format::Stream, &rows)),
        ("feather", compressed(CompressionType::LZ4_FRAME, true, &rows)),
        ("parquet", encoded(Format::Parquet, &rows)),
    ];
    for (extension, bytes) in files {
        let batches = read(&format!("a.{extension}"), &bytes, &PLAIN).unwrap();
        assert_eq!(batches[0].schema(), schema, "{extension}");
    }
}
