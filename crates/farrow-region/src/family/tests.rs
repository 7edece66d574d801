use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::*;
use crate::{FileRange, ReadMapping, SealedBytes};

const PAGE: usize = 4096;

/// The exit codes of a child.
const READS: i32 = 40;
const DIFFERS: i32 = 41;
const NOTHING_THERE: i32 = 42;
const IS_NOT_HERE: i32 = 43;

/// Tests fork one after another: a child has the pages of all tests.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A family whose page lies in a directory.
struct Counted {
    directory: tempfile::TempDir,
    family: Arc<Family>,
}

impl Counted {
    fn new() -> Self {
        let counted = Self { directory: tempfile::tempdir().unwrap(), family: Family::new() };
        assert!(counted.enter(1));
        counted
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.path().join(number.to_string())
    }

    /// Maps the page of that number, which only the mapping has the description of.
    fn enter(&self, number: u64) -> bool {
        let page = create(&self.path(number));
        flock(&page, FlockOperation::LockShared).unwrap();
        self.family.enter(&page, number).unwrap()
    }

    /// True if any process has it.
    fn is_counted(&self, number: u64) -> bool {
        is_counted(&self.path(number))
    }
}

fn create(page: &Path) -> File {
    File::options().read(true).write(true).create_new(true).open(page).unwrap()
}

fn is_counted(page: &Path) -> bool {
    flock(File::open(page).unwrap(), FlockOperation::NonBlockingLockExclusive).is_err()
}

/// Two pages of twos and ones, in this order, mapped from a file that has them the other way round.
fn mapped(family: &Arc<Family>) -> (Arc<ReadMapping>, SealedBytes) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[[1; PAGE], [2; PAGE]].concat()).unwrap();
    let ranges = [FileRange { offset: 4096, len: 4096 }, FileRange { offset: 0, len: 4096 }];
    let mapping = ReadMapping::map_within(family, &file, &ranges).unwrap();
    let bytes = mapping.sealed(0, 2 * PAGE, ()).unwrap();
    (mapping, bytes)
}

/// Looks at what [`mapped`] has mapped, without being ended by what is not there: write(2) tells.
fn look(mapping: &ReadMapping) -> i32 {
    let (read, write) = rustix::pipe::pipe().unwrap();
    for page in 0..2 {
        let there = ptr::with_exposed_provenance::<u8>(mapping.addr() + page * PAGE);
        // SAFETY: the kernel reads the bytes, or finds none.
        let written = unsafe { libc::write(std::os::fd::AsRawFd::as_raw_fd(&write), there.cast(), PAGE) };
        if written < 0 {
            return NOTHING_THERE;
        }
        let mut found = [0; PAGE];
        let mut read = File::from(read.try_clone().unwrap());
        read.read_exact(&mut found).unwrap();
        if found != [2 - u8::try_from(page).unwrap(); PAGE] {
            return DIFFERS;
        }
    }
    if mapping.is_here() { READS } else { IS_NOT_HERE }
}

/// A child that is doing something; its exit code is what it was asked.
struct Child {
    pid: i32,
    go_on: OwnedFd,
}

/// The way in which a child is made.
#[derive(Clone, Copy)]
enum How {
    Fork,
    /// As a program does that goes round the C library.
    RawClone,
}

impl Child {
    /// It does `work` once it is told to.
    fn new(how: How, work: impl FnOnce() -> i32) -> Self {
        let (wait, go_on) = rustix::pipe::pipe().unwrap();
        // The child does what its closure does, and ends by _exit. The tests' closures look at memory and at files; what
        // they allocate, glibc lets them allocate after a fork, and after a raw clone this thread's cache has it.
        let pid = match how {
            // SAFETY: as said.
            How::Fork => unsafe { libc::fork() },
            How::RawClone => {
                // SAFETY: as said; without a stack of its own the child goes on with a copy of this one.
                let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
                i32::try_from(pid).unwrap()
            }
        };
        assert!(pid >= 0);
        if pid == 0 {
            drop(go_on);
            let _ = rustix::io::read(&wait, &mut [0; 1]);
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(99);
            // SAFETY: it ends the process.
            unsafe { libc::_exit(code) };
        }
        Self { pid, go_on }
    }

    /// Lets it go on, and waits for its end.
    fn end(mut self) -> i32 {
        rustix::io::write(&self.go_on, b"x").unwrap();
        wait(std::mem::replace(&mut self.pid, 0))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid > 0 {
            // SAFETY: it is a child of this process that nobody has waited for.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            wait(self.pid);
        }
    }
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is a number that waitpid may write.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

#[test]
fn a_child_reads_what_its_parent_has_let_go_and_is_counted_until_its_end() {
    let _alone = alone();
    let counted = Counted::new();
    counted.family.granted(7);
    let (mapping, bytes) = mapped(&counted.family);
    let child = Child::new(How::Fork, {
        let mapping = mapping.clone();
        move || look(&mapping)
    });
    let fork = counted.family.untold().unwrap();
    assert_eq!((fork.page, fork.up_to), (1, 7));
    drop((bytes, mapping));
    let page = counted.path(1);
    let Counted { directory, family } = counted;
    drop(family);
    assert!(is_counted(&page), "the child has it");
    assert_eq!(child.end(), READS);
    assert!(!is_counted(&page), "nobody has it");
    drop(directory);
}

#[test]
fn a_grandchild_reads_and_is_counted() {
    let _alone = alone();
    let counted = Counted::new();
    let (mapping, _bytes) = mapped(&counted.family);
    let child = Child::new(How::Fork, || {
        let grandchild = Child::new(How::Fork, || look(&mapping));
        if look(&mapping) != READS { DIFFERS } else { grandchild.end() }
    });
    assert_eq!(child.end(), READS);
    assert_eq!(look(&mapping), READS);
}

#[test]
fn without_a_page_a_child_has_nothing_and_nothing_gets_there() {
    let _alone = alone();
    let family = Family::new();
    let (mapping, _bytes) = mapped(&family);
    let child = Child::new(How::Fork, || {
        let start = ptr::with_exposed_provenance_mut(mapping.addr());
        // SAFETY: it maps only where nothing is.
        let taken = unsafe {
            rustix::mm::mmap_anonymous(
                start,
                PAGE,
                ProtFlags::READ,
                MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE,
            )
        };
        if taken != Err(Errno::EXIST) || mapping.is_here() { DIFFERS } else { look(&mapping) }
    });
    assert_eq!(child.end(), NOTHING_THERE);
    assert_eq!(family.untold(), None, "nobody has inherited anything");
    assert_eq!(look(&mapping), READS);
}

/// Pages of 2 MiB, and a range that begins within one.
#[test]
fn huge_pages_are_inherited() {
    let _alone = alone();
    let flags = rustix::fs::MemfdFlags::HUGETLB | rustix::fs::MemfdFlags::HUGE_2MB;
    let memory = rustix::fs::memfd_create("farrow", flags).and_then(|fd| {
        rustix::fs::fallocate(&fd, rustix::fs::FallocateFlags::empty(), 0, 4 << 20).map(|()| fd)
    });
    match memory {
        Ok(fd) => inherited_in_units(&fd, READS),
        Err(error) => crate::skipped(&format!("hugetlbfs in a child: {error} (vm.nr_hugepages)")),
    }
}

/// A device of at least 4 MiB, whose mappings are in units of up to 2 MiB.
pub(crate) fn a_device(path: &Path, is_inherited: bool) {
    let _alone = alone();
    inherited_in_units(File::open(path).unwrap(), if is_inherited { READS } else { NOTHING_THERE });
}

fn inherited_in_units(fd: impl AsFd, expected: i32) {
    let counted = Counted::new();
    let (unit, len) = (2 << 20, 4096);
    let ranges = [FileRange { offset: unit, len: unit }, FileRange { offset: 0, len }];
    let mapping = ReadMapping::map_within(&counted.family, &fd, &ranges).unwrap();
    let mut here = [0; 64];
    mapping.read_at(2 << 20, &mut here).unwrap();
    let child = Child::new(How::Fork, || {
        let mut there = [1; 64];
        if !mapping.is_here() {
            return NOTHING_THERE;
        }
        match mapping.read_at(2 << 20, &mut there) {
            Ok(()) if there == here => READS,
            _ => DIFFERS,
        }
    });
    assert_eq!(child.end(), expected);
    mapping.read_at(0, &mut here).unwrap();
}

#[test]
fn a_raw_clone_has_a_hole() {
    let _alone = alone();
    let counted = Counted::new();
    let (mapping, _bytes) = mapped(&counted.family);
    let child = Child::new(How::RawClone, || if mapping.is_here() { DIFFERS } else { look(&mapping) });
    assert_eq!(counted.family.untold(), None);
    assert_eq!(child.end(), NOTHING_THERE);
    assert_eq!(look(&mapping), READS);
}

#[test]
fn what_another_thread_clones_while_a_process_forks_is_counted() {
    let _alone = alone();
    let counted = Counted::new();
    let (mapping, _bytes) = mapped(&counted.family);
    before_fork();
    let child = Child::new(How::RawClone, || look(&mapping));
    in_parent();
    assert!(counted.family.untold().is_some());
    // It has the bytes, though it does not know.
    assert_eq!(child.end(), IS_NOT_HERE);
}

#[test]
fn a_process_leaves_its_page_only_after_it_has_told_its_forks() {
    let _alone = alone();
    let counted = Counted::new();
    let (mapping, _bytes) = mapped(&counted.family);
    assert!(!counted.family.shares_page());
    let first = Child::new(How::Fork, || look(&mapping));
    assert!(!counted.enter(2) && !counted.is_counted(2));
    let fork = counted.family.untold().unwrap();
    let second = Child::new(How::Fork, || look(&mapping));
    counted.family.told(&fork);
    assert!(!counted.enter(3), "the second fork is not told");
    counted.family.told(&counted.family.untold().unwrap());
    assert!(counted.family.shares_page());
    assert!(counted.enter(4));
    assert!(!counted.family.shares_page());
    assert_eq!(first.end(), READS);
    assert!(counted.is_counted(1));
    assert_eq!(second.end(), READS);
    assert!(!counted.is_counted(1) && counted.is_counted(4));
}

#[test]
fn a_page_in_flight_is_counted() {
    let _alone = alone();
    let counted = Counted::new();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    {
        let page = create(&counted.path(5));
        flock(&page, FlockOperation::LockShared).unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        let descriptors = [page.as_fd()];
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&descriptors)));
        let bytes = [std::io::IoSlice::new(b"x")];
        rustix::net::sendmsg(&ours, &bytes, &mut control, rustix::net::SendFlags::empty()).unwrap();
    }
    drop(ours);
    assert!(counted.is_counted(5));
    drop(theirs);
    assert!(!counted.is_counted(5));
}

#[test]
fn forks_and_mappings_of_many_threads_get_through() {
    let _alone = alone();
    static STOP: AtomicBool = AtomicBool::new(false);
    let counted = Counted::new();
    let (mapping, _bytes) = mapped(&counted.family);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !STOP.load(Ordering::Relaxed) {
                    drop(mapped(&counted.family));
                }
            });
        }
        let start = Instant::now();
        for _ in 0..100 {
            let child = Child::new(How::Fork, || look(&mapping));
            assert_eq!(child.end(), READS);
            assert!(start.elapsed() < Duration::from_secs(60));
        }
        STOP.store(true, Ordering::Relaxed);
    });
}
