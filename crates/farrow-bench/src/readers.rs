//! Memory of several readers of one frame.

use std::process;

use anyhow::{Context, ensure};
use arrow_array::RecordBatch;
use farrow_client::{Address, Client};

use crate::agent::{Bench, Place};
use crate::get::get;
use crate::rows::{self, read};
use crate::size::Size;
use crate::stream::Stream;
use crate::worker::{self, Worker};
use crate::{memory, table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Bytes of the frame; the copies of the most readers must find room
    #[arg(long, default_value_t = Size(1 << 30))]
    size: Size,
    /// Numbers of processes that read at a time: one row for each number
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    readers: Vec<u64>,
    #[command(flatten)]
    place: Place,
}

const NAME: &str = "bench/read";

/// Prints one table: a row for each number of readers.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let size = arguments.size;
    let most = arguments.readers.iter().max().context("no readers")?;
    memory::ensure_available(size.0 * (most + 1) + (1 << 30))?;
    let bench = Bench::start_in(&arguments.place, size.0)?;
    let (batches, expected) = rows::rows(size)?;
    bench.runtime.block_on(bench.client.put(NAME, batches[0].schema(), batches))?;
    println!("the frame: {size}. {}", bench.pages()?);
    let head = [
        "PSS in MiB of readers",
        "mapped",
        "with the agent",
        "copies by DoGet",
        "with the agent",
        "mapped is",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for &readers in &arguments.readers {
        let mut line = vec![readers.to_string()];
        let mut all = Vec::new();
        for way in ["mapped", "copied"] {
            eprintln!("{readers} readers, {way} …");
            let expected = expected.to_string();
            let start = |_| Worker::start(&["read-and-hold", bench.agent.socket(), way, &expected]);
            let workers: Vec<Worker> = (0..readers).map(start).collect::<anyhow::Result<_>>()?;
            let of_readers: u64 =
                workers.iter().map(|worker| memory::proportional(worker.pid())).sum::<anyhow::Result<_>>()?;
            let with_agent = of_readers + memory::proportional(bench.agent.pid())?;
            line.extend([of_readers, with_agent].map(|bytes| (bytes >> 20).to_string()));
            all.push(with_agent as f64);
            workers.into_iter().try_for_each(Worker::end)?;
        }
        line.push(format!("{:.2} x", all[0] / all[1]));
        lines.push(line);
    }
    table::print(&lines);
    Ok(())
}

/// Reads all of the frame, says so, and keeps it until it is told to end.
pub(crate) fn work(socket: &str, way: &str, expected: i64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let batches: Vec<RecordBatch> = runtime.block_on(async {
        if way == "mapped" {
            get(&Client::connect(Address::Unix(socket.into())).await?, NAME).await
        } else {
            let stream = Stream::connect(socket, NAME).await?;
            stream.get(stream.ticket().await?).await
        }
    })?;
    ensure!(!batches.is_empty(), "process {} got no rows", process::id());
    read(&batches, expected)?;
    worker::ready()
}
