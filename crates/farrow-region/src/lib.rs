//! Sharable memory: opening and mapping media, shared and sealed bytes, persist and refresh.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! This crate holds all the unsafe code of farrow, in seven files, and knows neither what the bytes
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
//! calls, which device-dax does not have. Tests of both kinds of device run in a guest that has them (`cargo
//! xtask guest`).
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
//! | `identity.rs` | [`FileIdentity`]: which file or device it is, whatever its path | |
//! | `assembled.rs` | [`AssembledMedia`]: parts of files in one address space | |
//! | `mem.rs` | [`MemMedia`]: a medium on the heap | |
//! | `crash.rs`, `incoherent.rs` | test doubles (feature `testing`): `CrashMedia` remembers what would survive, `IncoherentMemory` has hosts with caches of their own | |
//! | `trust.rs` | [`trust`]: directories that are believed, links that are not followed, files that nobody else may read | |
//! | `shell.rs` | [`shell`]: values in commands that messages name | |
//! | `pages.rs` | [`PageUse`]: whether pages are huge | |
//! | `read.rs`, `write.rs` | [`ReadMapping`], [`WriteMapping`]: ranges of a medium side by side | |
//! | `mapping.rs` | mmap, munmap, madvise | yes |
//! | `family.rs` | [`Family`]: what forked children inherit, and the handlers of fork | yes |
//! | `table.rs` | slots for handlers to look through | yes |
//! | `losses.rs` | what is lost below which mapping: a table for the signal handler | |
//! | `bus.rs` | SIGBUS, survived | yes |
//! | `sealed.rs` | [`SealedBytes`]: the only `&[u8]` into a mapping | yes |
//! | `shared.rs` | copies to and from shared words | yes |
//! | `cache.rs` | write-back, invalidation, fences | yes |
//!
//! # Memory that goes away
//!
//! Memory can go away under a mapping: a file is truncated, a device is taken from its driver, a page is
//! poisoned. Touching it then raises SIGBUS, which ends the process. What this crate does about it:
//!
//! - Lengths are checked before anything is mapped, and [`FileMedia::create`] replaces a file rather than
//!   truncating it. A medium opened for writing is faulted in at once: a page that is poisoned already, or
//!   cannot be had, is an error of the opening.
//! - [`FileMedia::check_len`] says that a file has been truncated, and [`ReadMapping::check_readable`] asks
//!   for the very pages that are about to be read: errors that a service can answer with, if it asks first.
//! - [`survive_bus_errors`] is for what happens in between. A handler belongs to the process and not to a
//!   library, so a program has to ask for it; farrow's agent does, and so do the commands that look at a
//!   medium. An application that maps frames by `farrow-client` is left as it is. The handler knows the
//!   mappings of this crate, puts zeros in the place of the lost page and lets the instruction go on; a fault
//!   anywhere else ends the process as before.
//!
//! Zeros must never be taken for data. The loss is on record before they are there, for as long as the
//! mapping lives, and everything that copies ([`Media`], [`WriteMapping`], [`ReadMapping::read_at`]) looks
//! there after it has copied: it fails with [`RegionError::Lost`], or [`RegionError::Shrunk`] if the
//! medium's file is shorter now. A word stored into such a page is an error at the store, and again at
//! [`persist`](Media::persist): a commit that did not reach the medium is never reported as done. Bytes
//! beside the lost page (of hugetlbfs and device-dax: the lost 2 MiB, whose mappings cannot be split finer)
//! are served on.
//!
//! ## Sealed bytes, and what remains
//!
//! For [`SealedBytes`] the zeros are worse than for copies. They are a `&[u8]` whose content was checked
//! once, and Rust's rules say that it does not change: a compiler may read a byte twice and expect the same
//! value, and code that was promised valid offsets may leave out a bound. So the program that asked for the
//! handler has to ask [`ReadMapping::check_intact`] after it has read, before anything that it made of the
//! bytes leaves it; what was computed meanwhile is thrown away, a panic too. And it does well to ask
//! [`ReadMapping::check_readable`] before it reads: of all it is about to read, or, where these are many
//! small pages, of the last one, which a file that was cut off does not have. Then a loss shows as zeros
//! only if the kernel learns of it after that call, or of a poisoned page that was not asked for.
//!
//! What remains is code that reads a value twice, unchecked the second time, on a page that goes away
//! between the two: undefined behaviour, in a process that without the handler would have died at that
//! access. And a file that is truncated and grown again while nobody touches it raises no
//! signal: it has zeros then, by right, which checksums and validation find.

mod assembled;
mod bus;
mod cache;
mod counted;
#[cfg(any(test, feature = "testing"))]
mod crash;
pub mod denial;
mod error;
mod family;
mod file;
mod identity;
#[cfg(any(test, feature = "testing"))]
mod incoherent;
mod losses;
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
pub mod shell;
#[cfg(test)]
mod sysfs_double;
mod table;
pub mod trust;
mod write;

#[cfg(test)]
use sysfs_double::skipped;

pub use assembled::{AssembledMedia, FilePart};
pub use bus::survive_bus_errors;
pub use counted::{Counted, counted};
#[cfg(any(test, feature = "testing"))]
pub use crash::CrashMedia;
pub use error::RegionError;
pub use family::{Family, Fork};
pub use file::FileMedia;
pub use identity::FileIdentity;
#[cfg(any(test, feature = "testing"))]
pub use incoherent::{IncoherentMedia, IncoherentMemory, Overwrite};
pub use losses::LossCause;
pub use mapping::FileRange;
pub use media::{Access, Coherency, Media};
pub use medium::MediumKind;
pub use mem::MemMedia;
pub use pages::PageUse;
pub use read::ReadMapping;
pub use sealed::SealedBytes;
pub use write::{MappingWriter, WriteMapping};
