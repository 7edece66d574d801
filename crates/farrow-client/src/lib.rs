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
//! # Forked children
//!
//! A child that a process forks reads on what the parent had mapped, frames and arrays, also after the parent has dropped
//! or replaced them, and when it has ended: the agent knows of the child by a lock that goes along with the mapping. It
//! keeps the bytes until no child that may read them is left, or has the parent's client and frames.
//!
//! Clients, writers and watches are the parent's: in the child they are errors ([`ClientError::Forked`]), and it connects
//! again. Nothing is inherited from an agent that gives no pages, and on a PCI BAR: then frames are errors
//! ([`ClientError::ForkedFrame`]), and touching an array ends the child. So it does in a child of a raw `clone`, which
//! calls no handlers of fork.
//!
//! # Asking again
//!
//! Calls that change nothing are made again when the connection breaks or a stream is cut off, up to five times within
//! about three seconds: [`get`](Client::get), [`locate`](Client::locate), [`stream`](Client::stream) up to the first batch,
//! [`schema`](Client::schema), [`snapshot`](Client::snapshot), [`list`](Client::list), [`stat`](Client::stat),
//! [`versions`](Client::versions), [`retentions`](Client::retentions), [`leases`](Client::leases), [`usage`](Client::usage) and [`health`](Client::health).
//! So they go on over a restart of the agent; a [`Watch`] does, too, by itself. All others are made once: if the
//! connection breaks before their answer is there, the error says that they may have been carried out.
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
mod dial;
mod error;
mod frame;
mod get;
mod granted;
mod in_place;
mod info;
mod inheritance;
mod lease;
mod located;
mod map_socket;
mod of_process;
mod put_options;
mod put_stream;
mod regions;
mod retention;
mod retry;
mod selection;
mod session;
mod short;
mod unreached;
mod upkeep;
mod watch;
mod writer;

pub use address::Address;
pub use batch_stream::BatchStream;
pub use client::Client;
pub use credentials::Credentials;
pub use error::{ClientError, chain};
pub use farrow_proto::v1::Validation;
pub use farrow_proto::{Advice, Reason, Retry};
pub use frame::Frame;
pub use info::{Dropped, Health, Info, LeaseInfo, Usage, Verified, VersionInfo};
pub use located::{Located, RemoteFrame};
pub use map_socket::MapSocketError;
pub use put_options::PutOptions;
pub use retention::{Retention, RetentionRule, RetentionTarget};
pub use selection::Selection;
pub use watch::{Event, Watch};
pub use writer::{Mode, Writer, Written};

// The guide's Rust is this crate's: its blocks are doc-tests.
#[cfg(doctest)]
#[doc = include_str!("../../GUIDE.md")]
struct Guide;
