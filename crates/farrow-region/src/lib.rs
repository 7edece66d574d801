//! Sharable memory: opening and mapping media, shared and sealed bytes, persist and refresh.
//!
//! This crate holds all the unsafe code of farrow, in four files, and knows neither what the bytes
//! mean nor who asks for them.
//!
//! # Two kinds of memory, two types
//!
//! **Shared** bytes may be changed at any time by another thread, process or host. Superblock, log and
//! catalog are shared, and so are the extents a writer has reserved. No reference to plain bytes is ever
//! formed to them: they are seen as a slice of aligned `AtomicU64` words, and every access, however
//! long, is made of relaxed atomic accesses to whole words, so that two accesses that overlap are a race
//! of values and never undefined behaviour. [`Media`] and [`WriteMapping`] copy in and out.
//!
//! **Sealed** bytes belong to a version that has been published: no host writes them again until the
//! last lease on them is gone. Only those may be seen as `&[u8]`, through [`SealedBytes`], which holds
//! the mapping and the lease for as long as the slice can be reached.
//!
//! # Code map
//!
//! | file | job | unsafe |
//! |---|---|---|
//! | `media.rs` | the [`Media`] trait and its words | |
//! | `file.rs` | [`FileMedia`]: a medium in a regular file | |
//! | `mem.rs` | [`MemMedia`]: a medium on the heap | |
//! | `crash.rs`, `incoherent.rs` | test doubles (feature `testing`): `CrashMedia` remembers what would survive, `IncoherentMemory` has hosts with caches of their own | |
//! | `read.rs`, `write.rs` | [`ReadMapping`], [`WriteMapping`]: ranges of a file side by side | |
//! | `mapping.rs` | mmap, munmap, madvise | yes |
//! | `sealed.rs` | [`SealedBytes`]: the only `&[u8]` into a mapping | yes |
//! | `shared.rs` | copies to and from shared words | yes |
//! | `cache.rs` | write-back, invalidation, fences | yes |
//!
//! # What no mapping can defend against
//!
//! A file that is truncated while it is mapped makes later accesses fail with SIGBUS. Lengths are
//! checked when a mapping is made; from then on a medium's file must never shrink, and
//! [`FileMedia::create`] replaces a file rather than truncating it.

mod cache;
#[cfg(any(test, feature = "testing"))]
mod crash;
mod error;
mod file;
#[cfg(any(test, feature = "testing"))]
mod incoherent;
mod mapping;
mod media;
mod mem;
#[cfg(any(test, feature = "testing"))]
mod random;
mod read;
mod sealed;
mod shared;
mod write;

#[cfg(any(test, feature = "testing"))]
pub use crash::CrashMedia;
pub use error::RegionError;
pub use file::FileMedia;
#[cfg(any(test, feature = "testing"))]
pub use incoherent::{IncoherentMedia, IncoherentMemory, Overwrite};
pub use mapping::FileRange;
pub use media::{Access, Coherency, Media};
pub use mem::MemMedia;
pub use read::ReadMapping;
pub use sealed::SealedBytes;
pub use write::{MappingWriter, WriteMapping};
