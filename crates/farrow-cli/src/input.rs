//! Files that rows are read from: whatever is in them, an error and never a panic, and memory for a piece of them only.

mod contained;
mod csv;
mod ipc;
mod parquet;

use std::fmt;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::args::Csv;
use crate::format::Format;
use crate::progress::Progress;

pub(crate) use self::contained::quiet_panics;

/// About how many bytes of rows a batch is made of, where the format leaves it to the reader.
const BATCH_BYTES: u64 = 16 << 20;

/// At most so many rows.
const BATCH_ROWS: u64 = 1 << 16;

/// Rows that cannot be had: no file, not what it claims, damaged.
#[derive(Debug)]
pub(crate) struct InputError {
    /// The file as it was named, or stdin.
    place: String,
    problem: String,
}

impl InputError {
    /// Rows of this file that cannot be stored.
    pub(crate) fn new(path: &Path, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { place: place(path), problem: farrow_client::chain(error) }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for InputError {}

/// What a reader can be made of.
enum Source {
    /// Can be read in any order.
    File(File),
    Stream(Box<dyn Read + Send>),
}

/// What every format's reader is.
type Rows = Box<dyn RecordBatchReader + Send>;

/// What a format's reader fails with.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Opens a file, or stdin for `-`; a format that is not said is found. CSV, which has no types, takes those that are
/// `known`, if any are.
///
/// # Errors
/// [`InputError`], now and by the reader.
pub(crate) fn open(
    path: &Path,
    format: Option<Format>,
    csv: &Csv,
    known: impl FnOnce() -> Option<SchemaRef>,
    progress: &Progress,
) -> Result<impl RecordBatchReader + Send + 'static, InputError> {
    let place = place(path);
    let failed = |problem: Problem| InputError {
        place: place.clone(),
        problem: farrow_client::chain(problem.as_ref()),
    };
    let opened = contained::contained(|| {
        let (source, first) = if is_stdin(path) { stream(std::io::stdin())? } else { file(path, progress)? };
        let found = format.or_else(|| Format::by_name(path)).or_else(|| Format::by_content(&first));
        let rows: Rows = match (found, source) {
            (Some(Format::Parquet), source) => parquet::open(source, progress)?,
            (Some(Format::Csv), source) => {
                let delimiter = csv.delimiter.unwrap_or_else(|| crate::format::delimiter(path));
                csv::open(progress.of_bytes(source.into_read()), csv, delimiter, known())?
            }
            (Some(Format::Ipc | Format::Stream), source) => {
                Box::new(ipc::IpcReader::open(progress.of_bytes(source.into_read()))?)
            }
            (None, _) if first.is_empty() => return Err("is empty".into()),
            (None, _) => {
                return Err(
                    "neither its name nor its first bytes say what it is: use --format ipc, parquet or \
                            csv"
                    .into(),
                );
            }
        };
        Ok(rows)
    });
    let rows = opened.and_then(|opened| opened).map_err(failed)?;
    Ok(Contained { schema: rows.schema(), rows: Some(rows), place })
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn place(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() }
}

fn file(path: &Path, progress: &Progress) -> Result<(Source, Vec<u8>), Problem> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err("a directory: name one file".into());
    }
    if !metadata.is_file() {
        return stream(file);
    }
    progress.expect(metadata.len());
    let mut first = Vec::new();
    file.by_ref().take(8).read_to_end(&mut first)?;
    file.rewind()?;
    Ok((Source::File(file), first))
}

/// What can be read once, with its first bytes looked at.
fn stream(mut from: impl Read + Send + 'static) -> Result<(Source, Vec<u8>), Problem> {
    let mut first = Vec::new();
    from.by_ref().take(8).read_to_end(&mut first)?;
    let all = Cursor::new(first.clone()).chain(from);
    Ok((Source::Stream(Box::new(all)), first))
}

impl Source {
    fn into_read(self) -> Box<dyn Read + Send> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Stream(stream) => stream,
        }
    }

    /// As a file: what comes by a pipe is kept in one that has no name.
    fn into_file(self, progress: &Progress) -> std::io::Result<File> {
        match self {
            Self::File(file) => Ok(file),
            Self::Stream(stream) => {
                let mut file = tempfile::tempfile()?;
                std::io::copy(&mut progress.of_bytes(stream), &mut file)?;
                file.rewind()?;
                Ok(file)
            }
        }
    }
}

/// Rows of batches that take about [`BATCH_BYTES`], where a row takes `bytes / rows`.
fn batch_rows(bytes: u64, rows: u64) -> usize {
    let row = bytes / rows.max(1);
    usize::try_from((BATCH_BYTES / row.max(1)).clamp(1, BATCH_ROWS)).unwrap_or(1)
}

/// Rows whose reader may fail in any way; after a failure there are no more.
struct Contained {
    place: String,
    schema: SchemaRef,
    rows: Option<Rows>,
}

impl Iterator for Contained {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rows.as_mut()?;
        let problem = match contained::contained(|| rows.next()) {
            Ok(Some(Ok(batch))) => return Some(Ok(batch)),
            Ok(None) => {
                self.rows = None;
                return None;
            }
            Ok(Some(Err(error))) => farrow_client::chain(&error),
            Err(panicked) => panicked.to_string(),
        };
        self.rows = None;
        let error = InputError { place: self.place.clone(), problem };
        Some(Err(ArrowError::ExternalError(Box::new(error))))
    }
}

impl RecordBatchReader for Contained {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

#[cfg(test)]
mod tests;
