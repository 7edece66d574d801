//! Parquet.

mod leaves;
mod zones;

use std::fs::File;
use std::os::unix::fs::FileExt;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use farrow_region::counted;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::{Problem, Rows, Source, batch_rows};
use crate::progress::Progress;

/// Stands at the beginning and at the end of a file.
const MAGIC: &[u8] = b"PAR1";

/// Bytes in which the end of a footer is looked for.
const MOST_FOOTER: u64 = 16 << 20;

pub(super) fn open(source: Source, progress: &Progress) -> Result<Rows, Problem> {
    let piped = matches!(source, Source::Stream(_));
    let file = source.into_file(progress)?;
    let len = file.metadata()?.len();
    let mut metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let zoned = zones::restored(metadata.schema(), metadata.metadata());
    let wanted = leaves::readable(&zoned, metadata.metadata());
    if wanted != *metadata.schema() {
        let options = ArrowReaderOptions::new().with_schema(wanted);
        metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)?;
    }
    check_counts(metadata.metadata())?;
    check_alone(&file, len, metadata.metadata())?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    // The reader's own schema has lost the metadata.
    let schema = builder.schema().clone();
    let (bytes, rows) = size(builder.metadata());
    let reader = builder.with_batch_size(batch_rows(bytes, rows)).build()?;
    // Bytes that were piped have been counted already.
    let progress = (!piped).then(|| progress.clone());
    Ok(Box::new(Counted { reader, schema, progress, len, rows, done: 0 }))
}

/// Bytes of the decoded pages, and rows, as the file says.
fn size(metadata: &ParquetMetaData) -> (u64, u64) {
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    let bytes = metadata.row_groups().iter().map(|group| unsigned(group.total_byte_size()));
    let bytes = bytes.fold(0, u64::saturating_add);
    (bytes, unsigned(metadata.file_metadata().num_rows()))
}

/// Compares what the footer says in more than one place: a reader that believes one of them loses rows.
fn check_counts(metadata: &ParquetMetaData) -> Result<(), Problem> {
    let (said, groups) = (metadata.file_metadata().num_rows(), metadata.row_groups());
    let sum: i128 = groups.iter().map(|group| i128::from(group.num_rows())).sum();
    if sum != i128::from(said) {
        return Err(miscounted(format!(
            "the file has {}, and that {sum} are in its {}",
            counted(said, "row"),
            counted(groups.len(), "row group")
        )));
    }
    let columns = metadata.file_metadata().schema_descr().num_columns();
    for (index, group) in groups.iter().enumerate() {
        let (rows, found) = (group.num_rows(), group.num_columns());
        if rows < 0 {
            return Err(miscounted(format!("row group {index} has {}", counted(rows, "row"))));
        }
        if found != columns {
            return Err(miscounted(format!(
                "the file has {}, and that row group {index} has {found}",
                counted(columns, "column")
            )));
        }
        let mut flat = group.columns().iter().filter(|column| column.column_descr().max_rep_level() == 0);
        if let Some(column) = flat.find(|column| column.num_values() != rows) {
            let (path, values) = (column.column_path().string(), column.num_values());
            return Err(miscounted(format!(
                "row group {index} has {}, and that its column {path} has {}",
                counted(rows, "row"),
                counted(values, "value")
            )));
        }
    }
    Ok(())
}

/// Refuses several files one after another: the last footer's places lie in the first file, whose own footer stands right
/// behind them.
fn check_alone(file: &File, len: u64, metadata: &ParquetMetaData) -> Result<(), Problem> {
    let chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let end = chunks.map(end_of).max().unwrap_or(MAGIC.len() as u64);
    let Some(rest) = len.checked_sub(end) else { return Ok(()) };
    let mut behind = vec![0; usize::try_from(rest.min(MOST_FOOTER)).unwrap_or(0)];
    file.read_exact_at(&mut behind, end)?;
    let footer_of = |at: usize| {
        let len = behind.get(at.checked_sub(4)?..at)?.try_into().ok().map(u32::from_le_bytes)?;
        (usize::try_from(len) == Ok(at - 4)).then_some(end + (at + MAGIC.len()) as u64)
    };
    let found = behind.windows(MAGIC.len()).enumerate().filter(|(_, bytes)| *bytes == MAGIC);
    match found.filter_map(|(at, _)| footer_of(at)).next() {
        Some(first) if first < len => Err(format!(
            "has a footer at byte {first} of {len}: several files one after another? Put each by itself"
        )
        .into()),
        _ => Ok(()),
    }
}

/// The end of what belongs to a column of a row group.
fn end_of(column: &ColumnChunkMetaData) -> u64 {
    let end = |offset: Option<i64>, len: Option<i64>| {
        let (offset, len) = (u64::try_from(offset?).ok()?, u64::try_from(len?).ok()?);
        Some(offset.saturating_add(len))
    };
    let pages = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let ends = [
        end(Some(pages), Some(column.compressed_size())),
        end(column.column_index_offset(), column.column_index_length().map(i64::from)),
        end(column.offset_index_offset(), column.offset_index_length().map(i64::from)),
        end(column.bloom_filter_offset(), column.bloom_filter_length().map(i64::from)),
    ];
    ends.into_iter().flatten().max().unwrap_or(0)
}

fn miscounted(says: String) -> Problem {
    format!("its footer says that {says}: damaged, or of a faulty writer. Nothing is read of it").into()
}

/// Tells how far it is in the file, by rows, as its pages are not read in order; and at the end, if some are missing.
struct Counted {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    progress: Option<Progress>,
    /// Bytes of the file.
    len: u64,
    rows: u64,
    done: u64,
}

impl Iterator for Counted {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(batch) = self.reader.next() else {
            let (said, found) = (self.rows, std::mem::replace(&mut self.done, self.rows));
            return (said != found).then(|| {
                let rows = format!(
                    "ends after {}, and its footer says that it has {said}: damaged",
                    counted(found, "row")
                );
                Err(ArrowError::ParquetError(rows))
            });
        };
        if let Ok(batch) = &batch {
            self.done += batch.num_rows() as u64;
            if let Some(progress) = &self.progress {
                let part = u128::from(self.len) * u128::from(self.done) / u128::from(self.rows.max(1));
                progress.at(u64::try_from(part).unwrap_or(self.len).min(self.len));
            }
        }
        Some(batch.and_then(|batch| batch.with_schema(self.schema.clone())))
    }
}

impl RecordBatchReader for Counted {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

#[cfg(test)]
mod tests;
