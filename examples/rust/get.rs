//! Gets a data frame out of shared memory: `get [NAME[@VERSION]]`.
//!
//! The agent is found through `FARROW_ADDRESS`, or at its usual socket.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use farrow_client::{Address, Client};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "examples/stations".to_owned());

    let client = Client::connect(Address::find(None)?).await?;
    // What comes back is a description and a lease: no row crosses the socket.
    let frame = client.get(&name).await?;

    println!("{name}: {} rows, {} bytes", frame.rows(), frame.bytes());
    for (address, length) in frame.mappings() {
        println!("mapped at {address:#x}, {length} bytes");
    }
    if let Some(why) = frame.why() {
        println!("streamed, not mapped: {why}");
    }

    // The batches point into the mapping. The lease ends when the last of their arrays is dropped.
    for batch in frame.batches() {
        let batch = batch?;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            println!("  {}: {}, nulls: {}", field.name(), field.data_type(), column.null_count());
        }
    }
    Ok(())
}
