//! Read mappings that forked children inherit.
//!
//! A mapping is kept from children (MADV_DONTFORK), because nobody would know of them: in a child that a raw clone made
//! there is a hole. fork(3) calls handlers. Those of this file let the mappings go along with the fork, if they are of a
//! [`Family`] that has a page: a file mapped beside them, which every child inherits in the same moment. Somebody else has
//! locked that file (flock) through the description that is mapped here and nowhere else open, and so can ask the kernel
//! whether any process still has it.
//!
//! ```text
//! before the fork   lock; put the fork on record with each family; let its mappings go along (MADV_DOFORK)
//! in the parent     keep them again (MADV_DONTFORK); unlock
//! in the child      keep them again; they are the child's now; where they could not go along, keep the addresses; unlock
//! ```
//!
//! A raw clone by another thread in between inherits mappings and page, and the fork is on record: so the page counts it.
//!
//! The handlers, of which fork(3) may call those of the child with every lock of the parent's other threads taken for
//! ever, make system calls and atomic accesses, and nothing else.
#![expect(unsafe_code, reason = "handlers of fork, and madvise")]

use std::fmt;
use std::ops::Range;
use std::os::fd::AsFd;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

use crate::RegionError;
use crate::medium::describe;
use crate::table::{SLOTS, Table};

/// Held over each fork, and by who changes what the handlers look at.
static FORKING: Lock = Lock(AtomicBool::new(false));

/// Mappings of families; null where there is none.
static MAPPINGS: Table<AtomicPtr<Place>> =
    Table::new([const { AtomicPtr::new(ptr::null_mut()) }; SLOTS], || AtomicPtr::new(ptr::null_mut()));

/// The process that forked last.
static PARENT: AtomicU32 = AtomicU32::new(0);

/// Forks so far; each has its number.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// A process, and those of its descendants that may read what it has mapped.
///
/// It is counted by its page: see [`enter`](Self::enter). Without one nothing is inherited. Dropping the last reference
/// takes this process out.
#[derive(Debug, Default)]
pub struct Family {
    /// The page's number; 0: there is none.
    page: AtomicU64,
    /// The place where it is mapped.
    address: AtomicUsize,
    /// The last fork that it was inherited by; 0: none.
    forked: AtomicU64,
    /// The last of those that was [told](Self::told).
    told: AtomicU64,
    /// `granted` at the last fork.
    up_to: AtomicU64,
    granted: AtomicU64,
}

/// A fork that a family's mappings were inherited by, with all that came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// The page that the children have.
    pub page: u64,
    /// The highest number that had been [granted](Family::granted).
    pub up_to: u64,
    number: u64,
}

impl Family {
    /// A family without a page.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// True if it has a page.
    pub fn has_page(&self) -> bool {
        self.page.load(Ordering::Relaxed) != 0
    }

    /// Maps the page `number` (not 0), instead of the one before, if there is one. The file may be empty: nothing of it is
    /// read. False, and nothing has changed, while there is a fork that is not told: its children have the old page, and
    /// nobody would ask whether it still lasts.
    ///
    /// # Errors
    ///
    /// [`Io`](RegionError::Io).
    pub fn enter(&self, page: impl AsFd, number: u64) -> Result<bool, RegionError> {
        let page = page.as_fd();
        let io_error = |source: Errno| RegionError::Io {
            action: "map as a page",
            what: describe(page),
            source: source.into(),
        };
        let _forking = FORKING.hold();
        if self.forked.load(Ordering::Relaxed) > self.told.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let len = rustix::param::page_size();
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let address =
            unsafe { rustix::mm::mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, page, 0) }
                .map_err(io_error)?;
        self.leave();
        self.address.store(address.addr(), Ordering::Relaxed);
        self.page.store(number, Ordering::Relaxed);
        self.forked.store(0, Ordering::Relaxed);
        Ok(true)
    }

    /// Says that `number` was granted: numbers grow. To be called before anything is mapped by what was granted.
    pub fn granted(&self, number: u64) {
        self.granted.fetch_max(number, Ordering::SeqCst);
    }

    /// The last fork that is not [told](Self::told) yet. Once the last reference to some bytes is dropped here, any fork
    /// whose children may still read them is seen.
    pub fn untold(&self) -> Option<Fork> {
        let _forking = FORKING.hold();
        let number = self.forked.load(Ordering::Relaxed);
        (number > self.told.load(Ordering::Relaxed)).then(|| Fork {
            page: self.page.load(Ordering::Relaxed),
            up_to: self.up_to.load(Ordering::Relaxed),
            number,
        })
    }

    /// Says that whoever counts by the page knows of `fork`, and of those before it.
    pub fn told(&self, fork: &Fork) {
        self.told.fetch_max(fork.number, Ordering::SeqCst);
    }

    /// True if children have this process's page, so that it should have another one.
    pub fn shares_page(&self) -> bool {
        self.forked.load(Ordering::SeqCst) != 0
    }

    /// Undoes the mapping of the page.
    fn leave(&self) {
        let address = self.address.swap(0, Ordering::Relaxed);
        if address == 0 {
            return;
        }
        // SAFETY: `enter` has mapped one page there, in this process or in an ancestor whose memory this is a copy of, and
        // the page goes along with every fork. Only `leave` unmaps it, and only once, since it takes the address. No
        // reference into it exists anywhere.
        let result =
            unsafe { rustix::mm::munmap(ptr::without_provenance_mut(address), rustix::param::page_size()) };
        debug_assert!(result.is_ok(), "munmap of an own page: {result:?}");
    }

    /// Puts a fork on record, before it is made. False if there is no page.
    fn fork(&self, number: u64) -> bool {
        if !self.has_page() {
            return false;
        }
        self.up_to.store(self.granted.load(Ordering::SeqCst), Ordering::Relaxed);
        self.forked.store(number, Ordering::SeqCst);
        true
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A mapping to be read, as the handlers see it.
struct Place {
    addresses: Range<usize>,
    /// The process that has something mapped there.
    process: Arc<AtomicU32>,
    family: Arc<Family>,
    /// Between a fork and what its handlers do: whether it goes along.
    goes_along: AtomicBool,
}

/// A mapping that goes along with a fork, for as long as this lives: to be dropped before it is unmapped.
pub(crate) struct Member {
    slot: &'static AtomicPtr<Place>,
    /// The place that the slot points to.
    _place: Arc<Place>,
}

impl Member {
    /// Lets the mapping at `addresses`, all of a family's `process`, be inherited by those whom the family's page counts. It
    /// consists of whole mappings, has MADV_DONTFORK, and is neither written through nor changed as long as this lives.
    ///
    /// Where the system cannot call the handlers, nothing is inherited.
    pub(crate) fn new(addresses: Range<usize>, process: Arc<AtomicU32>, family: Arc<Family>) -> Self {
        static HANDLERS: AtomicBool = AtomicBool::new(false);
        // Who comes second goes on without waiting for the first: a fork that no handler sees leaves holes.
        if !HANDLERS.swap(true, Ordering::Relaxed) {
            // SAFETY: three functions that live as long as the program, and do what handlers of fork may (see the
            // file's page).
            unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) };
        }
        let place = Arc::new(Place { addresses, process, family, goes_along: AtomicBool::new(false) });
        let pointer = Arc::as_ptr(&place).cast_mut();
        let slot = MAPPINGS.take(|slot| {
            slot.compare_exchange(ptr::null_mut(), pointer, Ordering::Release, Ordering::Relaxed).is_ok()
        });
        Self { slot, _place: place }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _forking = FORKING.hold();
        self.slot.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").finish_non_exhaustive()
    }
}

extern "C" fn before_fork() {
    FORKING.acquire();
    let process = std::process::id();
    PARENT.store(process, Ordering::Relaxed);
    let number = FORKS.fetch_add(1, Ordering::Relaxed) + 1;
    for place in places().filter(|place| place.is_of(process)) {
        let goes_along = place.family.fork(number) && place.advise(Advice::LinuxDoFork).is_ok();
        if !goes_along {
            // Where it is of several mappings, some may have been told to go along.
            let _ = place.advise(Advice::LinuxDontFork);
        }
        place.goes_along.store(goes_along, Ordering::Relaxed);
    }
}

extern "C" fn in_parent() {
    for place in places().filter(|place| place.goes_along.load(Ordering::Relaxed)) {
        place.stay();
    }
    FORKING.release();
}

extern "C" fn in_child() {
    let (parent, child) = (PARENT.load(Ordering::Relaxed), std::process::id());
    for place in places().filter(|place| place.is_of(parent)) {
        if place.goes_along.load(Ordering::Relaxed) {
            place.stay();
            place.process.store(child, Ordering::Relaxed);
        } else {
            keep_free(place.addresses.clone());
        }
    }
    FORKING.release();
}

/// All of them. To be called by who holds [`FORKING`], which must outlive what is done with them.
fn places() -> impl Iterator<Item = &'static Place> {
    // SAFETY: what a slot points to is alive: a member, which keeps it, takes it out of its slot while it holds FORKING
    // before it lets go of it, and the caller holds FORKING. It was whole before its pointer was stored with Release.
    MAPPINGS.iter().filter_map(|slot| unsafe { slot.load(Ordering::Acquire).as_ref() })
}

impl Place {
    fn is_of(&self, process: u32) -> bool {
        self.process.load(Ordering::Relaxed) == process
    }

    /// Keeps it from children again. The kernel needs no memory for that: what it split for the fork it joins.
    fn stay(&self) {
        let _ = self.advise(Advice::LinuxDontFork);
        self.goes_along.store(false, Ordering::Relaxed);
    }

    fn advise(&self, advice: Advice) -> rustix::io::Result<()> {
        let start = ptr::without_provenance_mut(self.addresses.start);
        // SAFETY: in the process that this is of, the addresses are one mapping of this crate, which is unmapped only
        // once its member is dropped. DOFORK and DONTFORK change neither the contents nor the protection of a page.
        unsafe { rustix::mm::madvise(start, self.addresses.len(), advice) }
    }
}

/// Puts nothing (no access) where the parent has something and this process has not, so that nothing else gets there:
/// who still has a pointer of the parent's finds no other bytes. What has been taken already stays.
fn keep_free(addresses: Range<usize>) {
    let start = ptr::without_provenance_mut(addresses.start);
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
    // SAFETY: FIXED_NOREPLACE maps where nothing is mapped, or fails (Linux 4.17, older than the pidfds that farrow
    // needs).
    let kept = unsafe { rustix::mm::mmap_anonymous(start, addresses.len(), ProtFlags::empty(), flags) };
    let page = rustix::param::page_size();
    if kept == Err(Errno::EXIST) && addresses.len() > page {
        let middle = addresses.start + (addresses.len() / 2).next_multiple_of(page);
        keep_free(addresses.start..middle);
        keep_free(middle..addresses.end);
    }
}

/// Held for a moment, or over a fork: taken by the thread that forks, and released by it in the parent and in the child.
struct Lock(AtomicBool);

/// [`Lock`], held.
struct Held(&'static Lock);

impl Lock {
    fn hold(&'static self) -> Held {
        self.acquire();
        Held(self)
    }

    fn acquire(&self) {
        while self.0.swap(true, Ordering::Acquire) {
            thread::yield_now();
        }
    }

    fn release(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(test)]
pub(crate) mod tests;
