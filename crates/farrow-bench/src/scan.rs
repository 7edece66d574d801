//! The first scan of rows that a process has got, and the second, by where they lie.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use arrow_array::RecordBatch;
use farrow_client::{Address, Client};

use crate::agent::{Bench, Place};
use crate::get::get;
use crate::latency::Latency;
use crate::rows::{self, read};
use crate::size::Size;
use crate::stream::Stream;
use crate::worker::{self, Worker};
use crate::{memory, table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Bytes of data
    #[arg(long, default_value_t = Size(1 << 30))]
    size: Size,
    /// The number of turns of each
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    #[command(flatten)]
    place: Place,
}

const NAME: &str = "bench/scan";

/// The place of the rows, a worker's word for it, and true if there is a worker in Rust. All are compared with the first.
const WHERE: [(&str, &str, bool); 3] = [
    ("private heap, written before: its pages are in the page table", "heap", true),
    ("mapped by farrow: none of its pages is", "mapped", true),
    ("a file in tmpfs, mapped by pyarrow: none of its pages is", "file", false),
];

/// Prints one table: a row for each place; for each client the first scan and the second, beside the heap's.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let size = arguments.size;
    memory::ensure_available(4 * size.0)?;
    let bench = Bench::start_in(&arguments.place, size.0)?;
    let (batches, expected) = rows::rows(size)?;
    let schema = batches[0].schema();
    let file = bench.region.beside("scan.arrow");
    farrow_ipc::write(&schema, &batches, std::fs::File::create(&file)?)?;
    bench.runtime.block_on(bench.client.put(NAME, schema, batches))?;
    let file = file.to_str().context("a plain path")?;
    println!("the rows: {size}. {}", bench.pages()?);

    let mut times = [const { (Vec::new(), Vec::new()) }; 2 * WHERE.len()];
    for round in 0..=arguments.rounds {
        eprintln!("round {round} of {} …", arguments.rounds);
        for (index, (_, place, in_rust)) in WHERE.into_iter().enumerate() {
            let arguments = [place, NAME, &expected.to_string(), file];
            for client in 0..2 {
                let mut worker = match client {
                    0 if !in_rust => continue,
                    0 => Worker::start(&["scan-once", bench.agent.socket(), place, arguments[2]])?,
                    _ => Worker::of(bench.script("scan.py", &arguments.map(str::to_owned))?)?,
                };
                worker.go_on();
                let (first, second) = nanoseconds(&worker.line()?)?;
                worker.end()?;
                // What a first round also measures are programs that are read from a disk.
                if round > 0 {
                    let (firsts, seconds) = &mut times[2 * index + client];
                    firsts.push(first);
                    seconds.push(second);
                }
            }
        }
    }
    let head = ["median (99th percentile)", "Rust: first", "of heap's", "second", "of heap's"];
    let mut head = head.map(str::to_owned).to_vec();
    head.extend(["Python: first", "of heap's", "second", "of heap's"].map(str::to_owned));
    let mut lines = vec![head];
    let latency = |times: &Vec<Duration>| Latency::of_times(times.iter().copied());
    for (index, (what, ..)) in WHERE.into_iter().enumerate() {
        let mut line = vec![what.to_owned()];
        for client in 0..2 {
            let ((firsts, seconds), heap) = (&times[2 * index + client], &times[client]);
            if firsts.is_empty() {
                line.extend(["-"; 4].map(str::to_owned));
                continue;
            }
            for (times, heap) in [(firsts, &heap.0), (seconds, &heap.1)] {
                let times = latency(times)?;
                line.extend([times.text(), times.against(&latency(heap)?)]);
            }
        }
        lines.push(line);
    }
    table::print(&lines);
    Ok(())
}

/// Gets the rows into a process that has none yet, scans them twice, and prints the nanoseconds of each.
pub(crate) fn work(socket: &str, place: &str, expected: i64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let batches: Vec<RecordBatch> = runtime.block_on(async {
        match place {
            "mapped" => get(&Client::connect(Address::Unix(socket.into())).await?, NAME).await,
            "heap" => {
                let stream = Stream::connect(socket, NAME).await?;
                stream.get(stream.ticket().await?).await
            }
            other => bail!("no such place: {other}"),
        }
    })?;
    worker::ready()?;
    let scan = || -> anyhow::Result<Duration> {
        let start = Instant::now();
        read(&batches, expected)?;
        Ok(start.elapsed())
    };
    println!("{} {}", scan()?.as_nanos(), scan()?.as_nanos());
    Ok(())
}

fn nanoseconds(line: &str) -> anyhow::Result<(Duration, Duration)> {
    let (first, second) = line.split_once(' ').with_context(|| format!("two numbers, not {line:?}"))?;
    Ok((Duration::from_nanos(first.parse()?), Duration::from_nanos(second.parse()?)))
}
