//! Gets a second, by the number of processes that get.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use farrow_client::{Address, Client};
use farrow_integration_tests::numbers;

use crate::agent::{Bench, SMALL};
use crate::table;
use crate::worker::{self, Worker};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Numbers of processes that get at a time: one row for each number
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    clients: Vec<usize>,
    /// For how many seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

/// Prints one table: a row for each number of processes.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let bench = Bench::start(1 << 28)?;
    let mut lines = vec![["clients", "gets a second", "each", "against one"].map(str::to_owned).to_vec()];
    let mut alone = None;
    for &clients in &arguments.clients {
        eprintln!("{clients} clients …");
        let seconds = arguments.seconds.to_string();
        let start = |_| Worker::start(&["get-again", bench.agent.socket(), &seconds]);
        let mut workers: Vec<Worker> = (0..clients).map(start).collect::<anyhow::Result<_>>()?;
        workers.iter_mut().for_each(Worker::go_on);
        let rate = |worker: &mut Worker| worker.line()?.parse().context("a client failed");
        let rates: Vec<f64> = workers.iter_mut().map(rate).collect::<anyhow::Result<_>>()?;
        let all: f64 = rates.iter().sum();
        let one = *alone.get_or_insert(all / clients as f64);
        lines.push(vec![
            clients.to_string(),
            format!("{all:.0}"),
            format!("{:.0}", all / clients as f64),
            format!("{:.2} x", all / one),
        ]);
    }
    table::print(&lines);
    Ok(())
}

/// Gets the small frame again and again, and reads a number of it, for so many seconds; prints how often a second.
pub(crate) fn work(socket: &str, seconds: u64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(Address::Unix(socket.into())).await?;
        get(&client).await?;
        worker::ready()?;
        let (start, mut gets) = (Instant::now(), 0u32);
        while start.elapsed() < Duration::from_secs(seconds) {
            get(&client).await?;
            gets += 1;
        }
        println!("{}", f64::from(gets) / start.elapsed().as_secs_f64());
        Ok(())
    })
}

async fn get(client: &Client) -> anyhow::Result<()> {
    let frame = client.get(SMALL).await?;
    ensure!(frame.zero_copy(), "not mapped: {:?}", frame.why());
    ensure!(numbers(&frame.batch(0)?).last() == Some(&127), "other numbers");
    Ok(())
}
