//! A get of few and of many bytes, beside DoGet of the same.

use std::time::Duration;

use anyhow::{Context, ensure};
use arrow_array::RecordBatch;
use farrow_client::Client;
use serde_json::Value;

use crate::agent::{Bench, Place};
use crate::latency::Latency;
use crate::rows::{self, read};
use crate::size::Size;
use crate::stream::Stream;
use crate::table;
use crate::turns::{Operation, Turns, timed_again};

/// The operations, as rows of the table, and whether it is done by farrow's get or by DoGet.
const ROWS: [&str; 2] = ["to a table", "and read all"];
const WAYS: [&str; 2] = ["get", "DoGet"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Bytes of data: two rows for each
    #[arg(long, value_delimiter = ',', default_values_t = [Size(1 << 10), Size(64 << 20), Size(1 << 30)])]
    sizes: Vec<Size>,
    #[command(flatten)]
    turns: Turns,
    #[command(flatten)]
    place: Place,
}

/// Prints one table: for each size two rows, for each client both ways and their ratio.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let bytes = arguments.sizes.iter().map(|size| size.0).sum();
    let bench = Bench::start_in(&arguments.place, bytes)?;
    println!("{}", bench.pages()?);
    let mut lines = vec![
        ["median (99th percentile)", "Rust: get", "DoGet", "longer", "Python: get", "DoGet", "longer"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for &size in &arguments.sizes {
        eprintln!("{size} …");
        let name = format!("bench/{}", size.0);
        let (batches, expected) = rows::rows(size)?;
        bench.runtime.block_on(bench.client.put(&name, batches[0].schema(), batches))?;
        let from_rust = from_rust(&bench, &name, expected, arguments.turns)?;
        let from_python = from_python(&bench, &name, expected, arguments.turns)?;
        for (row, what) in ROWS.into_iter().enumerate() {
            let mut line = vec![format!("{size} {what}")];
            for latencies in [&from_rust, &from_python] {
                let (get, do_get) = (&latencies[2 * row], &latencies[2 * row + 1]);
                line.extend([get.text(), do_get.text(), do_get.against(get)]);
            }
            lines.push(line);
        }
        bench.runtime.block_on(bench.client.drop(&name))?;
    }
    table::print(&lines);
    Ok(())
}

/// Row by row, both ways each.
fn from_rust(bench: &Bench, name: &str, expected: i64, turns: Turns) -> anyhow::Result<Vec<Latency>> {
    let on = &bench.runtime;
    let stream = on.block_on(Stream::connect(bench.agent.socket(), name))?;
    let ticket = on.block_on(stream.ticket())?;
    let mut operations: Vec<Operation<'_>> = Vec::new();
    for reads in [false, true] {
        let finish = move |batches: Vec<RecordBatch>| -> anyhow::Result<Vec<RecordBatch>> {
            if reads {
                read(&batches, expected)?;
            }
            Ok(batches)
        };
        let client = &bench.client;
        operations.push(Box::new(move || timed_again(|| finish(on.block_on(get(client, name))?))));
        let (stream, ticket) = (&stream, &ticket);
        let do_get = move || finish(on.block_on(stream.get(ticket.clone()))?);
        operations.push(Box::new(move || timed_again(do_get)));
    }
    turns.take(&mut operations)
}

pub(crate) async fn get(client: &Client, name: &str) -> anyhow::Result<Vec<RecordBatch>> {
    let frame = client.get(name).await?;
    ensure!(frame.zero_copy(), "not mapped: {:?}", frame.why());
    Ok(frame.batches().collect::<Result<_, _>>()?)
}

fn from_python(bench: &Bench, name: &str, expected: i64, turns: Turns) -> anyhow::Result<Vec<Latency>> {
    let mut arguments = vec![name.to_owned(), expected.to_string()];
    arguments.extend(turns.arguments());
    let figures = bench.python("get.py", &arguments)?;
    let of = |what: &str, way: &str| times(&figures, &[what, way]);
    ROWS.into_iter().flat_map(|what| WAYS.map(|way| of(what, way))).collect()
}

/// Nanoseconds that a script has told, under such keys.
pub(crate) fn times(figures: &Value, keys: &[&str]) -> anyhow::Result<Latency> {
    let found = keys.iter().try_fold(figures, |found, key| found.get(key));
    let found =
        found.and_then(Value::as_array).with_context(|| format!("no figures of {}", keys.join(", ")))?;
    Latency::of_times(found.iter().filter_map(Value::as_u64).map(Duration::from_nanos))
}
