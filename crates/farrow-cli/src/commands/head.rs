//! `farrow head`

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use farrow_client::ClientError;

use crate::args::Head;
use crate::encode::Encoder;
use crate::format::Format;
use crate::output::{self, Stdout};

/// Characters of a value that a table shows.
const WIDTH: usize = 40;

pub(crate) fn run(args: &Head) -> anyhow::Result<()> {
    // Not as a frame: one that is streamed would come as a whole.
    let stream = args.agent.connect()?.stream(&args.name)?;
    let mut stream = if args.columns.is_empty() { stream } else { stream.select(&args.columns)? };
    let schema = stream.schema();
    let batches = first(&mut stream, args.rows)?;
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
    match stream.rows() {
        Some(all) if shown < all => output::note(format_args!("{shown} of {all} rows")),
        None if shown == args.rows as u64 => output::note(format_args!("the first {shown} rows")),
        _ => {}
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
    let options = FormatOptions::default().with_display_error(true);
    let formatters: Result<Vec<_>, _> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options)).collect();
    let formatters = formatters?;
    let row = |row| formatters.iter().map(|column| output::short(column.value(row), WIDTH)).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}
