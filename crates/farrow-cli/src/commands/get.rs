//! `farrow get`

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};

use anyhow::{Context, bail};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use farrow_client::Frame;

use crate::args::Get;
use crate::output;

pub(crate) fn run(args: &Get) -> anyhow::Result<()> {
    if args.output.is_none() && std::io::stdout().is_terminal() {
        bail!("an Arrow stream is nothing for a terminal: use -o FILE, or a pipe");
    }
    let frame = args.agent.connect()?.get(&args.name)?;
    if let Some(why) = frame.why() {
        output::note(format_args!("streamed, not mapped: {why}"));
    }
    match &args.output {
        Some(path) => {
            let named = || path.display().to_string();
            let file = File::create(path).with_context(named)?;
            write_file(&frame, file).with_context(named)?;
            output::note(format_args!(
                "{}@{}: {} rows to {}",
                frame.name(),
                frame.version(),
                frame.rows(),
                named()
            ));
        }
        None => write_stream(&frame, std::io::stdout().lock())?,
    }
    Ok(())
}

fn write_file(frame: &Frame, file: File) -> anyhow::Result<()> {
    let mut writer = FileWriter::try_new(BufWriter::new(file), &frame.schema())?;
    for batch in frame.batches() {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(writer.into_inner()?.into_inner()?.flush()?)
}

fn write_stream(frame: &Frame, out: impl Write) -> anyhow::Result<()> {
    let mut writer = StreamWriter::try_new(BufWriter::new(out), &frame.schema())?;
    for batch in frame.batches() {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(writer.into_inner()?.flush()?)
}
