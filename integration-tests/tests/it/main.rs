//! Whole processes against each other. One binary, one line a subject.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod bad_input;
mod cli;
mod leases;
mod lost_memory;
mod mount;
mod offline;
mod plain_flight;
mod publish_get;
