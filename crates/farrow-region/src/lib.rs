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
//! # Media
//!
//! [`FileMedia::open`] looks at a path and takes what it finds there: a regular file, a device-dax node, a
//! PCI BAR. Size and alignment are known before anything is mapped: of devices from sysfs, because stat
//! says nothing of a device, and device-dax maps past its end without complaint. Mappings of ranges
//! ([`ReadMapping`], [`WriteMapping`]) ask in the same way. Devices are never read or written by system
//! calls, which device-dax does not have.
//!
//! | medium | length from | mapped in units of | by which pages |
//! |---|---|---|---|
//! | file | stat | 4 KiB | [`FileMedia::page_use`] tells: tmpfs has huge ones if mounted so |
//! | hugetlbfs | stat, rounded down | its pages, 2 MiB | huge |
//! | device-dax | `size` in sysfs, rounded down | its `align`, 2 MiB | huge |
//! | PCI BAR | stat and `resource` in sysfs, which must agree | 4 KiB | uncached, or write-combining |
//! | mounted famfs | stat of each of its files | 4 KiB | the device's |
//!
//! A device that famfs has mounted can be reached only through the mount's files. [`AssembledMedia`] puts ranges
//! of them where they lie on the device, so that whoever knows device offsets need not know of the mount.
//!
//! # Code map
//!
//! | file | job | unsafe |
//! |---|---|---|
//! | `media.rs` | the [`Media`] trait and its words | |
//! | `medium.rs` | what a path leads to: [`MediumKind`], size, alignment | |
//! | `file.rs` | [`FileMedia`]: a medium that has a path | |
//! | `assembled.rs` | [`AssembledMedia`]: parts of files in one address space | |
//! | `mem.rs` | [`MemMedia`]: a medium on the heap | |
//! | `crash.rs`, `incoherent.rs` | test doubles (feature `testing`): `CrashMedia` remembers what would survive, `IncoherentMemory` has hosts with caches of their own | |
//! | `pages.rs` | [`PageUse`]: whether pages are huge | |
//! | `read.rs`, `write.rs` | [`ReadMapping`], [`WriteMapping`]: ranges of a medium side by side | |
//! | `mapping.rs` | mmap, munmap, madvise | yes |
//! | `sealed.rs` | [`SealedBytes`]: the only `&[u8]` into a mapping | yes |
//! | `shared.rs` | copies to and from shared words | yes |
//! | `cache.rs` | write-back, invalidation, fences | yes |
//!
//! # What no mapping can defend against
//!
//! Memory can go away under a mapping: a file is truncated, a device is taken from its driver, a page is
//! poisoned. Touching it then raises SIGBUS, which ends the process. What this crate does about it:
//!
//! - Lengths are checked before anything is mapped, and [`FileMedia::create`] replaces a file rather than
//!   truncating it. A medium opened for writing is faulted in at once: a page that is poisoned already, or
//!   cannot be had, is an error of the opening.
//! - [`FileMedia::check_len`] says that a file has been truncated, before its bytes are touched: an error
//!   that a service can answer with, as long as it asks first.
//!
//! It installs no handler for the signal. A handler belongs to the process and not to a library; and all
//! it could do is to put a page of zeros in place of the lost one and let the instruction go on. For the
//! copies of [`Media`] that would do: they could look afterwards whether it had happened. For
//! [`SealedBytes`] it would be unsound. Arrays over them are `&[u8]` whose content has been checked once,
//! and zeros that appear behind that check are offsets that go backwards: out-of-bounds reads in place of
//! a clean end. A process that dies of SIGBUS leaves nothing half done: locks and mappings go with it,
//! what was committed is on the medium, and whoever opens the file next is told that it is too short.

mod assembled;
mod cache;
#[cfg(any(test, feature = "testing"))]
mod crash;
mod error;
mod file;
#[cfg(any(test, feature = "testing"))]
mod incoherent;
mod mapping;
mod media;
mod medium;
mod mem;
mod pages;
#[cfg(any(test, feature = "testing"))]
mod random;
mod read;
mod sealed;
mod shared;
#[cfg(test)]
mod sysfs_double;
mod write;

#[cfg(test)]
use sysfs_double::skipped;

pub use assembled::{AssembledMedia, FilePart};
#[cfg(any(test, feature = "testing"))]
pub use crash::CrashMedia;
pub use error::RegionError;
pub use file::FileMedia;
#[cfg(any(test, feature = "testing"))]
pub use incoherent::{IncoherentMedia, IncoherentMemory, Overwrite};
pub use mapping::FileRange;
pub use media::{Access, Coherency, Media};
pub use medium::MediumKind;
pub use mem::MemMedia;
pub use pages::PageUse;
pub use read::ReadMapping;
pub use sealed::SealedBytes;
pub use write::{MappingWriter, WriteMapping};
