//! Whole processes against each other. One binary, one line a subject.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod asking_again;
mod bad_input;
mod bad_media;
mod cat;
mod cli;
mod commit;
mod config;
mod cut_off;
mod device;
mod do_put;
mod endpoints;
mod foreign;
mod huge_pages;
mod leases;
mod limits;
mod lost_memory;
mod map_socket;
mod mount;
mod namespaces;
mod no_media;
mod offline;
mod operations;
mod plain_flight;
mod publish_get;
mod rights;
mod session;
mod session_rights;
mod snapshot;
mod tls;
mod writer;
