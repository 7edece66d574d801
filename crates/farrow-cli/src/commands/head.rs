//! `farrow head`

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use farrow_client::Frame;

use crate::args::Head;
use crate::encode::Encoder;
use crate::format::Format;
use crate::output::{self, Stdout};

/// Characters of a value that a table shows.
const WIDTH: usize = 40;

pub(crate) fn run(args: &Head) -> anyhow::Result<()> {
    let frame = args.agent.connect()?.get(&args.name)?;
    let frame = if args.columns.is_empty() { frame } else { frame.select(&args.columns)? };
    let schema = frame.schema();
    let batches = first(&frame, args.rows)?;
    if args.csv {
        let mut encoder = Encoder::new(Format::Csv, b',', &schema, Stdout)?;
        for batch in &batches {
            encoder.write(batch)?;
        }
        encoder.finish()?;
        return Ok(());
    }
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(cells(batch)?);
    }
    let rows: Vec<&[String]> = rows.iter().map(Vec::as_slice).collect();
    let heading: Vec<String> =
        schema.fields().iter().map(|field| output::short(field.name(), WIDTH)).collect();
    let right: Vec<bool> = schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
    output::grid(&heading, &right, &rows)?;
    let shown = rows.len() as u64;
    if shown < frame.rows() {
        output::note(format_args!("{shown} of {} rows", frame.rows()));
    }
    Ok(())
}

/// The first rows.
fn first(frame: &Frame, rows: usize) -> anyhow::Result<Vec<RecordBatch>> {
    let mut left = rows;
    let mut found = Vec::new();
    for index in 0..frame.num_batches() {
        if left == 0 {
            break;
        }
        let batch = frame.batch(index)?;
        let batch = batch.slice(0, batch.num_rows().min(left));
        left -= batch.num_rows();
        found.push(batch);
    }
    Ok(found)
}

/// The values of each row, as text.
fn cells(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<String>>> {
    let options = FormatOptions::default().with_display_error(true);
    let formatters: Result<Vec<_>, _> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options)).collect();
    let formatters = formatters?;
    let row = |row| formatters.iter().map(|column| output::short(column.value(row), WIDTH)).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}
