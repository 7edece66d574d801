//! A put beside one copy of its bytes into the same memory.

use std::fs::{File, OpenOptions};

use anyhow::{Context, ensure};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use farrow_client::Mode;
use farrow_proto::{Action, v1};
use farrow_region::{FileRange, WriteMapping};
use prost::Message;

use crate::agent::{Bench, Place};
use crate::get::times;
use crate::latency::Latency;
use crate::rows;
use crate::size::Size;
use crate::stream::Stream;
use crate::turns::{Operation, Turns, timed};
use crate::verbs::act;
use crate::{memory, table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Bytes of data: seven rows for each. Takes about six times as much memory
    #[arg(long, value_delimiter = ',', default_values_t = [Size(64 << 20), Size(1 << 30)])]
    sizes: Vec<Size>,
    #[command(flatten)]
    turns: Turns,
    #[command(flatten)]
    place: Place,
}

const NAME: &str = "bench/put";

/// The rows of the table for each size. All are compared with the second one.
const ROWS: [&str; 7] = [
    "copied on the heap, both sides warm",
    "copied into the region, mapped before",
    "mapped, copied, unmapped",
    "put",
    "of which the commit",
    "writer, batch by batch",
    "DoPut",
];
const COMPARED: usize = 1;

/// Prints one table: for each size the rows, for each client the time, bytes a second, and how much longer than a copy.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let most = arguments.sizes.iter().map(|size| size.0).max().context("no sizes")?;
    memory::ensure_available(6 * most)?;
    // Room for the copies without farrow, and for two versions: the agent frees one after it has another.
    let bench = Bench::start_in(&arguments.place, 3 * most)?;
    println!("{}", bench.pages()?);
    let head = ["median (99th percentile)", "Rust", "GB/s", "of a copy", "Python", "GB/s", "of a copy"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for &size in &arguments.sizes {
        eprintln!("{size} …");
        let target = Target::reserve(&bench, size)?;
        let from_rust = from_rust(&bench, size, &target, arguments.turns)?;
        let from_python = from_python(&bench, size, &target, arguments.turns)?;
        for (row, what) in ROWS.into_iter().enumerate() {
            let mut line = vec![format!("{size} {what}")];
            for latencies in [&from_rust, &from_python] {
                match (&latencies[row], &latencies[COMPARED]) {
                    (Some(latency), Some(copy)) => {
                        let rate = size.0 as f64 / latency.median().as_secs_f64() / 1e9;
                        line.extend([latency.text(), format!("{rate:.2}"), latency.against(copy)]);
                    }
                    _ => line.extend(["-", "-", "-"].map(str::to_owned)),
                }
            }
            lines.push(line);
        }
        target.give_back(&bench)?;
    }
    table::print(&lines);
    Ok(())
}

/// Row by row.
type Figures = Vec<Option<Latency>>;

fn from_rust(bench: &Bench, size: Size, target: &Target, turns: Turns) -> anyhow::Result<Figures> {
    let on = &bench.runtime;
    let (batches, _) = rows::rows(size)?;
    let schema = batches[0].schema();
    let (batches, schema) = (&batches, &schema);
    let stream = &on.block_on(Stream::connect(bench.agent.socket(), NAME))?;
    let mut heap = vec![1; usize::try_from(size.0)?];
    let mapped = target.map()?;
    let drop_it = move || on.block_on(bench.client.drop(NAME));
    let mut operations: Vec<Operation<'_>> = vec![
        Box::new(|| {
            timed(|| {
                let mut rest = heap.as_mut_slice();
                for column in columns(batches) {
                    let (start, others) = rest.split_at_mut(column.len());
                    start.copy_from_slice(column);
                    rest = others;
                }
                Ok(())
            })
        }),
        Box::new(|| timed(|| copy(batches, &mapped))),
        Box::new(|| {
            timed(|| {
                let mapping = target.map()?;
                copy(batches, &mapping)?;
                drop(mapping);
                Ok(())
            })
        }),
        Box::new(|| {
            let time = timed(|| {
                let info = on.block_on(bench.client.put(NAME, schema.clone(), batches.clone()))?;
                ensure!(info.why.is_none(), "not in place: {:?}", info.why);
                Ok(())
            })?;
            drop_it()?;
            Ok(time)
        }),
        Box::new(|| {
            let plan = farrow_ipc::Plan::new(schema, batches)?;
            let written = Target::reserve(bench, Size(plan.len))?;
            let mapping = written.map()?;
            farrow_ipc::write(schema, batches, &mut mapping.writer())?;
            drop(mapping);
            let (reservation, name) = (written.reservation, NAME.to_owned());
            let request = v1::CommitRequest { reservation, name, len: plan.len, ..Default::default() };
            let time = timed(|| on.block_on(act(stream.flight.clone(), Action::Commit, &request)))?;
            drop_it()?;
            Ok(time)
        }),
        Box::new(|| {
            let time = timed(|| {
                on.block_on(async {
                    let mut writer = bench.client.writer(NAME, schema.clone(), Mode::Replace)?;
                    for batch in batches {
                        writer.write(batch.clone()).await?;
                    }
                    Ok(writer.finish().await?)
                })
            })?;
            drop_it()?;
            Ok(time)
        }),
        Box::new(|| {
            let time = timed(|| on.block_on(stream.put(batches.clone())))?;
            drop_it()?;
            Ok(time)
        }),
    ];
    Ok(turns.take(&mut operations)?.into_iter().map(Some).collect())
}

fn from_python(bench: &Bench, size: Size, target: &Target, turns: Turns) -> anyhow::Result<Figures> {
    let path = bench.region.path.to_str().context("a plain path")?;
    let mut arguments =
        vec![NAME.to_owned(), size.0.to_string(), path.to_owned(), target.range.offset.to_string()];
    arguments.extend(turns.arguments());
    let figures = bench.python("put.py", &arguments)?;
    let of = |what: &str| figures.get(what).map(|_| times(&figures, &[what])).transpose();
    ROWS.into_iter().map(of).collect()
}

/// The bytes of each column.
fn columns(batches: &[RecordBatch]) -> impl Iterator<Item = &[u8]> {
    let columns = batches.iter().flat_map(RecordBatch::columns);
    columns.map(|column| column.as_primitive::<Int64Type>().values().inner().as_slice())
}

fn copy(batches: &[RecordBatch], mapping: &WriteMapping) -> anyhow::Result<()> {
    let mut at = 0;
    for column in columns(batches) {
        mapping.write_at(at, column)?;
        at += column.len();
    }
    Ok(())
}

/// Pages of the region that are reserved for this process: what a put of this size would be written into.
struct Target {
    reservation: u64,
    file: File,
    range: FileRange,
}

impl Target {
    fn reserve(bench: &Bench, size: Size) -> anyhow::Result<Self> {
        let request = v1::ReserveRequest { len: size.0, ..Default::default() };
        let stream = bench.runtime.block_on(Stream::connect(bench.agent.socket(), NAME))?;
        let results = bench.runtime.block_on(act(stream.flight, Action::Reserve, &request))?;
        let reservation = v1::Reservation::decode(results.first().context("a result")?.as_slice())?;
        let ([pool], [extent]) = (reservation.pools.as_slice(), reservation.extents.as_slice()) else {
            anyhow::bail!("the reservation is in {} extents, not one", reservation.extents.len());
        };
        let offset = pool.ranges.first().context("a pool file without ranges")?.offset + extent.offset;
        let file = OpenOptions::new().read(true).write(true).open(&pool.path)?;
        Ok(Self { reservation: reservation.id, file, range: FileRange { offset, len: size.0 } })
    }

    /// Every page faulted in, as a put has it.
    fn map(&self) -> anyhow::Result<WriteMapping> {
        Ok(WriteMapping::map(&self.file, &[self.range])?)
    }

    fn give_back(self, bench: &Bench) -> anyhow::Result<()> {
        let request = v1::AbortRequest { reservation: self.reservation };
        let stream = bench.runtime.block_on(Stream::connect(bench.agent.socket(), NAME))?;
        bench.runtime.block_on(act(stream.flight, Action::Abort, &request))?;
        Ok(())
    }
}
