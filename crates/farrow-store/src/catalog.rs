//! The catalog file: bytes to checked records and back. `FORMAT.md` gives every byte.
//!
//! Knows nothing of what records mean together: that is [`crate::state`].

mod fault;
mod fields;
mod file;
mod head;
mod record;

pub use fault::{CatalogFault, RecordFault};
pub use head::{MAX_CATALOG_LEN, MIN_CATALOG_LEN};
pub use record::MAX_RECORD_LEN;

pub(crate) use file::{CatalogFile, Place};
pub(crate) use head::HALF_HEADER_LEN;
pub(crate) use record::{
    Body, FLOOR_RECORD_LEN, PrefixDropped, Record, RetentionSet, VersionRecord, number_record_len,
    reservation_record_len, retention_record_len, segment_len, segment_record_len, version_record_len,
};
