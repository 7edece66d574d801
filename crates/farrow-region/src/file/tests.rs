use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{env, thread};

use rustix::fs::{CWD, FileType, Mode};

use super::*;
use crate::sysfs_double::DaxTree;
use crate::{FileRange, ReadMapping, WriteMapping};

const MIB: u64 = 1 << 20;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Bytes of the file that have a place in memory or on disk.
fn allocated(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

#[test]
fn a_new_medium_is_zero_private_and_not_sparse() {
    let directory = directory();
    let path = directory.path().join("region");
    let media = FileMedia::create(&path, 3 * MIB, false).unwrap();
    assert_eq!(media.len(), 3 * MIB);
    assert_eq!(media.path(), path);
    assert_eq!(media.access(), Access::ReadWrite);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.len(), 3 * MIB);
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert!(allocated(&path) >= 3 * MIB, "{} bytes allocated", allocated(&path));
    assert!(fs::read(&path).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn what_was_written_is_there_when_opened_again() {
    let directory = directory();
    let path = directory.path().join("region");
    let media = FileMedia::create(&path, MIB, false).unwrap();
    media.write_at(12345, b"still here").unwrap();
    media.persist(12345, 10).unwrap();
    drop(media);
    let media = FileMedia::open(&path, Access::ReadWrite).unwrap();
    let mut bytes = [0; 10];
    media.read_at(12345, &mut bytes).unwrap();
    assert_eq!(&bytes, b"still here");
}

#[test]
fn a_sparse_file_is_filled_when_opened_for_writing() {
    let directory = directory();
    let path = directory.path().join("region");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"data").unwrap();
    file.set_len(4 * MIB).unwrap();
    assert!(allocated(&path) < 4 * MIB, "the test needs a sparse file");
    let media = FileMedia::open(&path, Access::ReadWrite).unwrap();
    assert!(allocated(&path) >= 4 * MIB, "{} bytes allocated", allocated(&path));
    let mut bytes = [1; 8];
    media.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"data\0\0\0\0");
}

/// The way of kernels without MADV_POPULATE_WRITE.
#[test]
fn touching_every_page_changes_nothing() {
    let directory = directory();
    let path = directory.path().join("region");
    let media = FileMedia::create(&path, MIB, false).unwrap();
    let data: Vec<u8> = (0..MIB).map(|i| u8::try_from(i % 253).unwrap()).collect();
    media.write_at(0, &data).unwrap();
    media.mapping.touch();
    assert!(fs::read(&path).unwrap() == data, "bytes differ");
}

#[test]
fn zeros_are_written_where_nothing_can_be_allocated() {
    let directory = directory();
    let path = directory.path().join("region");
    let cannot = |_: &File, _| Err(Errno::OPNOTSUPP.into());
    let media = FileMedia::create_with(&path, MIB + 5, false, cannot).unwrap();
    assert_eq!(media.len(), MIB + 5);
    assert!(allocated(&path) >= MIB, "{} bytes allocated", allocated(&path));
}

#[test]
fn a_file_that_is_there_is_not_overwritten_unasked() {
    let directory = directory();
    let path = directory.path().join("region");
    fs::write(&path, "precious").unwrap();
    let error = FileMedia::create(&path, MIB, false).unwrap_err();
    assert!(matches!(&error, RegionError::AlreadyExists { path: p } if *p == path), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn overwriting_leaves_old_mappings_their_bytes() {
    let directory = directory();
    let path = directory.path().join("region");
    fs::write(&path, [7; 8192]).unwrap();
    let old = ReadMapping::map(File::open(&path).unwrap(), &[FileRange { offset: 0, len: 8192 }]).unwrap();
    let media = FileMedia::create(&path, 4096, true).unwrap();
    let mut bytes = [1; 4096];
    media.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 4096]);
    assert!(old.sealed(0, 8192, ()).unwrap().as_ref() == [7; 8192], "the old file is untouched");
}

#[test]
fn overwriting_through_a_symbolic_link_keeps_the_link() {
    let directory = directory();
    let (path, link) = (directory.path().join("region"), directory.path().join("link"));
    fs::write(&path, "old").unwrap();
    symlink("region", &link).unwrap();
    let media = FileMedia::create(&link, 4096, true).unwrap();
    assert_eq!(media.path(), link);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&path).unwrap().len(), 4096);
}

#[test]
fn more_than_the_file_system_holds() {
    let directory = directory();
    let path = directory.path().join("region");
    fs::write(&path, "precious").unwrap();
    let needed = 1 << 60;
    for (path, overwrite) in [(&path, true), (&directory.path().join("new"), false)] {
        let error = FileMedia::create(path, needed, overwrite).unwrap_err();
        assert!(
            matches!(error, RegionError::NoSpace { needed: n, available: Some(_), .. } if n == needed),
            "{error}"
        );
    }
    assert_eq!(fs::read(&path).unwrap(), b"precious", "nothing is lost before the new file is known to fit");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no file is left behind");
}

#[test]
fn a_file_that_cannot_be_allocated_is_removed() {
    let directory = directory();
    let path = directory.path().join("region");
    let full = |file: &File, len: u64| {
        file.set_len(len / 2)?;
        Err(Errno::NOSPC.into())
    };
    let error = FileMedia::create_with(&path, MIB, false, full).unwrap_err();
    assert!(matches!(error, RegionError::NoSpace { needed: MIB, .. }), "{error}");
    let broken = |_: &File, _| Err(Errno::IO.into());
    let error = FileMedia::create_with(&path, MIB, false, broken).unwrap_err();
    assert!(matches!(error, RegionError::Io { action: "allocate", .. }), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "no file is left behind");
}

/// There is no room for both.
#[test]
fn a_replaced_file_is_free_before_the_new_one_is_allocated() {
    let directory = directory();
    let path = directory.path().join("region");
    fs::write(&path, [7; 8192]).unwrap();
    let replaced = format!("{} (deleted)", path.display());
    let allocated = |file: &File, len| {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let mut open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        assert!(!open.any(|file| file == Path::new(&replaced)), "the old file is open, and takes its memory");
        allocate(file, len)
    };
    FileMedia::create_with(&path, MIB, true, allocated).unwrap();
}

#[test]
fn too_short() {
    let directory = directory();
    let path = directory.path().join("region");
    let error = FileMedia::create(&path, 4095, false).unwrap_err();
    assert!(matches!(error, RegionError::TooShort { len: 4095, least: 4096, .. }), "{error}");
    assert!(!path.exists());
    for len in [0, 1, 4095] {
        File::create(&path).unwrap().set_len(len).unwrap();
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let error = FileMedia::open(&path, access).unwrap_err();
            assert!(matches!(error, RegionError::TooShort { len: l, .. } if l == len), "{error}");
        }
    }
    File::create(&path).unwrap().set_len(4096).unwrap();
    FileMedia::open(&path, Access::ReadWrite).unwrap();
}

#[test]
fn missing() {
    let directory = directory();
    let path = directory.path().join("nothing");
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let error = FileMedia::open(&path, access).unwrap_err();
        assert!(matches!(&error, RegionError::Missing { path: p } if *p == path), "{error}");
    }
    for overwrite in [false, true] {
        let error = FileMedia::create(path.join("region"), MIB, overwrite).unwrap_err();
        assert!(matches!(&error, RegionError::NoDirectory { path: p } if *p == path), "{error}");
    }
}

#[test]
fn what_is_no_file() {
    let directory = directory();
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for (path, expected) in [
        (directory.path(), "a directory"),
        (Path::new("/dev/null"), "a character device other than device-dax"),
        (fifo.as_path(), "a pipe"),
    ] {
        let not_a_file = |result: Result<FileMedia, RegionError>| {
            let error = result.unwrap_err();
            assert!(matches!(&error, RegionError::NotAFile { kind, .. } if *kind == expected), "{error}");
        };
        not_a_file(FileMedia::open(path, Access::ReadOnly));
        not_a_file(FileMedia::open(path, Access::ReadWrite));
        not_a_file(FileMedia::create(path, MIB, false));
        not_a_file(FileMedia::create(path, MIB, true));
    }
}

/// Runs `f` as a user who is not root: permissions mean nothing to root.
fn unprivileged<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    let as_nobody = || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        f()
    };
    // The change is the thread's own, and the thread ends with it.
    thread::scope(|scope| scope.spawn(as_nobody).join().unwrap())
}

#[test]
fn no_permission() {
    let directory = directory();
    let open_to_all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(), open_to_all).unwrap();
    let path = directory.path().join("region");
    drop(FileMedia::create(&path, MIB, false).unwrap());

    for (mode, access) in [(0o000, Access::ReadOnly), (0o444, Access::ReadWrite)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = unprivileged(|| FileMedia::open(&path, access)).unwrap_err();
        assert!(matches!(error, RegionError::NoPermission { access: a, .. } if a == access), "{error}");
    }
    unprivileged(|| FileMedia::open(&path, Access::ReadOnly)).unwrap();

    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let error = unprivileged(|| FileMedia::create(directory.path().join("new"), MIB, false)).unwrap_err();
    assert!(matches!(error, RegionError::NoPermission { .. }), "{error}");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn one_writer_at_a_time() {
    let directory = directory();
    let path = directory.path().join("region");
    let media = FileMedia::create(&path, MIB, false).unwrap();
    media.write_at(0, b"mine").unwrap();
    let in_use = |result: Result<FileMedia, RegionError>| {
        let error = result.unwrap_err();
        assert!(matches!(&error, RegionError::InUse { path: p } if *p == path), "{error}");
    };
    in_use(FileMedia::open(&path, Access::ReadWrite));
    in_use(FileMedia::create(&path, MIB, true));

    let reader = FileMedia::open(&path, Access::ReadOnly).unwrap();
    let mut bytes = [0; 4];
    reader.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"mine");

    drop(media);
    FileMedia::open(&path, Access::ReadWrite).unwrap();
}

const MEDIUM_OF_PARENT: &str = "FARROW_TEST_MEDIUM";

/// Runs as the child.
fn hold_until_killed(path: &OsStr) {
    let _media = FileMedia::open(path, Access::ReadWrite).unwrap();
    println!("\nlocked");
    io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn another_process_is_told_from_the_dead() {
    // The child is this same test, told so by its environment.
    if let Some(path) = env::var_os(MEDIUM_OF_PARENT) {
        return hold_until_killed(&path);
    }
    let directory = directory();
    let path = directory.path().join("region");
    drop(FileMedia::create(&path, MIB, false).unwrap());
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "file::tests::another_process_is_told_from_the_dead", "--nocapture"])
        .env(MEDIUM_OF_PARENT, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"), "the child ended early");

    let error = FileMedia::open(&path, Access::ReadWrite).unwrap_err();
    assert!(matches!(error, RegionError::InUse { .. }), "{error}");
    FileMedia::open(&path, Access::ReadOnly).unwrap();

    child.kill().unwrap();
    child.wait().unwrap();
    FileMedia::open(&path, Access::ReadWrite).unwrap();
}

#[test]
fn a_reader_cannot_write() {
    let directory = directory();
    let path = directory.path().join("region");
    fs::write(&path, [5; 4096]).unwrap();
    let media = FileMedia::open(&path, Access::ReadOnly).unwrap();
    assert_eq!(media.access(), Access::ReadOnly);
    assert_eq!(media.load_u64(8).unwrap(), 0x0505_0505_0505_0505);
    media.refresh(0, 4096).unwrap();
    for result in [media.write_at(0, &[1]), media.store_u64(0, 1), media.persist(0, 1)] {
        assert!(matches!(result, Err(RegionError::ReadOnly { .. })), "{result:?}");
    }
    assert!(fs::read(&path).unwrap() == [5; 4096]);
}

#[test]
fn readers_see_what_the_writer_writes() {
    let directory = directory();
    let path = directory.path().join("region");
    let writer: Arc<dyn Media> = Arc::new(FileMedia::create(&path, MIB, false).unwrap());
    let reader: Arc<dyn Media> = Arc::new(FileMedia::open(&path, Access::ReadOnly).unwrap());
    let rounds = 1000;
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=rounds {
                writer.write_at(4096, &[u8::try_from(round % 256).unwrap(); 100]).unwrap();
                writer.store_u64(0, round).unwrap();
                // Until the reader has seen it.
                while reader.load_u64(8).unwrap() < round {
                    thread::yield_now();
                }
            }
        });
        scope.spawn(|| {
            for round in 1..=rounds {
                while reader.load_u64(0).unwrap() < round {
                    thread::yield_now();
                }
                let mut bytes = [0; 100];
                reader.read_at(4096, &mut bytes).unwrap();
                assert_eq!(bytes, [u8::try_from(round % 256).unwrap(); 100]);
                writer.store_u64(8, round).unwrap();
            }
        });
    });
}

#[test]
fn a_descriptor_to_pass_on() {
    let directory = directory();
    let path = directory.path().join("region");
    let media = FileMedia::create(&path, MIB, false).unwrap();
    media.write_at(4096, b"published").unwrap();
    let moved = directory.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    let range = [FileRange { offset: 4096, len: 4096 }];

    let fd = media.reopen(Access::ReadOnly).unwrap();
    let mapping = ReadMapping::map(&fd, &range).unwrap();
    assert_eq!(mapping.sealed(0, 9, ()).unwrap().as_ref(), b"published");
    WriteMapping::map(&fd, &range).unwrap_err();
    rustix::io::write(&fd, b"x").unwrap_err();

    let fd_of_writer = media.reopen(Access::ReadWrite).unwrap();
    let writer = WriteMapping::map(&fd_of_writer, &range).unwrap();
    writer.write_at(0, b"PUBLISHED").unwrap();
    assert_eq!(fs::read(&moved).unwrap()[4096..4105], *b"PUBLISHED");

    drop(media);
    FileMedia::open(&moved, Access::ReadWrite).expect("descriptors passed on and mappings hold no lock");
}

/// A node of the number of `/dev/zero`, which can be mapped shared and has no size, where a made-up sysfs
/// calls it a device-dax device: all of the way but the device itself.
#[test]
fn a_character_device() {
    let directory = directory();
    let node = directory.path().join("dax0.0");
    let zero = rustix::fs::makedev(1, 5);
    let made = rustix::fs::mknodat(CWD, &node, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, zero);
    if let Err(error) = made.and_then(|()| rustix::fs::open(&node, rustix::fs::OFlags::RDONLY, Mode::empty()))
    {
        return crate::skipped(&format!("a medium in a character device: making a node: {error}"));
    }
    let tree = DaxTree::new(1, 5, "8388609", "2097152");
    let media = FileMedia::open_in(tree.root(), &node, Access::ReadWrite).unwrap();
    assert_eq!((media.kind(), media.len()), (MediumKind::DeviceDax, 8 * MIB), "whole units alone");
    assert_eq!(fs::metadata(&node).unwrap().len(), 0, "a device has no size of its own");
    media.write_at(8 * MIB - 5, b"there").unwrap();
    media.persist(8 * MIB - 5, 5).unwrap();
    media.refresh(8 * MIB - 5, 5).unwrap();
    let mut bytes = [0; 5];
    media.read_at(8 * MIB - 5, &mut bytes).unwrap();
    assert_eq!(&bytes, b"there");
    let past_end = media.write_at(8 * MIB, &[1]).unwrap_err();
    assert!(matches!(past_end, RegionError::OutOfBounds { .. }), "{past_end}");
    media.check_len().unwrap();

    let error = FileMedia::open_in(tree.root(), &node, Access::ReadWrite).unwrap_err();
    assert!(matches!(error, RegionError::InUse { .. }), "{error}");
    let reader = FileMedia::open_in(tree.root(), &node, Access::ReadOnly).unwrap();
    assert!(matches!(reader.store_u64(0, 1), Err(RegionError::ReadOnly { .. })));

    fs::write(tree.device().join("size"), "2097151").unwrap();
    let error = FileMedia::open_in(tree.root(), &node, Access::ReadOnly).unwrap_err();
    assert!(matches!(error, RegionError::TooShort { len: 0, .. }), "{error}");
    let error = FileMedia::open(&node, Access::ReadOnly).unwrap_err();
    assert!(matches!(error, RegionError::NotAFile { .. }), "{error}");
}

#[test]
fn a_file_that_shrinks_is_noticed() {
    let directory = directory();
    let path = directory.path().join("region");
    let media = FileMedia::create(&path, MIB, false).unwrap();
    media.check_len().unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(MIB + 1).unwrap();
    media.check_len().unwrap();
    file.set_len(MIB - 1).unwrap();
    let error = media.check_len().unwrap_err();
    assert!(matches!(error, RegionError::Shrunk { len: MIB, found, .. } if found == MIB - 1), "{error}");
}

#[test]
fn what_the_pages_are() {
    let directory = directory();
    let media = FileMedia::create(directory.path().join("region"), 4 * MIB, false).unwrap();
    let used = media.page_use().unwrap();
    assert_eq!((used.mapped, used.resident), (4 * MIB, 4 * MIB), "all of it is there: {used:?}");
    assert!(used.huge.is_multiple_of(2 * MIB), "{used:?}");
}

#[test]
fn lengths_of_large_pages() {
    let path = Path::new("/dev/hugepages/region");
    let large = 2 << 20;
    creation::check_pages(path, 4 * MIB, large).unwrap();
    creation::check_pages(path, 4 * MIB + 1, rustix::param::page_size()).unwrap();
    assert_eq!(
        creation::check_pages(path, 5 * MIB, large).unwrap_err().to_string(),
        "/dev/hugepages/region would have 5242880 bytes, and its file system has pages of 2097152 bytes. \
         Try: a multiple"
    );
}

/// Pages of 2 MiB that the kernel counts, if an operator has set some aside.
#[test]
fn hugetlbfs() {
    let flags = rustix::fs::MemfdFlags::HUGETLB | rustix::fs::MemfdFlags::HUGE_2MB;
    let memory = rustix::fs::memfd_create("farrow", flags)
        .and_then(|fd| rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, 4 * MIB).map(|()| fd));
    let fd = match memory {
        Ok(fd) => fd,
        Err(error) => {
            return crate::skipped(&format!("hugetlbfs: two pages of 2 MiB: {error} (vm.nr_hugepages)"));
        }
    };
    let path = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let media = FileMedia::open(&path, Access::ReadWrite).unwrap();
    assert_eq!((media.len(), media.unit()), (4 * MIB, 2 * MIB));
    let used = media.page_use().unwrap();
    assert!(used.is_huge(), "{used:?}");
    // A small range within a large page.
    let writer = WriteMapping::map(&fd, &[FileRange { offset: 2 * MIB + 4096, len: 10 }]).unwrap();
    assert_eq!(writer.addr() % (2 << 20), 4096);
    writer.write_at(0, b"ten  bytes").unwrap();
    let mut bytes = [0; 12];
    media.read_at(2 * MIB + 4095, &mut bytes).unwrap();
    assert_eq!(&bytes, b"\0ten  bytes\0");
    // The kernel gives nothing of a page that the file ends within.
    drop(writer);
    drop(media);
    let whole = [FileRange { offset: 0, len: 4 * MIB }];
    ReadMapping::map(&fd, &whole).unwrap();
    let past_end = [FileRange { offset: 0, len: 4 * MIB + 1 }];
    let error = ReadMapping::map(&fd, &past_end).unwrap_err();
    assert!(matches!(error, RegionError::RangePastEnd { .. }), "{error}");
}

#[test]
fn messages_say_what_to_do() {
    let path = PathBuf::from("/dev/shm/region");
    for (error, message) in [
        (
            RegionError::Missing { path: path.clone() },
            "/dev/shm/region does not exist: see that the path is right, or make a region there: \
             `farrow mkfs --size SIZE /dev/shm/region`",
        ),
        (
            RegionError::Missing { path: "/dev/dax0.0".into() },
            "/dev/dax0.0 does not exist: see that the path is right, and that the device's driver has made it",
        ),
        (
            no_space(&path, 3 << 30, Some(1 << 30)),
            "no space for /dev/shm/region: need 3221225472 bytes, 1073741824 available. \
             Try: a smaller region, or a file system with more room",
        ),
        (
            RegionError::NoPermission {
                path: path.clone(),
                access: Access::ReadWrite,
                denial: "it belongs to others".to_owned(),
            },
            "no permission to open /dev/shm/region for reading and writing: it belongs to others",
        ),
        (
            RegionError::InUse { path },
            "/dev/shm/region is in use by another agent. Try: stop that agent first",
        ),
    ] {
        assert_eq!(error.to_string(), message);
    }
}
