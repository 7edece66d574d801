//! One binary: segments written, checked, opened, broken.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod checksums;
mod copying;
mod corruption;
mod foreign;
mod forge;
mod hostile;
mod limits;
mod prepare;
mod round_trip;
mod samples;
mod segment_writer;
mod sending;
mod stream;
mod zero_copy;
