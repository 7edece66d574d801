//! Files as they may be: whole, cut, changed, invented.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
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
    let mut encoder = Encoder::new(format, b',', &rows.schema(), Vec::new()).unwrap();
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
    quiet_panics();
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
