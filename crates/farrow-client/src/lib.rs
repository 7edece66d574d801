//! The Rust client of farrow: data frames published into, and mapped out of, memory that processes share.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! ```
//! # use farrow_integration_tests::{Example, orders};
//! # let example = Example::new();
//! # let (address, schema, batch) = (example.address(), orders().schema(), orders());
//! # example.run(async |_| {
//! use farrow_client::Client;
//!
//! // Address::find(None) finds this host's agent.
//! let client = Client::connect(address).await?;
//! client.put("sales/orders", schema, vec![batch]).await?;
//!
//! let frame = client.get("sales/orders").await?;
//! for batch in frame.batches() {
//!     println!("{} rows, mapped: {}", batch?.num_rows(), frame.zero_copy());
//! }
//! # Ok(()) });
//! ```
//!
//! A [`Frame`] got over the agent's unix socket is mapped: its batches' buffers lie in the shared memory itself. They
//! keep the version's lease, and the last buffer's end releases it. Whatever stands in the way of mapping, the rows
//! are streamed instead and [`Frame::why`] says so.
//!
//! Mapping needs no right on the region's file or device: the agent passes a descriptor. Publishing in place does.
//!
//! An Arrow file that another program put into the region's famfs file system is a frame as well ([`Info::foreign`]).
//! Nobody has sealed its bytes. Each batch is validated when it is decoded; whoever may write the file can still change
//! it afterwards, under the arrays, and so show this process wrong values or crash it. Rows that the agent streams are
//! copies and have no such risk.
//!
//! A child that a process forks inherits neither connection nor leases nor what is mapped: it connects and gets again.
//! Clients and frames of the parent are errors there; arrays of the parent must not be touched, their memory is gone.
//!
//! # Asking again
//!
//! Calls that change nothing are made again when the connection breaks or a stream is cut off, up to five times within
//! about three seconds: [`get`](Client::get), [`stream`](Client::stream) up to the first batch,
//! [`snapshot`](Client::snapshot), [`list`](Client::list), [`stat`](Client::stat), [`leases`](Client::leases),
//! [`usage`](Client::usage) and [`health`](Client::health). So they go on over a restart of the agent; a [`Watch`] does, too, by itself. All others are made once: if the connection
//! breaks before their answer is there, the error says that they may have been carried out.
//! [`ClientError::is_transient`] tells which errors may pass.
//!
//! [`blocking`] offers the same to programs that are not async.
#![forbid(unsafe_code)]

mod address;
mod batch_stream;
pub mod blocking;
mod client;
mod connection;
mod credentials;
mod error;
mod frame;
mod get;
mod in_place;
mod info;
mod lease;
mod map_socket;
mod put_stream;
mod regions;
mod retry;
mod session;
mod upkeep;
mod watch;
mod writer;

pub use address::Address;
pub use batch_stream::BatchStream;
pub use client::Client;
pub use credentials::Credentials;
pub use error::{ClientError, chain};
pub use farrow_proto::v1::Validation;
pub use farrow_proto::{Reason, Retry};
pub use frame::Frame;
pub use info::{Dropped, Health, Info, LeaseInfo, Usage, Verified};
pub use map_socket::MapSocketError;
pub use watch::{Event, Watch};
pub use writer::{Mode, Writer, Written};

// The guide's Rust is this crate's: its blocks are doc-tests.
#[cfg(doctest)]
#[doc = include_str!("../../GUIDE.md")]
struct Guide;
