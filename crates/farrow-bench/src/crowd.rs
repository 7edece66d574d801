//! The cost of others: streams that nobody reads, peers that are silent, rows that another writer has left.

use std::time::Duration;

use anyhow::{Context, ensure};
use farrow_client::{Address, Client};
use farrow_integration_tests::{Peers, mebibytes};
use farrow_proto::{Action, v1};
use prost::Message;

use crate::agent::{Bench, Place};
use crate::latency::Latency;
use crate::rows;
use crate::size::Size;
use crate::stream::Stream;
use crate::turns::timed;
use crate::verbs::act;
use crate::{memory, table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The number of streams that nobody reads
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    streams: u16,
    /// The number of connections that say nothing: a half of them on the socket, a half over TCP
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(2..=20_000))]
    peers: u16,
    /// The number of times that somebody connects and asks
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    times: u64,
    /// Bytes that are reserved where another writer's rows lie
    #[arg(long, default_value_t = Size(1 << 30))]
    size: Size,
    /// Rounds
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rounds: u64,
    #[command(flatten)]
    place: Place,
}

/// The frame whose streams nobody reads, MiB.
const UNREAD: (&str, i64) = ("bench/unread", 32);

const LEFT: &str = "bench/left";

/// Prints two tables: of those who ask, and of those who write.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let bench = Bench::start_in(&arguments.place, arguments.size.0 + (64 << 20))?;
    println!("{}", bench.pages()?);
    table::print(&asked(&bench, arguments)?);
    println!();
    table::print(&reserved(&bench, arguments)?);
    Ok(())
}

/// The agent's memory, and how long it takes to connect and to get an answer, alone and beside others.
fn asked(bench: &Bench, arguments: &Arguments) -> anyhow::Result<Vec<Vec<String>>> {
    let rows = mebibytes(0, UNREAD.1);
    bench.runtime.block_on(bench.client.put(UNREAD.0, rows.schema(), vec![rows]))?;
    let head = ["beside", "memory of the agent, MiB", "an answer: median", "longest"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    let mut line = |beside: String| -> anyhow::Result<()> {
        eprintln!("{beside} …");
        let latency = answers(bench, arguments.times)?;
        let mib = memory::private_of(bench.agent.pid())? >> 20;
        lines.push(vec![beside, mib.to_string(), latency.median_text(), latency.longest_text()]);
        Ok(())
    };
    line("nobody".to_owned())?;
    let half = usize::from(arguments.peers / 2);
    let silent = [bench.agent.socket(), &bench.tcp()].map(|address| Peers::new("silent", address, half, ""));
    line(format!("{} peers that are silent", silent.iter().map(|peers| peers.count).sum::<usize>()))?;
    drop(silent);
    let unread = Peers::new("unread", &bench.tcp(), usize::from(arguments.streams), UNREAD.0);
    line(format!("{} streams that nobody reads", unread.count))?;
    drop(unread);
    bench.runtime.block_on(bench.client.drop(UNREAD.0))?;
    Ok(lines)
}

fn answers(bench: &Bench, times: u64) -> anyhow::Result<Latency> {
    let address = || Ok(Address::Unix(bench.agent.socket().into()));
    Latency::of(
        times,
        |_| address(),
        |address| {
            bench.runtime.block_on(async {
                let client = Client::connect(address).await?;
                let usage = client.usage().await?;
                Ok((client, usage))
            })
        },
    )
}

/// Returns how long a reservation takes where bytes have to be zeroed for it, and where not.
fn reserved(bench: &Bench, arguments: &Arguments) -> anyhow::Result<Vec<Vec<String>>> {
    let (size, on) = (arguments.size, &bench.runtime);
    let (batches, _) = rows::rows(size)?;
    let own = on.block_on(Stream::connect(bench.agent.socket(), LEFT))?;
    let other = on.block_on(Stream::connect_to(bench.agent.tcp(), LEFT))?;
    let reserve = |stream: &Stream| -> anyhow::Result<Duration> {
        let request = v1::ReserveRequest { len: size.0, ..Default::default() };
        let mut results = Vec::new();
        let time = timed(|| {
            results = on.block_on(act(stream.flight.clone(), Action::Reserve, &request))?;
            Ok(())
        })?;
        let reservation = v1::Reservation::decode(results.first().context("a result")?.as_slice())?;
        ensure!(!reservation.extents.is_empty(), "a reservation of nothing");
        let request = v1::AbortRequest { reservation: reservation.id };
        on.block_on(act(stream.flight.clone(), Action::Abort, &request))?;
        Ok(time)
    };
    let (mut zeroed, mut kept, mut put) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        eprintln!("round {round} …");
        // Whoever comes over TCP is another writer each time.
        on.block_on(other.put(batches.clone()))?;
        on.block_on(bench.client.drop(LEFT))?;
        zeroed.push(reserve(&own)?);
        kept.push(reserve(&own)?);
        put.push(timed(|| Ok(on.block_on(bench.client.put(LEFT, batches[0].schema(), batches.clone()))?))?);
        on.block_on(bench.client.drop(LEFT))?;
    }
    let head = vec![size.to_string(), "median".to_owned(), "longest".to_owned()];
    let row = |what: &str, times: Vec<Duration>| -> anyhow::Result<Vec<String>> {
        let latency = Latency::of_times(times)?;
        Ok(vec![what.to_owned(), latency.median_text(), latency.longest_text()])
    };
    Ok(vec![
        head,
        row("reserved where another writer's rows lie, and zeroed", zeroed)?,
        row("reserved where the writer's own bytes lie", kept)?,
        row("put in place there", put)?,
    ])
}
