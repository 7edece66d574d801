//! Batches whose columns are matched by name, and cast where nothing is lost.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};

use crate::error::IpcError;
use crate::fit::{Words, bytes_of, fit, words_bytes};
use crate::lossless::lossy;
use crate::problem::Place;
use crate::same_schema::unexpected_nulls;
use crate::schema_difference::{Level, SchemaDifference, names, order};

/// Bytes that a cast makes at a time, about: a batch that would become larger is cut.
const PIECE: u64 = 64 << 20;

/// The most that a single row, or the dictionaries of a batch, may become.
const MOST: u64 = 256 << 20;

/// The most bytes of dictionaries that are kept for the next batch.
const KEPT: u64 = 16 << 20;

/// Checks that the columns of `found` are those of `expected` once they are matched by name and cast without loss, as
/// [`ByName`] does.
///
/// # Errors
/// The first column that is not there, or is one too many, or cannot be cast.
pub fn fits_by_name(expected: &Schema, found: &Schema) -> Result<(), SchemaDifference> {
    places(expected, found).map(drop)
}

/// Gives batches one schema, to whose columns it matches theirs by name, and casts them where nothing is lost. The
/// metadata of that schema hold.
///
/// A column takes
/// - strings, bytes: of any of their kinds (32-bit or 64-bit offsets, views); bytes also those of a fixed size;
/// - integers, floats: fewer bits, but no floats for integers or the other way around; signed integers also those
///   unsigned ones that have fewer bits;
/// - decimals: fewer digits before the point, or behind it, or both;
/// - timestamps of the same zone, durations, times of a day: of a coarser unit; `date64`: `date32`;
/// - a dictionary's values, other keys or values of its kind, and what is not a dictionary for a dictionary of strings,
///   bytes or integers; dictionaries whose values are in order take only each other;
/// - columns of nulls alone;
/// - within structs (matched by name), lists, fixed-size lists and maps, the same; 32-bit lists for 64-bit ones and the
///   other way around. Nullable fields take those that are not.
///
/// All else is refused, and so are keys, offsets and times that do not fit. Batches are pushed; what they become comes
/// out of the iterator, in pieces of about 64 MiB where it is made anew, so that memory does not depend on what a
/// dictionary or a view stands for.
pub struct ByName {
    schema: SchemaRef,
    /// A schema, and where in it each column is.
    matched: Option<(SchemaRef, Arc<[usize]>)>,
    /// Of each column, the dictionary that was made last.
    words: HashMap<usize, Words>,
    /// True if they are kept for the next batch.
    keeps: bool,
    /// Batches so far.
    batches: usize,
    /// The rest of the last one, the next rows last.
    waiting: Vec<RecordBatch>,
}

impl ByName {
    /// For batches that shall be of `schema`.
    pub fn new(schema: &SchemaRef) -> Self {
        let (schema, words, waiting) = (Arc::clone(schema), HashMap::new(), Vec::new());
        Self { schema, matched: None, words, keeps: true, batches: 0, waiting }
    }

    /// Checks that batches of `schema` can be taken, before there is one.
    ///
    /// # Errors
    /// [`IpcError::ByName`] with what does not fit.
    pub fn check(&self, schema: &Schema) -> Result<(), IpcError> {
        fits_by_name(&self.schema, schema).map_err(|difference| by_name(self.batches, difference))
    }

    /// Takes the next batch. What became of the one before it has come out of the iterator.
    ///
    /// # Errors
    /// [`IpcError::ByName`] with what does not fit.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), IpcError> {
        let index = self.batches;
        self.batches += 1;
        let known = self.matched.as_ref().is_some_and(|(schema, _)| same(schema, batch.schema_ref()));
        if !known {
            let places = places(&self.schema, batch.schema_ref());
            let places = places.map_err(|difference| by_name(index, difference))?;
            self.matched = Some((batch.schema(), places.into()));
        }
        if let Some((_, places)) = &self.matched {
            let columns = places.iter().map(|place| batch.column(*place));
            let words =
                columns.zip(self.schema.fields()).map(|(array, field)| words_bytes(array, field.data_type()));
            let bytes = self.check_size(words)?;
            if bytes > KEPT {
                self.words.clear();
            }
            self.keeps = bytes <= KEPT;
        }
        self.waiting.push(batch.clone());
        Ok(())
    }

    /// The sum of the bytes of all columns, unless it is too large.
    fn check_size(&self, bytes: impl Iterator<Item = u64>) -> Result<u64, IpcError> {
        let bytes: Vec<u64> = bytes.collect();
        let all = bytes.iter().fold(0, |all: u64, bytes| all.saturating_add(*bytes));
        let largest =
            bytes.iter().zip(self.schema.fields()).enumerate().max_by_key(|(_, (bytes, _))| **bytes);
        match largest {
            Some((column, (_, field))) if all > MOST => {
                let (batch, field) = (self.batches.saturating_sub(1), field.name().clone());
                Err(IpcError::CastLength { batch, column, field, bytes: all, most: MOST })
            }
            _ => Ok(all),
        }
    }

    fn piece(&mut self, batch: RecordBatch) -> Result<RecordBatch, IpcError> {
        let index = self.batches.saturating_sub(1);
        let Some((_, places)) = self.matched.clone() else { return Ok(batch) };
        let schema = Arc::clone(&self.schema);
        let sizes = |batch: &RecordBatch| -> Vec<u64> {
            let columns = places.iter().map(|place| batch.column(*place)).zip(schema.fields());
            columns.map(|(array, field)| bytes_of(array, field.data_type())).collect()
        };
        let mut piece = batch;
        let mut bytes = sizes(&piece);
        while bytes.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes)) > PIECE
            && piece.num_rows() > 1
        {
            let half = piece.num_rows() / 2;
            self.waiting.push(piece.slice(half, piece.num_rows() - half));
            piece = piece.slice(0, half);
            bytes = sizes(&piece);
        }
        self.check_size(bytes.into_iter())?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(places.len());
        for (column, (place, field)) in places.iter().zip(schema.fields()).enumerate() {
            let array = piece.column(*place);
            let words = self.words.entry(column).or_default();
            columns.push(fit(array, field.data_type(), words).map_err(|source| IpcError::Cast {
                batch: index,
                column,
                field: field.name().clone(),
                found: Box::new(array.data_type().clone()),
                expected: Box::new(field.data_type().clone()),
                source: Box::new(source),
            })?);
        }
        if let Some(difference) = unexpected_nulls(&schema, &columns) {
            return Err(by_name(index, difference));
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(piece.num_rows()));
        RecordBatch::try_new_with_options(schema, columns, &rows)
            .map_err(|source| IpcError::Values { place: Place::Batch(index), source })
    }
}

impl Iterator for ByName {
    type Item = Result<RecordBatch, IpcError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.waiting.pop()?;
        let piece = self.piece(batch);
        if piece.is_err() {
            self.waiting.clear();
        }
        if self.waiting.is_empty() && !self.keeps {
            self.words.clear();
        }
        Some(piece)
    }
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.schema.fields().len();
        f.debug_struct("ByName").field("columns", &columns).field("batches", &self.batches).finish()
    }
}

/// True if two schemas are the same, with the order of their dictionaries, which Arrow's equality leaves out.
fn same(one: &SchemaRef, other: &SchemaRef) -> bool {
    let alike = || one.fields().iter().zip(other.fields()).all(|(one, other)| order(one, other).is_none());
    Arc::ptr_eq(one, other) || one == other && alike()
}

/// Returns where in `found` each column of `expected` is.
fn places(expected: &Schema, found: &Schema) -> Result<Vec<usize>, SchemaDifference> {
    let (wanted, given) = (by_names(expected)?, by_names(found)?);
    let absent = |of: &Schema, from: &HashMap<&str, usize>| {
        names(of).into_iter().find(|name| !from.contains_key(name)).map(str::to_owned)
    };
    let (missing, extra) = (absent(expected, &given), absent(found, &wanted));
    if missing.is_some() || extra.is_some() {
        return Err(SchemaDifference::Names { missing, extra });
    }
    let fields = expected.fields().iter().enumerate();
    let placed = fields.filter_map(|(column, field)| {
        let place = *given.get(field.name().as_str())?;
        let lossy = lossy(field, found.field(place), Level::Column);
        Some(lossy.map_or(Ok(place), |different| Err(different.in_column(column))))
    });
    placed.collect()
}

/// Returns where each name is, once.
fn by_names(schema: &Schema) -> Result<HashMap<&str, usize>, SchemaDifference> {
    let mut found = HashMap::new();
    for (place, name) in names(schema).into_iter().enumerate() {
        if found.insert(name, place).is_some() {
            return Err(SchemaDifference::Repeated { name: name.to_owned() });
        }
    }
    Ok(found)
}

fn by_name(batch: usize, difference: SchemaDifference) -> IpcError {
    IpcError::ByName { batch, difference: Box::new(difference) }
}
