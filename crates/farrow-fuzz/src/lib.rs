#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod by_name;
mod bytes;
mod famfs;
mod ipc;
mod published;
mod selection;
mod store;

pub use by_name::by_name;
pub use famfs::{entry, log_header, replay, superblock};
pub use ipc::{batch_of_every_type, segment, stream};
pub use published::published;
pub use selection::selection;
pub use store::{catalog, region};

/// One decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, by which a command asks for it.
    pub name: &'static str,
    /// Gives any bytes to the decoder, and panics where it breaks a promise.
    pub run: fn(&[u8]),
    /// Valid inputs to begin with, the same in every process.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: [Target; 11] = [
    Target { name: "superblock", run: superblock, seeds: famfs::superblock_seeds },
    Target { name: "log_header", run: log_header, seeds: famfs::log_header_seeds },
    Target { name: "entry", run: entry, seeds: famfs::entry_seeds },
    Target { name: "replay", run: replay, seeds: famfs::replay_seeds },
    Target { name: "region", run: region, seeds: store::region_seeds },
    Target { name: "catalog", run: catalog, seeds: store::catalog_seeds },
    Target { name: "segment", run: segment, seeds: ipc::segment_seeds },
    Target { name: "published", run: published, seeds: published::published_seeds },
    Target { name: "stream", run: stream, seeds: ipc::stream_seeds },
    Target { name: "by_name", run: by_name, seeds: by_name::by_name_seeds },
    Target { name: "selection", run: selection, seeds: selection::selection_seeds },
];
