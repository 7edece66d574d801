use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{env, thread};

use memmap2::{MmapMut, MmapOptions};
use tempfile::TempDir;

use super::*;
use crate::{Coherency, FileMedia, FileRange, Media, ReadMapping, WriteMapping, skipped};

const PAGE: usize = 4096;
const PAGES: usize = 64;
const LEN: u64 = (PAGES * PAGE) as u64;

/// f_type of tmpfs (Linux include/uapi/linux/magic.h).
const TMPFS_MAGIC: u32 = 0x0102_1994;

/// A directory on each kind of file system at hand: tmpfs, and what holds temporary files.
fn directories() -> Vec<TempDir> {
    survive_bus_errors().unwrap();
    let memory = Path::new("/dev/shm");
    let places = [env::temp_dir(), memory.to_owned()];
    places.iter().filter(|place| place.is_dir()).map(|place| TempDir::new_in(place).unwrap()).collect()
}

/// A file of [`LEN`] bytes, none of which is 0, and its path.
fn file(directory: &TempDir) -> (File, PathBuf) {
    let path = directory.path().join("region");
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    file.write_all(&vec![0xaa; PAGES * PAGE]).unwrap();
    (file, path)
}

fn is_lost(result: Result<(), RegionError>, at: usize, cause: LossCause) {
    let error = result.unwrap_err();
    let unit = at / PAGE * PAGE;
    assert!(
        matches!(&error, RegionError::Lost { what, offset, len, cause: c } if *c == cause
            && *offset == unit as u64 && *len == PAGE as u64 && what.ends_with("region")),
        "{at}: {error}"
    );
}

#[test]
fn a_medium_that_is_cut_off() {
    for directory in directories() {
        for coherency in [Coherency::Coherent, Coherency::Software] {
            let path = directory.path().join(format!("{coherency:?}"));
            let media = FileMedia::create(&path, LEN, false).unwrap().with_coherency(coherency);
            media.write_at(0, &vec![7; PAGES * PAGE]).unwrap();
            OpenOptions::new().write(true).open(&path).unwrap().set_len(LEN / 2 + 1).unwrap();
            let shrunk = |result: Result<(), RegionError>| {
                let error = result.unwrap_err();
                assert!(
                    matches!(error, RegionError::Shrunk { len: LEN, found, .. } if found == LEN / 2 + 1),
                    "{error}"
                );
            };
            let gone = LEN / 2 + PAGE as u64;
            // A commit word does not go anywhere, however often it is stored.
            for _ in 0..2 {
                shrunk(media.store_u64(gone, 1));
                shrunk(media.persist(gone, 8));
            }
            shrunk(media.load_u64(gone + 8).map(drop));
            shrunk(media.write_at(LEN - 3, b"end"));
            shrunk(media.read_at(gone + PAGE as u64 - 1, &mut [0; 2]));
            shrunk(media.refresh(gone, 1));
            shrunk(media.check_intact(0, LEN));
            // What the file has is served on.
            let mut bytes = [0; 100];
            media.read_at(LEN / 2 - 99, &mut bytes).unwrap();
            assert_eq!(bytes, [7; 100]);
            media.store_u64(0, 5).unwrap();
            media.persist(0, 8).unwrap();
            media.check_intact(0, LEN / 2 + 1).unwrap();
        }
    }
}

#[test]
fn a_medium_that_was_cut_off_and_grew_again() {
    for directory in directories() {
        let (file, path) = file(&directory);
        let media = FileMedia::open(&path, Access::ReadWrite).unwrap();
        file.set_len(LEN / 2).unwrap();
        let at = PAGES / 2 * PAGE + 1000;
        media.write_at(at as u64, b"lost").unwrap_err();
        file.set_len(LEN).unwrap();
        // By its length it is whole; the page that was written to is still not the file's.
        is_lost(media.read_at(at as u64, &mut [0; 4]), at, LossCause::Gone);
        is_lost(media.persist(at as u64, 4), at, LossCause::Gone);
        let mut bytes = [1; 4];
        media.read_at(LEN - 4, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 4], "what nobody touched meanwhile is what the file has there now");
    }
}

#[test]
fn a_mapping_whose_file_is_cut_off() {
    for directory in directories() {
        let (file, _) = file(&directory);
        // The last page comes first.
        let last = FileRange { offset: LEN - PAGE as u64, len: PAGE as u64 };
        let ranges = [last, FileRange { offset: 0, len: 8 * PAGE as u64 }];
        let reader = ReadMapping::map(&file, &ranges).unwrap();
        let writer = WriteMapping::map(&file, &ranges).unwrap().with_coherency(Coherency::Software);
        let sealed = reader.sealed(0, reader.len(), ()).unwrap();
        reader.check_readable(0, reader.len()).unwrap();
        file.set_len(4 * PAGE as u64).unwrap();

        // Asked beforehand: no signal, and the place is named.
        is_lost(reader.check_readable(2 * PAGE, 6 * PAGE), 4 * PAGE, LossCause::Gone);
        // Not asked.
        assert!(sealed.as_ref()[..PAGE].iter().all(|byte| *byte == 0));
        is_lost(reader.check_intact(0, 1), PAGES * PAGE - 1, LossCause::Gone);
        is_lost(reader.read_at(6 * PAGE + 1, &mut [0; 9]), 5 * PAGE, LossCause::Gone);
        is_lost(writer.write_at(5 * PAGE - 1, &[1; 2 * PAGE]), 4 * PAGE, LossCause::Gone);
        is_lost(writer.zero(0, 8), PAGES * PAGE - 1, LossCause::Gone);
        // Written first: an emulated processor does not look at the page when it writes a line back.
        is_lost(writer.write_at(8 * PAGE, &[1]), 7 * PAGE, LossCause::Gone);
        is_lost(writer.persist(8 * PAGE, 8), 7 * PAGE, LossCause::Gone);
        let full = writer.writer().write(b"x").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::Other, "{full}");

        // What is left is as it was.
        reader.check_readable(PAGE, 4 * PAGE).unwrap();
        assert!(sealed.as_ref()[PAGE..5 * PAGE - 1].iter().all(|byte| *byte == 0xaa));
        assert_eq!(sealed.as_ref()[5 * PAGE - 1], 1);
        reader.check_intact(PAGE, 4 * PAGE).unwrap();
    }
}

#[test]
fn threads_that_fault_at_once() {
    for directory in directories() {
        let (file, path) = file(&directory);
        let media = FileMedia::open(&path, Access::ReadWrite).unwrap();
        let whole = [FileRange { offset: 0, len: LEN }];
        let reader = ReadMapping::map(&file, &whole).unwrap();
        let started = AtomicUsize::new(0);
        let (threads, rounds) = (8, 10);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let sealed = reader.sealed(0, reader.len(), ()).unwrap();
                    started.fetch_add(1, Ordering::Relaxed);
                    for round in 0..rounds {
                        for page in 0..PAGES {
                            // Zeros, where the file had none, are never without an error.
                            let mut word = [1; 8];
                            let read = media.read_at((page * PAGE) as u64, &mut word);
                            assert!(read.is_err() || word == [0xaa; 8], "{page}: {word:?}");
                            let found = sealed.as_ref()[page * PAGE + round];
                            let intact = reader.check_intact(page * PAGE, PAGE);
                            assert!(intact.is_err() || found == 0xaa, "{page}: {found}");
                        }
                    }
                });
            }
            // In the middle of it, page by page.
            while started.load(Ordering::Relaxed) < threads {
                thread::yield_now();
            }
            for page in (0..PAGES).rev() {
                file.set_len((page * PAGE) as u64).unwrap();
            }
        });
        for page in 0..PAGES {
            media.load_u64((page * PAGE) as u64).unwrap_err();
            reader.check_readable(page * PAGE, 1).unwrap_err();
        }
    }
}

#[test]
fn huge_pages_that_are_cut_off() {
    survive_bus_errors().unwrap();
    const HUGE: u64 = 2 << 20;
    let flags = rustix::fs::MemfdFlags::HUGETLB | rustix::fs::MemfdFlags::HUGE_2MB;
    let memory = rustix::fs::memfd_create("farrow", flags).and_then(|fd| {
        rustix::fs::fallocate(&fd, rustix::fs::FallocateFlags::empty(), 0, 2 * HUGE).map(|()| fd)
    });
    let fd = match memory {
        Ok(fd) => fd,
        Err(error) => {
            return skipped(&format!(
                "huge pages that are cut off: two pages of 2 MiB: {error} (vm.nr_hugepages)"
            ));
        }
    };
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let media = FileMedia::open(&path, Access::ReadWrite).unwrap();
    media.write_at(HUGE - 4, b"here").unwrap();
    // A range within the second page.
    let reader = ReadMapping::map(&fd, &[FileRange { offset: HUGE + 8192, len: 10 }]).unwrap();
    rustix::fs::ftruncate(&fd, HUGE).unwrap();
    for lost in [reader.check_readable(0, 1), reader.read_at(3, &mut [0; 3])] {
        let error = lost.unwrap_err();
        assert!(
            matches!(error, RegionError::Lost { offset: HUGE, len: HUGE, cause: LossCause::Gone, .. }),
            "{error}"
        );
    }
    let error = media.store_u64(2 * HUGE - 8, 1).unwrap_err();
    assert!(matches!(error, RegionError::Shrunk { found: HUGE, .. }), "{error}");
    let mut bytes = [0; 4];
    media.read_at(HUGE - 4, &mut bytes).unwrap();
    assert_eq!(&bytes, b"here");
}

/// Sends this thread what the kernel sends of a poisoned page: a process may, to itself.
fn mce(code: c_int, address: usize) {
    #[repr(C)]
    struct Fault {
        signo: c_int,
        errno: c_int,
        code: c_int,
        address: usize,
        lsb: i16,
        rest: [u8; 98],
    }
    let fault = Fault { signo: SIGBUS, errno: 0, code, address, lsb: 12, rest: [0; 98] };
    assert!(size_of::<Fault>() >= size_of::<libc::siginfo_t>());
    // SAFETY: no precondition.
    let pid = unsafe { libc::getpid() };
    // SAFETY: no precondition.
    let thread = unsafe { libc::gettid() };
    // SAFETY: `fault` has as many bytes as a siginfo, and lies as one (include/uapi/asm-generic/siginfo.h).
    let sent = unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, thread, SIGBUS, &raw const fault) };
    assert_eq!(sent, 0, "{}", io::Error::last_os_error());
}

#[test]
fn what_the_kernel_says_of_a_poisoned_page() {
    for directory in directories() {
        let (file, _) = file(&directory);
        let reader = ReadMapping::map(&file, &[FileRange { offset: 0, len: LEN }]).unwrap();
        for (page, code) in [(3, BUS_MCEERR_AR), (5, BUS_MCEERR_AO)] {
            mce(code, reader.addr() + page * PAGE);
            is_lost(reader.check_intact(page * PAGE, 1), page * PAGE, LossCause::Poisoned);
            is_lost(reader.read_at((page - 1) * PAGE, &mut [0; 3 * PAGE]), page * PAGE, LossCause::Poisoned);
        }
        let mut bytes = [0; PAGE];
        reader.read_at(4 * PAGE, &mut bytes).unwrap();
        assert_eq!(bytes, [0xaa; PAGE]);
    }
}

/// Says that a page of the machine may be taken out of service, until it is started anew.
const POISON: &str = "FARROW_TEST_POISON";

#[test]
fn a_poisoned_page() {
    survive_bus_errors().unwrap();
    let what = "a poisoned page";
    if env::var_os(POISON).is_none() {
        return skipped(&format!("{what}: {POISON} does not allow it (cargo xtask guest does)"));
    }
    // Other file systems read it again from where they keep it.
    let is_tmpfs = |place: &PathBuf| {
        rustix::fs::statfs(place).is_ok_and(|stat| u32::try_from(stat.f_type) == Ok(TMPFS_MAGIC))
    };
    let mut places = [PathBuf::from("/dev/shm"), env::temp_dir(), PathBuf::from("/run")].into_iter();
    let Some(memory) = places.find(is_tmpfs) else {
        return skipped(&format!("{what}: no tmpfs (at /dev/shm, for temporary files, or at /run)"));
    };
    let directory = TempDir::new_in(memory).unwrap();
    let (file, path) = file(&directory);
    let media = FileMedia::open(&path, Access::ReadWrite).unwrap();
    let reader = ReadMapping::map(&file, &[FileRange { offset: 0, len: LEN }]).unwrap();
    reader.check_readable(0, reader.len()).unwrap();
    let at = 9 * PAGE;
    if let Err(error) = poison(reader.addr() + at, PAGE) {
        return skipped(&format!(
            "{what}: MADV_HWPOISON: {error} (needs CAP_SYS_ADMIN and CONFIG_MEMORY_FAILURE)"
        ));
    }
    is_lost(reader.check_readable(0, reader.len()), at, LossCause::Poisoned);
    is_lost(reader.read_at(at + 7, &mut [0; 1]), at, LossCause::Poisoned);
    for lost in [
        media.read_at(at as u64, &mut [0; 8]),
        media.write_at(at as u64 + 1, &[1]),
        media.store_u64(at as u64 + 8, 1),
        media.persist(at as u64, 8),
    ] {
        is_lost(lost, at, LossCause::Poisoned);
    }
    // Who would write there is told before.
    let page = [FileRange { offset: at as u64, len: PAGE as u64 }];
    is_lost(WriteMapping::map(&file, &page).map(drop), at, LossCause::Poisoned);
    let mut bytes = [0; 8];
    for whole in [at - 8, at + PAGE] {
        media.read_at(whole as u64, &mut bytes).unwrap();
        reader.read_at(whole, &mut bytes).unwrap();
        assert_eq!(bytes, [0xaa; 8]);
    }
}

/// The same of a device-dax device: of its last page, which other tests have done with.
pub(crate) fn a_poisoned_page_of_a_device(path: &Path) {
    survive_bus_errors().unwrap();
    if env::var_os(POISON).is_none() {
        return skipped(&format!("a poisoned page of {}: {POISON} does not allow it", path.display()));
    }
    // Not kept: the kernel sends one signal, of one of the mappings, and the others go on to reach the page, of which it
    // is only claimed that it is lost.
    let len = FileMedia::open(path, Access::ReadOnly).unwrap().len();
    let unit = 2 << 20;
    let (file, last) = (File::open(path).unwrap(), len - unit);
    let range = |offset| [FileRange { offset, len: unit }];
    let (reader, before) =
        (ReadMapping::map(&file, &range(last)), ReadMapping::map(&file, &range(last - unit)));
    let (reader, before) = (reader.unwrap(), before.unwrap());
    reader.check_readable(0, reader.len()).unwrap();
    if let Err(error) = poison(reader.addr(), PAGE) {
        return skipped(&format!("a poisoned page of {}: MADV_HWPOISON: {error}", path.display()));
    }
    let error = reader.read_at(PAGE, &mut [0; 8]).unwrap_err();
    assert!(
        matches!(error, RegionError::Lost { offset, len, cause: LossCause::Poisoned, .. } if offset == last && len >= unit),
        "{error}"
    );
    before.read_at(PAGE, &mut [0; 8]).unwrap();
}

fn poison(address: usize, len: usize) -> rustix::io::Result<()> {
    // SAFETY: the addresses are those of a mapping of the caller's. Its page is lost, which is what the
    // handler is there for: no slice of it is read afterwards.
    unsafe {
        rustix::mm::madvise(ptr::without_provenance_mut(address), len, rustix::mm::Advice::LinuxHwPoison)
    }
}

/// Handlers and unmapping at once: what comes to lie where a mapping was is nobody's to replace.
#[test]
fn an_address_that_changes_hands() {
    // In a process of its own: here it could come to belong to another test.
    if env::var_os(CHILD).is_none() {
        return assert_eq!(child("an_address_that_changes_hands").code(), Some(0));
    }
    survive_bus_errors().unwrap();
    let (file, address, done) = (tempfile::tempfile().unwrap(), AtomicUsize::new(0), AtomicBool::new(false));
    file.set_len(LEN).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                match address.load(Ordering::Relaxed) {
                    0 => thread::yield_now(),
                    at => mce(BUS_MCEERR_AO, at),
                }
            }
        });
        let mut reused = 0;
        for _ in 0..2000 {
            let reader = ReadMapping::map(&file, &[FileRange { offset: 0, len: LEN }]).unwrap();
            let at = reader.addr();
            address.store(at, Ordering::Relaxed);
            drop(reader);
            // SAFETY: an anonymous mapping at an address of the kernel's choice, if this one is taken.
            let other = unsafe {
                libc::mmap(
                    ptr::without_provenance_mut(at),
                    PAGE,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            let word = other.cast::<u64>();
            // SAFETY: the mapping is writable and this test's alone.
            unsafe { word.write_volatile(42) };
            thread::yield_now();
            // SAFETY: as above.
            assert_eq!(unsafe { word.read_volatile() }, 42, "somebody else's page was replaced");
            reused += usize::from(other.addr() == at);
            // SAFETY: the mapping made above, of which no reference is left.
            assert_eq!(unsafe { libc::munmap(other, PAGE) }, 0);
        }
        done.store(true, Ordering::Relaxed);
        assert!(reused > 0, "no address changed hands");
    });
}

const CHILD: &str = "FARROW_TEST_BUS_CHILD";

/// Returns how a process ends that runs the test `name` with [`CHILD`] in its environment.
fn child(name: &str) -> ExitStatus {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("bus::tests::{name}"), "--nocapture"]).env(CHILD, "1");
    command.output().unwrap().status
}

/// Memory of a file that this crate has not mapped.
fn foreign() -> MmapMut {
    let file = tempfile::tempfile().unwrap();
    file.set_len(LEN).unwrap();
    // SAFETY: the file is this test's alone.
    let map = unsafe { MmapOptions::new().map_mut(&file) }.unwrap();
    file.set_len(0).unwrap();
    map
}

#[test]
fn a_fault_elsewhere_still_kills() {
    if env::var_os(CHILD).is_some() {
        survive_bus_errors().unwrap();
        let _ours = ReadMapping::map(
            File::open(env::current_exe().unwrap()).unwrap(),
            &[FileRange { offset: 0, len: 4096 }],
        );
        println!("{}", foreign()[0]);
        return;
    }
    assert_eq!(child("a_fault_elsewhere_still_kills").signal(), Some(SIGBUS));
}

#[test]
fn a_signal_that_somebody_sends_still_kills() {
    if env::var_os(CHILD).is_some() {
        survive_bus_errors().unwrap();
        let this = rustix::process::getpid();
        // The first one is what Rust's own handler takes for a fault that will come again.
        loop {
            rustix::process::kill_process(this, rustix::process::Signal::BUS).unwrap();
        }
    }
    assert_eq!(child("a_signal_that_somebody_sends_still_kills").signal(), Some(SIGBUS));
}

#[test]
fn poison_that_nobody_touches_kills_nobody() {
    if env::var_os(CHILD).is_some() {
        survive_bus_errors().unwrap();
        let page = Box::new([1_u8; PAGE]);
        mce(BUS_MCEERR_AO, page.as_ptr().addr());
        assert_eq!(page[0], 1);
        // And the handler is still there.
        let file = tempfile::tempfile().unwrap();
        file.set_len(LEN).unwrap();
        let reader = ReadMapping::map(&file, &[FileRange { offset: 0, len: LEN }]).unwrap();
        file.set_len(0).unwrap();
        reader.read_at(0, &mut [0; 1]).unwrap_err();
        return;
    }
    assert_eq!(child("poison_that_nobody_touches_kills_nobody").code(), Some(0));
}

#[test]
fn without_being_asked_for_nothing_is_survived() {
    if env::var_os(CHILD).is_some() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(LEN).unwrap();
        let reader = ReadMapping::map(&file, &[FileRange { offset: 0, len: LEN }]).unwrap();
        file.set_len(0).unwrap();
        reader.check_readable(0, 1).unwrap_err();
        let _ = reader.read_at(0, &mut [0; 1]);
        return;
    }
    assert_eq!(child("without_being_asked_for_nothing_is_survived").signal(), Some(SIGBUS));
}
