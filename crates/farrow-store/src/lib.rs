//! The store of data frames in a famfs region: catalog, allocator, reservations, commit, replay, reclaim, check.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! A [`Store`] is the one writer of a region's catalog: the master host's agent has one. It is synchronous,
//! knows neither Flight nor Arrow, and takes the time from its callers. Everything goes through
//! [`farrow_region::Media`].
//!
//! A frame's life: [`Store::reserve`] gives a writer extents; it writes them; [`Store::commit`] makes them a
//! version; readers [`acquire`](Store::acquire) and [`release`](Store::release) it; [`Store::drop_frame`]
//! (of many at once: [`Store::drop_prefix`], [`Store::retain`], [`Store::expire`]) ends it, and its extents are free
//! once nobody holds them.
//!
//! The state is in memory: about 0.9 KiB for a frame with one version, about 0.6 KiB for each further version (a
//! million of either were measured; the catalog holds them in 263 bytes each). Looking one up takes a hash and a short
//! search, whatever their number; `cargo xtask bench store` measures all of it. An append writes the numbers of all of
//! the frame's segments, 8 bytes each: a frame that is appended to for ever wants a retention, or to be put anew.
//!
//! | module | job |
//! |---|---|
//! | `name`, `frame`, `reservation`, `usage` | the words |
//! | `catalog` | bytes of the catalog to records and back |
//! | `state` | what records mean: the one `apply` of replay and live commits |
//! | `allocator` | free space of the pool files |
//! | `ledger` | state and catalog, moved together |
//! | `volume` | farrow's files in the famfs log |
//! | `mkfs`, `store`, `check` | making, using and checking a region |
//! | `changes` | what has changed of late, for those who wait for it |
//! | `follower` | what readers beside the master see of it |
//! | `mount` | a mounted famfs: its files as one medium, and making farrow's by the famfs tools |
//! | `foreign` | Arrow files that others put into the famfs file system |
//! | `famfs_log`, `export` | any famfs log as far as it can be read; a version as a famfs file of its own |
//! | `host` | which host this is |
//!
#![doc = include_str!("../FORMAT.md")]
#![forbid(unsafe_code)]

mod allocator;
mod catalog;
mod changes;
mod check;
mod error;
mod export;
mod famfs_log;
mod follower;
mod foreign;
mod frame;
mod host;
mod ledger;
mod mkfs;
mod mount;
mod name;
mod quota;
mod reservation;
mod size;
mod state;
mod store;
mod usage;
mod volume;

pub use catalog::{CatalogFault, MAX_RECORD_LEN, MIN_CATALOG_LEN, RecordFault};
pub use changes::{Change, Changes};
pub use check::{CatalogSummary, Problem, Report, check};
pub use error::{Result, StoreError};
pub use export::{Exported, export};
pub use famfs_format::RelPath;
pub use famfs_log::{FamfsLog, read_log};
pub use follower::Follower;
pub use foreign::{ForeignFile, Unnamed};
pub use frame::{Dropped, Extent, NewSegment, NewVersion, Owner, Segment, Validation, Version};
pub use host::{HostId, HostIdFault};
pub use mkfs::{FormatOptions, FormatReport};
pub use mount::{FamfsTools, Mount, MountFault, MountOptions};
pub use name::{FrameName, FrameRef, MAX_NAME_LEN, NameFault};
pub use quota::Quota;
pub use reservation::Reservation;
pub use state::StateFault;
pub use store::{Listed, Store};
pub use usage::Usage;
pub use volume::PoolFile;
