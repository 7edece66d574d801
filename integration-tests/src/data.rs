//! Frames for tests.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::FileWriter;
use farrow_client::{ClientError, Frame};

/// A batch of `rows` numbers from `first` on, and each as text.
///
/// # Panics
/// Never: the columns have one length.
pub fn batch(first: i64, rows: i64) -> RecordBatch {
    let numbers: Int64Array = (first..first + rows).collect();
    let texts: StringArray = (first..first + rows).map(|number| Some(format!("row {number}"))).collect();
    let columns: [(&str, ArrayRef); 2] = [("number", Arc::new(numbers)), ("text", Arc::new(texts))];
    RecordBatch::try_from_iter(columns).expect("two columns of one length")
}

/// So many MiB of numbers, from `first` on.
///
/// # Panics
/// Never: there is one column.
pub fn mebibytes(first: i64, mib: i64) -> RecordBatch {
    let numbers: Int64Array = (first..first + (mib << 17)).collect();
    RecordBatch::try_from_iter([("number", Arc::new(numbers) as ArrayRef)]).expect("one column")
}

/// Three rows of so many columns: a schema of some 150 bytes for each.
///
/// # Panics
/// If there is no column.
pub fn wide(columns: usize) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let columns = (0..columns).map(|number| (format!("a column of many {number}"), column.clone()));
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// An Arrow file as any other program writes it.
///
/// # Panics
/// If there is no batch.
pub fn arrow_file(batches: &[RecordBatch]) -> Vec<u8> {
    let schema = batches.first().expect("a batch").schema();
    let mut writer = FileWriter::try_new(Vec::new(), &schema).expect("a schema that can be written");
    batches.iter().for_each(|batch| writer.write(batch).expect("memory takes all"));
    writer.into_inner().expect("memory takes all")
}

/// The numbers of a batch.
pub fn numbers(batch: &RecordBatch) -> &[i64] {
    batch.column(0).as_primitive::<Int64Type>().values()
}

/// Reads all numbers of a frame.
///
/// # Errors
/// If a batch cannot be decoded.
pub fn sum(frame: &Frame) -> Result<i64, ClientError> {
    frame.batches().map(|batch| Ok(numbers(&batch?).iter().sum::<i64>())).sum()
}
