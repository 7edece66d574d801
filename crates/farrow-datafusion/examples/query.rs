//! Runs a statement over the frames of this host's agent, and prints what comes out:
//!
//! ```text
//! cargo run -p farrow-datafusion --example query 'SELECT count(*) FROM farrow."sales/orders"'
//! ```
#![expect(clippy::print_stdout, reason = "printing is what it does")]

use std::sync::Arc;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use farrow_client::{Address, Client};
use farrow_datafusion::FrameSchema;

#[tokio::main]
async fn main() -> Result<()> {
    let statement = std::env::args().nth(1).ok_or_else(|| {
        DataFusionError::Configuration("give a statement: SELECT … FROM farrow.\"NAME\"".to_owned())
    })?;
    let client = async { Client::connect(Address::find(None)?).await };
    let client = client.await.map_err(|error| DataFusionError::External(error.into()))?;
    println!("{}", query(client, &statement).await?);
    Ok(())
}

/// The rows of a statement as a table of text.
pub(crate) async fn query(client: Client, statement: &str) -> Result<String> {
    let session = SessionContext::new();
    let frames =
        FrameSchema::open(client, "").await.map_err(|error| DataFusionError::External(error.into()))?;
    let catalog = session.catalog("datafusion").expect("the default catalog");
    catalog.register_schema("farrow", Arc::new(frames))?;
    let rows = session.sql(statement).await?.collect().await?;
    Ok(pretty_format_batches(&rows)?.to_string())
}
