//! Tests of the format from outside: against famfs, against what must be refused, against models.

mod bad_entry;
mod golden;
mod images;
mod odd;
mod odd_headers;
mod odd_paths;
mod properties;
mod region;
