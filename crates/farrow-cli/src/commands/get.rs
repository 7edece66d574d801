//! `farrow get`

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;

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
    let batches = frame.num_batches().max(1) as u64;
    for (done, batch) in (1..).zip(frame.batches()) {
        encoder.write(&batch?).with_context(place)?;
        progress.at(frame.bytes() / batches * done);
    }
    progress.clear();
    encoder.finish().with_context(place)?.finish()?;
    if let Some(path) = file {
        tell(&frame, path);
    }
    Ok(())
}

fn tell(frame: &farrow_client::Frame, path: &Path) {
    output::note(format_args!(
        "{}@{}: {} rows to {}",
        frame.name(),
        frame.version(),
        frame.rows(),
        path.display()
    ));
}
