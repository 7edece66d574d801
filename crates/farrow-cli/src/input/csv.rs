//! CSV.

mod quotes;
mod times;

use std::io::{Cursor, Read};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::{Decoder, Format};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use self::quotes::Quotes;
use super::{Known, Problem, Rows, batch_rows};
use crate::args::Csv;
use crate::output;

/// Types are taken from so many bytes.
const SAMPLE: u64 = 1 << 20;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// At most so many bytes become one batch: a quote that is never closed makes one value of the rest of the file.
const MAX_BATCH: usize = 256 << 20;

/// Characters of a value or a name that an error shows.
const VALUE: usize = 80;

/// The bytes that some programs put before the first character.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// `known` are the columns as they have to be; else they are what the sample looks like.
pub(super) fn open(
    mut input: impl Read + Send + 'static,
    csv: &Csv,
    delimiter: u8,
    known: Option<Known>,
) -> Result<Rows, Problem> {
    let mut sample = Vec::new();
    input.by_ref().take(SAMPLE).read_to_end(&mut sample)?;
    let cut = sample.len() as u64 == SAMPLE;
    if sample.starts_with(BYTE_ORDER_MARK) {
        sample.drain(..BYTE_ORDER_MARK.len());
    }
    if sample.is_empty() {
        return Err("is empty, and not even the names of columns are known".into());
    }
    // Where the sample ends within a row, its last value must not count: 12 is perhaps the half of 12.5.
    let whole = match sample.iter().rposition(|byte| *byte == b'\n') {
        Some(end) if cut => &sample[..=end],
        _ => &sample[..],
    };
    if let Err(error) = std::str::from_utf8(whole)
        && error.error_len().is_some()
    {
        return Err(format!(
            "is no text in UTF-8 (the byte at {}). Try: `iconv -f ENCODING -t utf-8 FILE | farrow put NAME - --format csv`",
            error.valid_up_to()
        )
        .into());
    }
    if csv.delimiter.is_none()
        && let Some(other) = other_delimiter(whole, delimiter)
    {
        output::note(format_args!("the first line is one column: if it is several, --delimiter '{other}'"));
    }
    let format = Format::default().with_header(!csv.no_header).with_delimiter(delimiter);
    let (found, rows) = format.clone().with_truncated_rows(true).infer_schema(whole, None)?;
    let known = match known {
        Some(known) if !csv.no_header => Some(same_names(&found, known)?),
        known => known.map(|known| known.schema),
    };
    let typed = known.is_some() || csv.text;
    let schema = match known {
        Some(known) => known,
        None => times::with_zones(Arc::new(types(&found, csv.text)), &format, whole)?,
    };
    let batch_rows = batch_rows(whole.len() as u64, rows as u64);
    // Times are taken as text first: Arrow would drop what they say of their zone.
    let decoded = times::as_text(&schema);
    let builder = ReaderBuilder::new(decoded).with_format(format).with_batch_size(batch_rows);
    Ok(Box::new(CsvReader {
        input: Cursor::new(sample).chain(input),
        decoder: builder.build_decoder(),
        quotes: Quotes::new(delimiter),
        schema,
        typed,
        piece: Vec::new(),
        at: 0,
        rows: 0,
    }))
}

/// The character that the first line has in place of `delimiter`, as it is given to `--delimiter`.
fn other_delimiter(sample: &[u8], delimiter: u8) -> Option<&'static str> {
    let line = sample.split(|byte| *byte == b'\n').next()?;
    let found = |delimiter: u8| line.contains(&delimiter);
    let others = [(b';', ";"), (b'\t', "\\t"), (b'|', "|")];
    others.into_iter().find(|(other, _)| !found(delimiter) && found(*other)).map(|(_, shown)| shown)
}

/// The columns as they have to be, if they are called so: in the order in which they were found.
fn same_names(found: &Schema, known: Known) -> Result<SchemaRef, Problem> {
    let Known { schema, by_name } = known;
    let names = |schema: &Schema| -> Vec<String> {
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    let (found, wanted) = (names(found), names(&schema));
    if found == wanted {
        return Ok(schema);
    }
    let (mut here, mut there) = (found.clone(), wanted.clone());
    here.sort_unstable();
    there.sort_unstable();
    let once = here.windows(2).all(|names| names[0] != names[1]);
    let shuffled = once && here == there;
    if shuffled && by_name {
        let places = found.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Arc::new(schema.project(&places)?));
    }
    let (found, wanted) = (output::short(found.join(", "), 400), output::short(wanted.join(", "), 400));
    let advice = if shuffled {
        "they must be in this order. Try: `farrow append --by-name NAME FILE`"
    } else {
        "they must be the same"
    };
    Err(format!("columns {found}, and the frame has {wanted}: {advice}").into())
}

/// The types that were found; a column that has no values in the sample is text.
fn types(found: &Schema, text: bool) -> Schema {
    let fields = found.fields().iter().map(|field| {
        let r#type = match field.data_type() {
            DataType::Null => DataType::Utf8,
            _ if text => DataType::Utf8,
            other => other.clone(),
        };
        Field::new(field.name(), r#type, true)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// Arrow's error of a value, which repeats the value and its row: a quote that is not closed makes megabytes of them.
fn in_few_words(text: &str, schema: &Schema) -> Option<String> {
    let rest = text.strip_prefix("Error while parsing value '")?;
    rest.match_indices("' as type '").find_map(|(end, separator)| {
        let (kind, place) = rest[end + separator.len()..].split_once('\'')?;
        let (column, place) = place.strip_prefix(" for column ")?.split_once(" at line ")?;
        let (line, _) = place.split_once(". Row data: ")?;
        let (column, line): (usize, u64) = (column.parse().ok()?, line.parse().ok()?);
        let name = output::short(schema.fields().get(column)?.name(), VALUE);
        let value = output::short(&rest[..end], VALUE);
        // Arrow counts them from 0.
        let line = line.saturating_add(1);
        Some(format!("line {line}, column {name}: '{value}' is not of type {kind}"))
    })
}

struct CsvReader<R> {
    input: R,
    decoder: Decoder,
    quotes: Quotes,
    schema: SchemaRef,
    /// True if types do not come from the sample.
    typed: bool,
    /// The bytes that were read and not decoded yet, from `at` on.
    piece: Vec<u8>,
    at: usize,
    /// Returned already.
    rows: usize,
}

impl<R: Read> CsvReader<R> {
    fn batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let mut taken = 0;
        loop {
            if self.at == self.piece.len() {
                self.piece.clear();
                self.at = 0;
                self.input.by_ref().take(PIECE as u64).read_to_end(&mut self.piece)?;
                self.quotes.follow(&self.piece);
                // Arrow takes the end of the text for that of the quote.
                if let Some(problem) = self.quotes.problem().filter(|_| self.piece.is_empty()) {
                    return Err(ArrowError::CsvError(problem));
                }
            }
            // At the end an empty piece tells the decoder so.
            let decoded = self.decoder.decode(&self.piece[self.at..])?;
            self.at += decoded;
            taken += decoded;
            if decoded == 0 || self.decoder.capacity() == 0 {
                let Some(batch) = self.decoder.flush()? else { return Ok(None) };
                let batch = times::from_text(&batch, &self.schema, self.rows)?;
                self.rows += batch.num_rows();
                return Ok(Some(batch));
            }
            if taken > MAX_BATCH {
                return Err(ArrowError::CsvError(format!(
                    "{taken} bytes, and a row of these has no end: is a quote not closed, or --delimiter another?"
                )));
            }
        }
    }
}

impl<R: Read> Iterator for CsvReader<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch().map_err(|error| match error {
            ArrowError::ParseError(text) => {
                let text = in_few_words(&text, &self.schema).unwrap_or(text);
                let hint = "Types were taken from the first";
                ArrowError::ParseError(if self.typed {
                    text
                } else {
                    format!("{text}. {hint} {SAMPLE} bytes; --text takes every column for text")
                })
            }
            other => other,
        });
        batch.transpose()
    }
}

impl<R: Read> RecordBatchReader for CsvReader<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
