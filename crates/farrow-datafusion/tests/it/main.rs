//! SQL over frames of a real agent.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod far;
mod kinds;
mod leases;
mod partitions;
mod queries;
#[path = "../../examples/query.rs"]
#[expect(dead_code, reason = "the example's own main")]
mod query;
mod schema;

use std::sync::Arc;

use arrow_59::array::{Array, ArrayData, RecordBatch};

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{SessionConfig, SessionContext};
use farrow_client::{Client, Frame};
use farrow_datafusion::FrameTable;
use farrow_integration_tests::{Agent, Region, batch};

/// An agent, and a client of it.
async fn agent() -> (Region, Agent, Client) {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    (region, agent, client)
}

/// Publishes rows with the numbers from 0 on, in so many batches.
async fn publish(client: &Client, name: &str, rows: i64, batches: i64) -> Frame {
    for index in 0..batches {
        let (start, end) = (rows * index / batches, rows * (index + 1) / batches);
        let rows = batch(start, end - start);
        client.append(name, rows.schema(), vec![rows]).await.unwrap();
    }
    let frame = client.get(name).await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    assert_eq!(frame.num_batches(), usize::try_from(batches).unwrap());
    frame
}

/// A session of so many threads in which a frame is the table `t`.
fn session(frame: Frame, threads: usize) -> SessionContext {
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
    session.register_table("t", Arc::new(FrameTable::try_new(frame).unwrap())).unwrap();
    session
}

async fn rows(session: &SessionContext, statement: &str) -> Vec<RecordBatch> {
    session.sql(statement).await.unwrap().collect().await.unwrap()
}

async fn text(session: &SessionContext, statement: &str) -> String {
    pretty_format_batches(&rows(session, statement).await).unwrap().to_string()
}

/// The buffers with bytes that lie in none of the mappings.
fn outside(array: &dyn Array, mappings: &[(usize, usize)]) -> usize {
    fn of(data: &ArrayData, mappings: &[(usize, usize)]) -> usize {
        let buffers = data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer()));
        let lie_outside = buffers.filter(|buffer| !buffer.is_empty()).filter(|buffer| {
            let start = buffer.as_ptr().addr();
            !mappings.iter().any(|&(at, len)| at <= start && start + buffer.len() <= at + len)
        });
        lie_outside.count() + data.child_data().iter().map(|child| of(child, mappings)).sum::<usize>()
    }
    of(&array.to_data(), mappings)
}
