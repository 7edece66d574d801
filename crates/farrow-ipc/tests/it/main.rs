//! One binary: segments written, checked, opened, broken.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod by_name;
mod checksums;
mod compacting;
mod corruption;
mod foreign;
mod forge;
mod hostile;
mod limits;
mod prepare;
mod readable;
mod round_trip;
mod same_schema;
mod samples;
mod segment_writer;
mod sending;
mod stream;
mod stream_encoder;
mod zero_copy;
