//! Values as text, each of them: also dates and times outside of the years for which Arrow's own text has a calendar.

mod times;

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, downcast_dictionary_array};
use arrow_buffer::ArrowNativeType;
use arrow_cast::display::{ArrayFormatter, ArrayFormatterFactory, DisplayIndex, FormatOptions, FormatResult};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use self::times::Times;

/// Returns what shows the values of an array, of any type and in any depth.
pub(crate) fn formatter(array: &dyn Array) -> Result<ArrayFormatter<'_>, ArrowError> {
    let options = FormatOptions::new().with_formatter_factory(Some(&Formatters));
    match Formatters.create_array_formatter(array, &options, None)? {
        Some(formatter) => Ok(formatter),
        None => ArrayFormatter::try_new(array, &options),
    }
}

/// The rows with text in the place of times.
pub(super) fn without_times(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let columns = rows.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if !has_times(field.data_type()) {
            return Ok((field.clone(), column.clone()));
        }
        let text = Field::new(field.name(), DataType::Utf8, true);
        Ok((Arc::new(text), Arc::new(texts(column)?) as ArrayRef))
    });
    let (fields, columns): (Vec<_>, _) = columns.collect::<Result<Vec<_>, ArrowError>>()?.into_iter().unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn texts(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    let (formatter, nulls) = (formatter(column.as_ref())?, column.logical_nulls());
    let texts = (0..column.len()).map(|row| {
        let valid = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        valid.then(|| formatter.value(row).try_to_string()).transpose()
    });
    texts.collect()
}

fn has_times(r#type: &DataType) -> bool {
    match r#type {
        DataType::Dictionary(_, values) => has_times(values),
        DataType::RunEndEncoded(_, values) => has_times(values.data_type()),
        other => is_time(other),
    }
}

/// True for the types whose text is ours.
pub(super) fn is_time(r#type: &DataType) -> bool {
    use DataType::{Date32, Date64, Duration, Time32, Time64, Timestamp};
    matches!(r#type, Date32 | Date64 | Duration(_) | Time32(_) | Time64(_) | Timestamp(..))
}

/// Makes formatters of times in any depth.
#[derive(Debug)]
struct Formatters;

impl ArrayFormatterFactory for Formatters {
    fn create_array_formatter<'a>(
        &self,
        array: &'a dyn Array,
        options: &FormatOptions<'a>,
        _: Option<&'a Field>,
    ) -> Result<Option<ArrayFormatter<'a>>, ArrowError> {
        let format: Box<dyn DisplayIndex + 'a> = if let Some(times) = Times::new(array) {
            Box::new(times)
        } else if let Some((key, values)) = dictionary(array) {
            // Arrow's own asks nobody for the formatter of its values.
            Box::new(Dictionary { array, key, values: formatter(values.as_ref())? })
        } else {
            return Ok(None);
        };
        Ok(Some(ArrayFormatter::new(format, options.safe())))
    }
}

/// Returns the number of the value that a row has, which is valid.
pub(super) type Key<'a> = Box<dyn Fn(usize) -> usize + 'a>;

/// The keys and the values of a dictionary.
pub(super) fn dictionary(array: &dyn Array) -> Option<(Key<'_>, &ArrayRef)> {
    downcast_dictionary_array!(
        array => {
            let keys = array.keys().values();
            Some((Box::new(|row| keys[row].as_usize()), array.values()))
        },
        _ => None
    )
}

struct Dictionary<'a> {
    array: &'a dyn Array,
    key: Key<'a>,
    values: ArrayFormatter<'a>,
}

impl DisplayIndex for Dictionary<'_> {
    fn write(&self, row: usize, out: &mut dyn Write) -> FormatResult {
        if self.array.is_valid(row) {
            self.values.value((self.key)(row)).write(out)?;
        }
        Ok(())
    }
}
