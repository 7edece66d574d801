//! Generates the tables of TPC-H and publishes them as `tpch/<table>`: `publish_tpch [SCALE_FACTOR]`.
//!
//! Shows that a frame may be far larger than what its writer has in memory. The agent is found through
//! `FARROW_ADDRESS`, or at its usual socket.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example prints its results")]

mod tpch;

use std::time::Instant;

use farrow_client::{Address, Client};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let scale = tpch::scale_argument(std::env::args().nth(1))?;
    let client = Client::connect(Address::find(None)?).await?;
    for (table, reader) in tpch::tables(scale) {
        let start = Instant::now();
        // Written while it is generated: about 64 MiB of it are in memory at a time.
        let info = client.put_reader(&format!("tpch/{table}"), reader).await?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        println!(
            "{:<14} v{} {:>9} rows {:>7.1} MiB in {milliseconds:.1} ms",
            info.name,
            info.version,
            info.rows.unwrap_or_default(),
            info.bytes as f64 / f64::from(1 << 20)
        );
    }
    Ok(())
}
