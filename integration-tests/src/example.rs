//! The region and agent of the examples in the documentation of farrow-client.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use farrow_client::{Address, Client, ClientError};

use crate::{Agent, Region};

/// An agent of its own, with a frame `sales/orders` of two versions.
pub struct Example {
    // In this order: the agent ends before its region.
    agent: Agent,
    _region: Region,
}

impl Example {
    /// Starts it.
    ///
    /// # Panics
    /// If the programs are not built, or do not run.
    #[expect(clippy::new_without_default, reason = "it starts a process")]
    pub fn new() -> Self {
        let region = Region::new("64MiB");
        let example = Self { agent: region.agent(), _region: region };
        example.run(async |client| {
            for _ in 0..2 {
                client.put("sales/orders", orders().schema(), vec![orders()]).await?;
            }
            Ok(())
        });
        example
    }

    /// Returns where the agent is.
    pub fn address(&self) -> Address {
        Address::Unix(self.agent.socket().into())
    }

    /// Runs an example with a client of the agent's.
    ///
    /// # Panics
    /// If it fails.
    pub fn run(&self, example: impl AsyncFnOnce(Client) -> Result<(), ClientError>) {
        let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
        runtime.block_on(async { example(self.agent.client().await).await.expect("the example is right") });
    }
}

/// Three orders: `id` and `amount`.
///
/// # Panics
/// Never: the columns have one length.
pub fn orders() -> RecordBatch {
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("amount", Arc::new(Float64Array::from(vec![9.5, 20.0, 3.25]))),
    ];
    RecordBatch::try_from_iter(columns).expect("two columns of one length")
}
