//! `farrow head`

use anyhow::Context;
use arrow_array::{Array, ArrayRef, RecordBatch};
use farrow_client::{ClientError, Selection};

use crate::args::{Agent, Head};
use crate::contained::contained;
use crate::encode::{Encoder, check_types, formatter};
use crate::output::{self, Stdout};

/// Columns of the terminal that a value takes in a table.
const WIDTH: usize = 40;

pub(crate) fn run(args: &Head, agent: &Agent) -> anyhow::Result<()> {
    // Not as a frame: one that is streamed would come as a whole.
    let mut wanted = Selection::default().rows(0..args.rows as u64);
    let columns = args.columns.names();
    if !columns.is_empty() {
        wanted = wanted.columns(columns);
    }
    let mut stream = agent.connect()?.stream_selected(&args.name, &wanted)?;
    let schema = stream.schema();
    let batches = first(&mut stream, args.rows)?;
    if let Some(format) = args.format() {
        check_types(format, &schema)?;
        let mut encoder = Encoder::new(format, &schema, Stdout)?;
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
    let mut heading: Vec<String> =
        schema.fields().iter().map(|field| output::short(field.name(), WIDTH)).collect();
    let right: Vec<bool> = schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
    if let Some(columns) = output::terminal_columns() {
        let fit = output::fitting(&heading, &rows, columns);
        heading.truncate(fit);
        rows.iter_mut().for_each(|row| row.truncate(fit));
    }
    output::grid(&heading, &right, &rows)?;
    let shown = rows.len() as u64;
    match stream.version_rows() {
        Some(all) if shown < all => output::note(format_args!("{shown} of {}", output::counted(all, "row"))),
        None if shown == args.rows as u64 => {
            output::note(format_args!("the first {}", output::counted(shown, "row")));
        }
        _ => {}
    }
    let (fit, all) = (heading.len(), schema.fields().len());
    if fit < all {
        let all = output::counted(all as u64, "column");
        output::note(format_args!(
            "{fit} of {all} fit the terminal: name others with --columns, or use --format csv"
        ));
    }
    Ok(())
}

/// The first rows.
fn first(
    batches: &mut impl Iterator<Item = Result<RecordBatch, ClientError>>,
    rows: usize,
) -> anyhow::Result<Vec<RecordBatch>> {
    let mut left = rows;
    let mut found = Vec::new();
    while left > 0
        && let Some(batch) = batches.next().transpose()?
    {
        let batch = batch.slice(0, batch.num_rows().min(left));
        left -= batch.num_rows();
        found.push(batch);
    }
    Ok(found)
}

/// The values of each row, as text.
fn cells(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<String>>> {
    let schema = batch.schema();
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        let shown = contained(|| texts(column));
        shown.map_err(Into::into).and_then(|shown| shown).with_context(|| {
            let (name, kind) = (output::short(field.name(), WIDTH), output::short(field.data_type(), WIDTH));
            format!("column {name}, {kind}, cannot be shown. Try: `farrow get NAME --format ipc -o FILE`")
        })
    });
    let columns = columns.collect::<anyhow::Result<Vec<_>>>()?;
    Ok((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect())
}

/// The values of a column.
fn texts(column: &ArrayRef) -> anyhow::Result<Vec<String>> {
    let formatter = formatter(column.as_ref())?;
    Ok((0..column.len()).map(|row| output::short(formatter.value(row), WIDTH)).collect())
}
