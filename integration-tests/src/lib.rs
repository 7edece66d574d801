//! Harness: regions in shared memory, and real agents, clients and commands as processes around them.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
#![forbid(unsafe_code)]

mod agent;
mod certificates;
mod data;
mod eventually;
mod example;
mod famfs;
mod fuse;
mod hold;
mod images;
pub mod literals;
mod map_socket;
mod mount;
mod peers;
mod programs;
mod python;
mod skipped;
mod terminal;
mod user;

pub use agent::{Agent, Region};
pub use certificates::{Authority, Signed};
pub use data::{arrow_file, batch, mebibytes, numbers, sum, wide};
pub use eventually::eventually;
pub use example::{Example, orders};
pub use famfs::Famfs;
pub use fuse::FuseMount;
pub use hold::Holder;
pub use images::{famfs_image, famfs_testdata};
pub use map_socket::{Answer, exchange, map_request, map_socket};
pub use mount::famfs;
pub use peers::Peers;
pub use programs::{copy_program, farrow, program};
pub use python::pyarrow;
pub use skipped::skipped;
pub use terminal::Terminal;
pub use user::User;
