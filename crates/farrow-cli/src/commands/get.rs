//! `farrow get`

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;
use arrow_array::RecordBatch;
use arrow_schema::DataType;
use farrow_client::{ClientError, Frame};

use crate::args::Get;
use crate::destination::Destination;
use crate::encode::Encoder;
use crate::exit::Failure;
use crate::format::{self, Format};
use crate::output;
use crate::progress::Progress;

pub(crate) fn run(args: &Get) -> anyhow::Result<()> {
    let file = args.output.as_deref().filter(|path| path.as_os_str() != "-");
    let format = Format::of_output(args.format, file)?;
    if file.is_none() && format != Format::Csv && std::io::stdout().is_terminal() {
        let hint = "not for a terminal: use -o FILE, a pipe, --format csv, or farrow head";
        return Err(Failure::usage(format!("rows as bytes are {hint}")).into());
    }
    let frame = args.agent.connect()?.get(&args.name)?;
    if let Some(why) = frame.why() {
        output::note(format_args!("streamed, not mapped: {why}"));
    }
    let place = || file.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
    let delimiter = file.map_or(b',', format::delimiter);
    let mut encoder =
        Encoder::new(format, delimiter, &frame.schema(), Destination::open(file)?).with_context(place)?;
    // Where rows go to the terminal, they are all there is to see.
    let progress = if file.is_some() || !std::io::stdout().is_terminal() {
        Progress::new()?
    } else {
        Progress::hidden()
    };
    progress.expect(frame.bytes());
    let batches = batches(&frame, format)?;
    let count = batches.len().max(1) as u64;
    for (done, batch) in (1..).zip(batches) {
        encoder.write(&batch?).with_context(place)?;
        progress.at(frame.bytes() / count * done);
    }
    progress.clear();
    encoder.finish().with_context(place)?.finish()?;
    if let Some(path) = file {
        tell(&frame, path);
    }
    Ok(())
}

/// The frame's batches, as the format can hold them.
fn batches(
    frame: &Frame,
    format: Format,
) -> anyhow::Result<Box<dyn ExactSizeIterator<Item = Result<RecordBatch, ClientError>> + '_>> {
    let schema = frame.schema();
    let dictionaries =
        schema.flattened_fields().iter().any(|field| matches!(field.data_type(), DataType::Dictionary(..)));
    if format != Format::Ipc || !dictionaries {
        return Ok(Box::new(frame.batches()));
    }
    // A file has one dictionary for each column. Of those that have several the keys are copied, and nothing else.
    let batches = frame.batches().collect::<Result<Vec<_>, _>>()?;
    let batches = farrow_ipc::prepare(&schema, batches, 0).context(
        "an Arrow IPC file has one dictionary for each column; --format stream, parquet and csv can do without",
    )?;
    Ok(Box::new(batches.into_iter().map(Ok)))
}

fn tell(frame: &Frame, path: &Path) {
    output::note(format_args!(
        "{}@{}: {} rows to {}",
        frame.name(),
        frame.version(),
        frame.rows(),
        path.display()
    ));
}
