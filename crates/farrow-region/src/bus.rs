//! SIGBUS, survived: what is lost below a mapping is replaced by zeros, and said.
#![expect(unsafe_code, reason = "a signal handler")]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use libc::{
    BUS_ADRERR, BUS_MCEERR_AO, BUS_MCEERR_AR, BUS_OBJERR, SA_ONSTACK, SA_RESTART, SA_SIGINFO, SIGBUS,
};
use rustix::mm::{MapFlags, ProtFlags};

use crate::RegionError;
use crate::losses::{LossCause, Pinned};
use crate::media::Access;

/// The earlier handler of SIGBUS.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// Makes this process survive that memory below its mappings of media is lost: a file that is cut off, a
/// page that is poisoned.
///
/// Installs a handler for SIGBUS, once, however often it is called. It puts zeros in the place of what is
/// lost (a page; of hugetlbfs and device-dax a page of theirs) and lets the instruction go on. Every
/// function of this crate that copies says afterwards that what it touched is lost
/// ([`Lost`](RegionError::Lost)). A fault elsewhere in the process is left to the action before this one.
///
/// # Obligation
///
/// A program that calls this and reads [`SealedBytes`](crate::SealedBytes) asks
/// [`ReadMapping::check_intact`](crate::ReadMapping::check_intact) before it believes what it has read, and
/// expects that the bytes may have turned to zeros under its hands: see the crate's documentation. Programs
/// that will not should not call it; SIGBUS ends them, which is better than zeros taken for data.
///
/// # Errors
///
/// [`Io`](RegionError::Io): the kernel refuses the handler.
pub fn survive_bus_errors() -> Result<(), RegionError> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        install().map_err(|source| RegionError::Io {
            action: "install a handler for",
            what: "SIGBUS".to_owned(),
            source,
        })?;
        *installed = true;
    }
    Ok(())
}

fn install() -> io::Result<()> {
    let mut previous = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no new action is given, and `previous` has room for the one there is.
    succeeded(unsafe { libc::sigaction(SIGBUS, ptr::null(), previous.as_mut_ptr()) })?;
    // SAFETY: sigaction has succeeded and filled it in.
    PREVIOUS.get_or_init(|| unsafe { previous.assume_init() });

    // SAFETY: a sigaction is numbers and a nullable function pointer: zeros are the default action, with an
    // empty mask and no flag.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_bus_error;
    action.sa_sigaction = handler as libc::sighandler_t;
    // On the stack that Rust gives each thread for signals, where there is one.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    // SAFETY: `action` is a whole sigaction, whose function has the signature that SA_SIGINFO asks for and
    // does what a handler may (see there).
    succeeded(unsafe { libc::sigaction(SIGBUS, &raw const action, ptr::null_mut()) })
}

/// Does only what may be done wherever a signal arrives: atomic accesses, system calls, and its own stack.
extern "C" fn on_bus_error(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a siginfo that lives as long as the handler runs.
    let info = unsafe { &*info };
    // SAFETY: the address of this thread's errno, which lives as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is valid and nobody else's. What the handler interrupts may be about to read it.
    let saved = unsafe { *errno };
    if !survived(info) {
        pass_on(info);
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
}

/// Replaces what is lost, if it is ours.
fn survived(info: &libc::siginfo_t) -> bool {
    let cause = match info.si_code {
        BUS_MCEERR_AR | BUS_MCEERR_AO => LossCause::Poisoned,
        BUS_ADRERR | BUS_OBJERR => LossCause::Gone,
        // Not a fault of memory: sent by a process, or an unaligned access.
        _ => return false,
    };
    // SAFETY: the four codes above are those of siginfos that have an address.
    let address = unsafe { info.si_addr() }.addr();
    let Some(mapping) = Pinned::at(address) else { return false };
    let unit = mapping.unit(address);
    // First, so that nobody finds zeros that are not on record.
    mapping.record(unit.start, cause);
    let protection = match mapping.access() {
        Access::ReadOnly => ProtFlags::READ,
        Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
    };
    // SAFETY: MAP_FIXED replaces exactly one unit of a mapping of this crate, which stays a mapping of this
    // crate until `mapping` is dropped: whoever unmaps it waits for that. What was there cannot be read any
    // more, and another thread that has replaced it already, and may have stored to it, knows that it is
    // lost. References into the mapping stay valid: the addresses stay readable, and writable if they were.
    // Words change under them as if another process had written zeros, which `SharedBytes` allows and of
    // which `survive_bus_errors` warns those who read `SealedBytes`.
    let replaced = unsafe {
        rustix::mm::mmap_anonymous(
            ptr::without_provenance_mut(unit.start),
            unit.len(),
            protection,
            MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE,
        )
    };
    replaced.is_ok()
}

/// Leaves the signal to the action before ours.
fn pass_on(info: &libc::siginfo_t) {
    if info.si_code == BUS_MCEERR_AO {
        // Of a page that nobody has touched. Whoever does will be told again, by BUS_MCEERR_AR.
        return;
    }
    let previous = PREVIOUS.get().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `previous` is null, which changes nothing, or an action that the kernel gave us.
    unsafe { libc::sigaction(SIGBUS, previous, ptr::null_mut()) };
    if info.si_code <= 0 {
        // Sent by a process: it does not come again by itself, as a fault does when its instruction is
        // repeated. It is blocked until the handler returns.
        // SAFETY: raise has no precondition.
        unsafe { libc::raise(SIGBUS) };
    }
}

fn succeeded(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
pub(crate) mod tests;
