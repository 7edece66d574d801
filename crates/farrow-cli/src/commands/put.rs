//! `farrow put`

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};

use anyhow::{Context, bail};
use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::args::Put;
use crate::output;

/// How an Arrow IPC file begins; anything else is taken for a stream.
const FILE_MAGIC: &[u8; 6] = b"ARROW1";

pub(crate) fn run(args: &Put) -> anyhow::Result<()> {
    let client = args.agent.connect()?;
    let (schema, batches) = if args.file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("read stdin")?;
        read(Cursor::new(bytes)).context("stdin")?
    } else {
        let named = || args.file.display().to_string();
        let file = File::open(&args.file).with_context(named)?;
        if file.metadata().with_context(named)?.is_dir() {
            bail!("{}: a directory: name one Arrow IPC file", named());
        }
        read(BufReader::new(file)).with_context(named)?
    };
    let info = if args.append {
        client.append(&args.name, schema, batches)?
    } else {
        client.put(&args.name, schema, batches)?
    };
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

fn read(mut input: impl Read + Seek) -> anyhow::Result<(SchemaRef, Vec<RecordBatch>)> {
    let mut magic = Vec::new();
    input.by_ref().take(6).read_to_end(&mut magic)?;
    input.rewind()?;
    let (schema, batches): (_, Result<Vec<_>, ArrowError>) = if magic == FILE_MAGIC {
        let reader = FileReader::try_new(input, None).context("no complete Arrow IPC file")?;
        (reader.schema(), reader.collect())
    } else {
        let reader = StreamReader::try_new(input, None)
            .context("neither an Arrow IPC file (it does not begin with ARROW1) nor a stream")?;
        (reader.schema(), reader.collect())
    };
    Ok((schema, batches.context("a damaged record batch")?))
}
