//! Rows streamed by an agent, and by pyarrow's own Flight server, in turns.

use anyhow::Context;
use serde_json::Value;

use crate::agent::Bench;
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Size of the table: eight columns of 64-bit integers
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=65536))]
    mib: u64,
    /// The number of turns of each server
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
}

/// Prints one table: medians in GB/s, and their ratio.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // The version that is there and the next one, for as long as both are.
    let bench = Bench::start(2 * (arguments.mib << 20))?;
    let figures = bench.python("streams.py", &[arguments.mib.to_string(), arguments.rounds.to_string()])?;
    let bytes = figures.get("bytes").and_then(Value::as_f64).context("bytes")?;
    let rate = |verb: &str, way: &str, server: &str| -> anyhow::Result<f64> {
        let seconds = figures.pointer(&format!("/seconds/{verb}/{way}/{server}")).and_then(Value::as_array);
        let mut seconds: Vec<f64> =
            seconds.context("a figure is missing")?.iter().filter_map(Value::as_f64).collect();
        seconds.sort_by(f64::total_cmp);
        Ok(bytes / seconds.get(seconds.len() / 2).context("no rounds")? / 1e9)
    };
    let head = ["GB/s, median", "farrow", "pyarrow's server", "farrow is"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for verb in ["DoGet", "DoPut"] {
        for way in ["unix", "tcp"] {
            let (ours, theirs) = (rate(verb, way, "farrow")?, rate(verb, way, "pyarrow")?);
            lines.push(vec![
                format!("{verb} of {} MiB, {way}", arguments.mib),
                format!("{ours:.2}"),
                format!("{theirs:.2}"),
                format!("{:.2} x", ours / theirs),
            ]);
        }
    }
    table::print(&lines);
    Ok(())
}
