//! `farrow get`

use std::io::IsTerminal;

use anyhow::Context;
use arrow_array::RecordBatch;
use arrow_schema::DataType;
use farrow_client::blocking::{BatchStream, Client};
use farrow_client::{ClientError, Selection};

use crate::args::{Agent, Get};
use crate::destination::Destination;
use crate::encode::{self, Encoder, Keys};
use crate::exit::Failure;
use crate::format::Format;
use crate::output;
use crate::progress::Progress;

pub(crate) fn run(args: &Get, agent: &Agent) -> anyhow::Result<()> {
    let file = args.output.as_deref().filter(|path| path.as_os_str() != "-");
    let format = Format::of_output(args.format, file)?;
    if file.is_none() && !Format::TEXT.contains(&format) && std::io::stdout().is_terminal() {
        let hint = "not for a terminal: use -o FILE, a pipe, --format csv or json, or `farrow head NAME`";
        return Err(Failure::usage(format!("rows as bytes are {hint}")).into());
    }
    // Not as a frame: one that is streamed would be in memory as a whole.
    let mut wanted = Selection::default();
    let columns = args.columns.names();
    if !columns.is_empty() {
        wanted = wanted.columns(columns);
    }
    if let Some(rows) = &args.rows {
        wanted = wanted.rows(rows.clone());
    }
    let client = agent.connect()?;
    let stream = client.stream_selected(&args.name, &wanted)?;
    if let Some(why) = stream.why() {
        output::note(format_args!("streamed, not mapped: {why}"));
    }
    let place = || file.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
    check(&client, &stream, wanted.clone(), format).with_context(place)?;
    let schema = encode::widened_schema(&stream.schema(), &too_narrow(&client, &stream, wanted, format)?);
    let mut encoder = Encoder::new(format, &schema, Destination::open(file)?).with_context(place)?;
    // Where rows go to the terminal, they are all there is to see.
    let progress = if file.is_some() || !std::io::stdout().is_terminal() {
        Progress::new()?
    } else {
        Progress::hidden()
    };
    let version = format!("{}@{}", stream.name(), stream.version());
    let (expected, bytes) = (stream.rows().unwrap_or(0).max(1), stream.bytes().unwrap_or(0));
    if stream.rows().is_some() {
        progress.expect(bytes);
    }
    let mut rows = 0;
    for batch in batches(stream, format)? {
        let batch = batch?;
        encoder.write(&encode::widened_batch(&schema, &batch)?).with_context(place)?;
        rows += batch.num_rows() as u64;
        progress.at(part(bytes, rows, expected));
    }
    progress.clear();
    encoder.finish().with_context(place)?.finish()?;
    if let Some(path) = file {
        output::note(format_args!("{version}: {} to {}", output::counted(rows, "row"), path.display()));
    }
    Ok(())
}

/// Refuses types and values that the format lacks, before a byte is written.
fn check(client: &Client, stream: &BatchStream, wanted: Selection, format: Format) -> anyhow::Result<()> {
    let schema = stream.schema();
    encode::check_types(format, &schema)?;
    let doubtful = encode::doubtful(format, &schema);
    if doubtful.is_empty() {
        return Ok(());
    }
    again(client, stream, wanted, doubtful)?.try_for_each(|batch| encode::check_values(&batch?))
}

/// The columns whose keys are too narrow in the format for the dictionaries of all batches together.
fn too_narrow(
    client: &Client,
    stream: &BatchStream,
    wanted: Selection,
    format: Format,
) -> anyhow::Result<Vec<String>> {
    let schema = stream.schema();
    let narrow = encode::narrow(format, &schema);
    if narrow.is_empty() {
        return Ok(Vec::new());
    }
    let mut keys = Keys::default();
    let batches = again(client, stream, wanted, narrow)?;
    let schema = batches.schema();
    for batch in batches {
        keys.add(&batch?);
    }
    let columns = schema.fields().iter().zip(keys.too_narrow()).filter(|(_, narrow)| *narrow);
    Ok(columns.map(|(field, _)| field.name().clone()).collect())
}

/// The same rows once more, of these columns, and perhaps others.
fn again(
    client: &Client,
    stream: &BatchStream,
    wanted: Selection,
    columns: Vec<&str>,
) -> anyhow::Result<BatchStream> {
    let schema = stream.schema();
    let is_alone = |name: &&str| schema.fields().iter().filter(|field| field.name() == *name).count() == 1;
    // Of columns with one name, only the first can be asked for.
    let wanted = if columns.iter().all(is_alone) { wanted.columns(columns) } else { wanted };
    let version = format!("{}@{}", stream.name(), stream.version());
    Ok(client.stream_selected(&version, &wanted)?)
}

/// Bytes that `rows` of `expected` rows (not 0) are, about.
fn part(bytes: u64, rows: u64, expected: u64) -> u64 {
    let part = u128::from(bytes) * u128::from(rows.min(expected)) / u128::from(expected);
    u64::try_from(part).unwrap_or(bytes)
}

/// The batches, as the format can hold them.
fn batches(
    stream: BatchStream,
    format: Format,
) -> anyhow::Result<Box<dyn Iterator<Item = Result<RecordBatch, ClientError>>>> {
    let schema = stream.schema();
    let dictionaries =
        schema.flattened_fields().iter().any(|field| matches!(field.data_type(), DataType::Dictionary(..)));
    if format != Format::Ipc || !dictionaries {
        return Ok(Box::new(stream));
    }
    // A file has one dictionary for each column, which is known once all batches are. Of those that have several the
    // keys are copied, and nothing else.
    let batches = stream.collect::<Result<Vec<_>, _>>()?;
    let batches = farrow_ipc::prepare(&schema, batches, 0).context(
        "an Arrow IPC file has one dictionary for each column. Try: `farrow get NAME --format stream -o FILE`",
    )?;
    Ok(Box::new(batches.into_iter().map(Ok)))
}
