//! Protobuf messages of farrow's Flight control plane, and the framing they travel in.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! The messages are specified in `proto/farrow/v1`; the generated code is committed under `src/gen`, so that nobody
//! needs a protobuf compiler, and a test keeps the two the same. `proto/README.md` says who sends what, in order.
#![forbid(unsafe_code)]

mod action;
mod advice;
mod framing;
pub mod map_socket;
mod period;
mod places;
mod reason;
mod selection;
mod session;
mod size;

pub use action::Action;
pub use advice::{ADVICE_HEADER, Advice};
pub use framing::{
    ANNOUNCE_HEADER, ANNOUNCE_VALUE, FramingError, IF_VERSION_HEADER, KEEP_HEADER, PUT_APPEND,
    PUT_APPEND_BY_NAME, PUT_HEADER, PUT_REPLACE, decode_batch_descriptor, decode_list_request,
    decode_map_descriptor, decode_ticket, encode_batch_descriptor, encode_list_request,
    encode_map_descriptor, encode_ticket,
};
pub use period::{Period, PeriodFault};
pub use places::{SOCKET_NAME, SYSTEM_DIRECTORY, own_directory, runtime_directory_fault};
pub use reason::{REASON_HEADER, Reason, Retry};
pub use session::{SESSION_COMMAND, SESSION_VERSION};
pub use size::{Size, SizeFault};

/// [`v1::PoolFile::index`] of the first file that another program put into famfs; pool files are below it.
pub const FIRST_FOREIGN_FILE: u32 = 1 << 31;

/// Generated from `proto/farrow/v1`; do not edit.
#[expect(missing_docs, reason = "generated: prost documents what proto/ documents, but not enum conversions")]
pub mod v1 {
    include!("gen/farrow.v1.rs");
}
