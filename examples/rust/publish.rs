//! Publishes a small data frame: `publish [NAME]`.
//!
//! The agent is found through `FARROW_ADDRESS`, or at its usual socket.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use farrow_client::{Address, Client};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "examples/stations".to_owned());
    let batch = stations()?;

    let client = Client::connect(Address::find(None)?).await?;
    // The rows are written once, straight into the region; then the version is committed in one step.
    let rows = batch.num_rows();
    let info = client.put(&name, batch.schema(), vec![batch]).await?;

    println!("published {}@{}: {} rows, {} bytes", info.name, info.version, rows, info.bytes);
    Ok(())
}

/// Three weather stations; one has not been surveyed.
fn stations() -> anyhow::Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("height_m", DataType::Float64, true),
    ]);
    let id = Int64Array::from(vec![1, 2, 3]);
    let name = StringArray::from(vec!["Sonnblick", "Zugspitze", "Brocken"]);
    let height = Float64Array::from(vec![Some(3106.0), None, Some(1141.0)]);
    Ok(RecordBatch::try_new(Arc::new(schema), vec![Arc::new(id), Arc::new(name), Arc::new(height)])?)
}
