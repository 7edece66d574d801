//! Frames as tables of [Apache DataFusion](https://datafusion.apache.org): SQL over the shared memory itself.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use datafusion::prelude::SessionContext;
//! use farrow_client::{Address, Client};
//! use farrow_datafusion::{FrameSchema, FrameTable};
//!
//! let client = Client::connect(Address::find(None)?).await?;
//! let session = SessionContext::new();
//!
//! // One version of one frame.
//! session.register_table("orders", Arc::new(FrameTable::open(&client, "sales/orders@7").await?))?;
//! session.sql("SELECT count(*) FROM orders").await?.show().await?;
//!
//! // Every frame whose name begins with sales/, as a schema: the latest version at each statement.
//! let sales = FrameSchema::open(client, "sales/").await?;
//! session.catalog("datafusion").expect("the default catalog").register_schema("sales", Arc::new(sales))?;
//! session.sql("SELECT count(*) FROM sales.orders").await?.show().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A scan takes the columns that the query names and no others, is split evenly over DataFusion's threads, however many
//! record batches there are, and stops at a LIMIT. Of a frame that is mapped it hands out the arrays that lie in the
//! mapping; of one that is not, such as one of an agent over TCP, it streams those columns and rows. Filters are
//! DataFusion's: farrow keeps no statistics of values, so there is nothing that it could leave out.
//!
//! DataFusion's Arrow is one major version behind farrow's. What passes from one to the other does so by the Arrow C
//! data interface, within the process and without a copy.
#![deny(unsafe_code)]

mod bridge;
mod scan;
mod schema;
mod source;
mod table;

pub use schema::FrameSchema;
pub use table::FrameTable;
