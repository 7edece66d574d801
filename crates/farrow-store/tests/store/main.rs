//! The store through its public face, on media in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod catalog;
mod changes;
mod counted;
mod crash;
mod damage;
mod drops;
mod export;
mod follower;
mod foreign;
mod format;
mod frames;
mod growth;
mod head;
mod hooked;
mod model;
mod mount;
mod quota;
mod region;
mod replaced;
mod retentions;
mod trouble;
mod truncation;
mod versions;
