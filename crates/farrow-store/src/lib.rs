//! The store of data frames in a famfs region: catalog, allocator, reservations, commit, replay, reclaim, check.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! A [`Store`] is the one writer of a region's catalog: the master host's agent has one. It is synchronous,
//! knows neither Flight nor Arrow, and takes the time from its callers. Everything goes through
//! [`farrow_region::Media`].
//!
//! A frame's life: [`Store::reserve`] gives a writer extents; it writes them; [`Store::commit`] makes them a
//! version; readers [`acquire`](View::acquire) and [`release`](Store::release) it; [`Store::drop_frame`]
//! (of many at once: [`Store::drop_prefix`], [`Store::retain`], [`Store::expire`]; with time [`Store::drop_aged`]) ends it, and its extents are free
//! once nobody holds them.
//!
//! The state is in memory: about 0.8 KiB for a frame with one version, about 0.5 KiB for each further version (200,000
//! of either were measured; the catalog holds them in 184 bytes each). Looking one up takes a hash and a short
//! search, whatever their number; `cargo xtask bench store` measures all of it. An append takes as much of the catalog
//! as a put, however many segments the frame has.
//!
//! | module | job |
//! |---|---|
//! | `name`, `prefix`, `frame`, `segments`, `reservation`, `retention`, `old_versions` | the words |
//! | `catalog` | bytes of the catalog to records and back |
//! | `state` | what records mean: the one `apply` of replay and live commits |
//! | `allocator` | free space of the pool files |
//! | `ledger` | state and catalog, moved together |
//! | `shared_state` | the state as threads share it, with its recent changes |
//! | `view` | the region as it is read, whoever feeds the state |
//! | `volume` | farrow's files in the famfs log |
//! | `mkfs`, `store`, `check` | making, using and checking a region; `mkfs::share`: how much of it is the catalog |
//! | `changes` | what has changed of late, for those who wait for it |
//! | `follower` | feeds the view of a process beside the master |
//! | `mount` | a mounted famfs: its files as one medium, and making farrow's by the famfs tools |
//! | `foreign` | Arrow files that others put into the famfs file system |
//! | `famfs_log`, `export` | any famfs log as far as it can be read; a version as a famfs file of its own |
//! | `host` | which host this is |
//! | `identity` | whether the medium still has the file system that was opened |
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
mod identity;
mod ledger;
mod mkfs;
mod mount;
mod name;
mod old_versions;
mod prefix;
mod quota;
mod reservation;
mod retention;
mod segments;
mod shared_state;
mod size;
mod state;
mod store;
mod view;
mod volume;

pub use catalog::{CatalogFault, MAX_CATALOG_LEN, MAX_RECORD_LEN, MIN_CATALOG_LEN, RecordFault};
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
pub use identity::Replacement;
pub use mkfs::{FormatOptions, FormatReport};
pub use mount::{FamfsTools, Mount, MountFault, MountOptions};
pub use name::{FrameName, FrameRef, MAX_NAME_LEN, NameFault};
pub use old_versions::OldVersions;
pub use prefix::{Prefix, Scope};
pub use quota::{Charge, Quota};
pub use reservation::Reservation;
pub use retention::{MAX_RETENTIONS, MAX_RETENTIONS_OF_USER, Retention, RetentionRule, RetentionTarget};
pub use segments::{Segments, SegmentsIter};
pub use state::StateFault;
pub use store::{AgeCursor, CommitOptions, Store};
pub use view::{Listed, ListedVersion, Usage, View};
pub use volume::PoolFile;
