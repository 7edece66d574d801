//! Appends rows to a data frame, a version at a time: `append [NAME]`.
//!
//! Shows that a version never changes: who holds an older one keeps it, and the newer ones have its rows without a copy.
//! The agent is found through `FARROW_ADDRESS`, or at its usual socket.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::sync::Arc;

use arrow_array::{Float64Array, Int32Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use farrow_client::{Address, Client};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "examples/measurements".to_owned());
    let client = Client::connect(Address::find(None)?).await?;

    // The first of them makes the frame.
    let first = client.append(&name, hour(0)?.schema(), vec![hour(0)?]).await?;
    let held = client.get(&format!("{name}@{}", first.version)).await?;
    for number in 1..4 {
        let batch = hour(number)?;
        let info = client.append(&name, batch.schema(), vec![batch]).await?;
        println!("{}@{}: {} rows", info.name, info.version, info.rows.unwrap_or_default());
    }

    let latest = client.get(&name).await?;
    println!("held: {} rows; latest: {} rows in {} pieces", held.rows(), latest.rows(), latest.num_batches());
    anyhow::ensure!(latest.rows() == held.rows() + 3 * 60, "each hour has 60 rows");
    Ok(())
}

/// One measurement a minute.
fn hour(number: i32) -> anyhow::Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("minute", DataType::Int32, false),
        Field::new("celsius", DataType::Float64, false),
    ]);
    let minutes = 60 * number..60 * (number + 1);
    let celsius =
        Float64Array::from_iter_values(minutes.clone().map(|minute| -10.0 + 0.01 * f64::from(minute)));
    let minutes = Int32Array::from_iter_values(minutes);
    Ok(RecordBatch::try_new(Arc::new(schema), vec![Arc::new(minutes), Arc::new(celsius)])?)
}
