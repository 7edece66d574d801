//! Files that rows are read from: whatever is in them, an error and never a panic, and memory for a piece of them only.

mod csv;
mod ipc;
mod parquet;

use std::fmt;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use farrow_region::shell::operand;
use farrow_region::trust::follow;

use crate::args::Csv;
use crate::contained::{Panicked, contained};
use crate::format::Format;
use crate::progress::Progress;

/// About how many bytes of rows a batch is made of, where the format leaves it to the reader.
const BATCH_BYTES: u64 = 16 << 20;

const JSON: &str = "JSON is written, and not read: use Arrow IPC, Parquet or CSV";

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
    pub(crate) fn new(path: &Path, problem: String) -> Self {
        Self { place: place(path), problem }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for InputError {}

/// The sources of a reader.
enum Source {
    /// Can be read in any order.
    File(File),
    Stream(Box<dyn Read + Send>),
}

/// The reader of every format.
type Rows = Box<dyn RecordBatchReader + Send>;

/// The error of a format's reader.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// The columns that rows have to have.
pub(crate) struct Known {
    pub(crate) schema: SchemaRef,
    /// In any order.
    pub(crate) by_name: bool,
}

/// Opens a file, or stdin for `-`; a format that is not said is found. CSV, which has no types, takes those that are
/// `known`, if any are.
///
/// # Errors
/// [`InputError`], now and by the reader.
pub(crate) fn open(
    path: &Path,
    format: Option<Format>,
    csv: &Csv,
    known: impl FnOnce() -> Option<Known>,
    progress: &Progress,
) -> Result<impl RecordBatchReader + Send + 'static, InputError> {
    let place = place(path);
    let failed = |problem: Problem| InputError {
        place: place.clone(),
        problem: farrow_client::chain(problem.as_ref()),
    };
    let opened = contained(|| {
        let (source, first) = if is_stdin(path) { stream(std::io::stdin())? } else { file(path, progress)? };
        if let Some(problem) = compressed(path, &first) {
            return Err(problem.into());
        }
        let found = format.map(|format| format.in_file(path));
        let found = found.or_else(|| Format::by_name(path)).or_else(|| Format::by_content(&first));
        if let (Some(format), Some(option)) = (found, csv.given()) {
            only_csv_has(format, option)?;
        }
        let rows: Rows = match (found, source) {
            (Some(Format::Parquet), source) => parquet::open(source, progress)?,
            (Some(format @ (Format::Csv | Format::Tsv)), source) => {
                let delimiter = csv.delimiter.unwrap_or_else(|| format.delimiter());
                csv::open(progress.of_bytes(source.into_read()), csv, delimiter, known())?
            }
            (Some(Format::Ipc | Format::Stream), source) => {
                Box::new(ipc::IpcReader::open(progress.of_bytes(source.into_read()), &place)?)
            }
            (Some(Format::Json), _) => return Err(JSON.into()),
            (None, _) if matches!(first.first(), Some(b'{' | b'[')) => return Err(JSON.into()),
            (None, _) if first.is_empty() => return Err("is empty".into()),
            (None, _) => {
                return Err(
                    "neither its name nor its first bytes say what it is: use --format ipc, parquet, csv or tsv".into(),
                );
            }
        };
        Ok(rows)
    });
    let rows = opened.unwrap_or_else(|panicked| Err(damaged(&panicked).into())).map_err(failed)?;
    Ok(Contained { schema: rows.schema(), rows: Some(rows), place })
}

/// Bytes that a decoder was not written for.
fn damaged(panicked: &Panicked) -> String {
    format!("damaged: the decoder {panicked}")
}

/// The advice about a file that is compressed as a whole, which no format's reader undoes.
fn compressed(path: &Path, first: &[u8]) -> Option<String> {
    let (compression, program) = crate::format::compressed(first)?;
    // orders.csv.gz
    let inner = path.file_stem().map(Path::new).and_then(Format::by_name);
    let format = inner.filter(|inner| Format::READ.contains(inner)).unwrap_or(Format::Csv).name();
    let unpacked =
        if is_stdin(path) { program.to_owned() } else { format!("{program} {}", operand(path.display())) };
    Some(format!(
        "is compressed by {compression}, and read only when it is unpacked. Try: `{unpacked} | farrow put NAME - --format \
         {format}`"
    ))
}

/// Refuses an option of CSV for a file that is read as another format.
fn only_csv_has(format: Format, option: &str) -> Result<(), String> {
    match format {
        Format::Csv | Format::Tsv => Ok(()),
        other => Err(format!(
            "is read as {}, and {option} is of CSV. Try: without it, or with --format csv, if it is CSV",
            other.name()
        )),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn place(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() }
}

fn file(path: &Path, progress: &Progress) -> Result<(Source, Vec<u8>), Problem> {
    let mut file = File::open(follow(path)?).map_err(|error| unopened(path, error))?;
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

/// Says of a pattern that it is none here.
fn unopened(path: &Path, error: std::io::Error) -> Problem {
    let pattern = path.to_str().is_some_and(|path| path.contains(['*', '?', '[']));
    if !pattern || error.kind() != std::io::ErrorKind::NotFound {
        return error.into();
    }
    format!("{error}: patterns are the shell's, which expands none in quotes. Try: the same without quotes")
        .into()
}

/// A source that can be read once, with its first bytes looked at.
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
        let problem = match contained(|| rows.next()) {
            Ok(Some(Ok(batch))) => return Some(Ok(batch)),
            Ok(None) => {
                self.rows = None;
                return None;
            }
            Ok(Some(Err(error))) => farrow_client::chain(&error),
            Err(panicked) => damaged(&panicked),
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
