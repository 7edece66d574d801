//! Parquet.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;

use super::{Problem, Rows, Source, batch_rows};
use crate::progress::Progress;

pub(super) fn open(source: Source, progress: &Progress) -> Result<Rows, Problem> {
    let piped = matches!(source, Source::Stream(_));
    let file = source.into_file(progress)?;
    let len = file.metadata()?.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let (bytes, rows) = size(builder.metadata());
    let reader = builder.with_batch_size(batch_rows(bytes, rows)).build()?;
    // Bytes that were piped have been counted already.
    let progress = (!piped).then(|| progress.clone());
    Ok(Box::new(Counted { reader, progress, len, rows, done: 0 }))
}

/// Bytes of the decoded pages, and rows, as the file says.
fn size(metadata: &ParquetMetaData) -> (u64, u64) {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    let bytes = metadata.row_groups().iter().map(|group| unsigned(group.total_byte_size()));
    let bytes = bytes.fold(0, u64::saturating_add);
    (bytes, unsigned(metadata.file_metadata().num_rows()))
}

/// Tells how far it is in the file, by rows: its pages are not read in order.
struct Counted {
    reader: ParquetRecordBatchReader,
    progress: Option<Progress>,
    /// Bytes of the file.
    len: u64,
    rows: u64,
    done: u64,
}

impl Iterator for Counted {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        if let (Ok(batch), Some(progress)) = (&batch, &self.progress) {
            self.done += batch.num_rows() as u64;
            let part = u128::from(self.len) * u128::from(self.done) / u128::from(self.rows.max(1));
            progress.at(u64::try_from(part).unwrap_or(self.len).min(self.len));
        }
        Some(batch)
    }
}

impl RecordBatchReader for Counted {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}
