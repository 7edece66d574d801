//! `farrow put` and `farrow append`

use std::path::Path;

use arrow_array::RecordBatchReader;
use arrow_schema::{ArrowError, SchemaRef};
use farrow_client::blocking::Client;
use farrow_client::{Address, ClientError, Info};

use crate::args::{Append, Put, Source};
use crate::input::{self, InputError};
use crate::output;
use crate::progress::Progress;

pub(crate) fn put(args: &Put) -> anyhow::Result<()> {
    let client = args.agent.connect()?;
    publish(&args.source, || None, |rows| client.put_reader(&args.name, rows))
}

pub(crate) fn append(args: &Append) -> anyhow::Result<()> {
    let client = args.agent.connect()?;
    let known = || known(&client, args);
    publish(&args.source, known, |rows| client.append_reader(&args.name, rows))
}

/// The columns of the frame that there is. Without them, and without the right to read them, the agent compares.
fn known(client: &Client, args: &Append) -> Option<SchemaRef> {
    // Over TCP a frame comes with all its rows.
    let Ok(Address::Unix(_)) = args.agent.address() else { return None };
    Some(client.get(&args.name).ok()?.schema())
}

fn publish(
    source: &Source,
    known: impl FnOnce() -> Option<SchemaRef>,
    give: impl FnOnce(Box<dyn RecordBatchReader + Send>) -> Result<Info, ClientError>,
) -> anyhow::Result<()> {
    let progress = Progress::new()?;
    let rows = input::open(&source.file, source.format, &source.csv, known, &progress)?;
    let given = give(Box::new(rows));
    progress.clear();
    let info = given.map_err(|error| in_words_of_the_file(error, &source.file))?;
    if let Some(why) = &info.why {
        output::note(format_args!("streamed to the agent, not written in place: {why}"));
    }
    output::note(format_args!(
        "{}@{}: {} rows, {}",
        info.name,
        info.version,
        info.rows.unwrap_or_default(),
        output::size(info.bytes)
    ));
    Ok(())
}

/// What is wrong with the rows is said of the file.
fn in_words_of_the_file(error: ClientError, file: &Path) -> anyhow::Error {
    match error {
        ClientError::Reader(ArrowError::ExternalError(cause)) => match cause.downcast::<InputError>() {
            Ok(error) => (*error).into(),
            Err(cause) => ClientError::Reader(ArrowError::ExternalError(cause)).into(),
        },
        ClientError::Ipc(error) => InputError::new(file, &error).into(),
        error => error.into(),
    }
}
