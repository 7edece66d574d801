//! Paths that are no medium, or must not be opened: every verb says what it is, and leaves it alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use farrow_integration_tests::{Region, copy_program, farrow, program, skipped};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tempfile::TempDir;

/// The verbs that open a medium by its path.
const READING: [&str; 4] = ["fsck", "log", "cat", "df"];
const WRITING: [&str; 4] = ["export", "mkfs", "mkfs --force", "mkfs --force --size 64M"];

/// The arguments of a verb on the medium at `path`.
fn args<'a>(verb: &'a str, path: &'a str) -> Vec<&'a str> {
    let mut args: Vec<&str> = verb.split(' ').collect();
    args.extend(match verb {
        "cat" => vec![path, "farrow/catalog"],
        "export" => vec!["--file", "a", "out.arrow", path],
        _ => vec![path],
    });
    args
}

/// Returns what a verb ends with if others end with `code`: two have a code of their own for what cannot be read.
fn code_of(verb: &str, code: i32) -> i32 {
    if ["fsck", "log"].contains(&verb) { 2 } else { code }
}

#[track_caller]
fn assert_refused(verb: &str, code: i32, output: &Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{verb}: {told}");
    assert!(output.stdout.is_empty(), "{verb}: {}", String::from_utf8_lossy(&output.stdout));
    for word in words {
        assert!(told.contains(word), "{verb}: {told:?} does not say {word:?}");
    }
    assert!(!told.contains("panicked"), "{verb}: {told}");
}

/// Every reader and every writer refuses what lies at the region's path.
fn assert_all_refuse(region: &Region, words: &[&str]) {
    assert_readers_refuse(region, 1, words);
    let path = region.path.to_str().unwrap();
    for verb in WRITING {
        assert_refused(verb, 1, &farrow(&args(verb, path)), words);
    }
    assert_refused("agent", 1, &region.command(&[]).output().unwrap(), words);
}

fn assert_readers_refuse(region: &Region, code: i32, words: &[&str]) {
    let path = region.path.to_str().unwrap();
    for verb in READING {
        assert_refused(verb, code_of(verb, code), &farrow(&args(verb, path)), words);
    }
}

#[test]
fn directories_pipes_sockets_and_devices_are_told_by_their_kind() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    let medium = "a medium is a regular file";
    fs::create_dir(path).unwrap();
    assert_all_refuse(&region, &[path, "is a directory", "a region's file or device"]);
    fs::remove_dir(path).unwrap();

    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_all_refuse(&region, &[path, "is a pipe", medium]);
    fs::remove_file(path).unwrap();

    let socket = UnixListener::bind(path).unwrap();
    assert_all_refuse(&region, &[path, "is a socket", medium]);
    drop(socket);
    fs::remove_file(path).unwrap();

    for device in ["/dev/null", "/dev/zero"] {
        symlink(device, path).unwrap();
        assert_all_refuse(&region, &[path, "is a character device other than device-dax", medium]);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn links_that_lead_nowhere_are_told() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    symlink(path, path).unwrap();
    assert_all_refuse(&region, &[path, "Too many levels of symbolic links"]);
    fs::remove_file(path).unwrap();

    for target in [None, Some("nowhere")] {
        if let Some(target) = target {
            symlink(target, path).unwrap();
        }
        assert_readers_refuse(&region, 3, &[path, "does not exist", "`farrow mkfs --size SIZE "]);
        assert_refused("agent", 1, &region.command(&[]).output().unwrap(), &[path, "does not exist"]);
        assert_refused("mkfs", 1, &farrow(&["mkfs", path]), &["no such file", "--size"]);
    }
    let below = region.beside("none/region");
    assert_refused(
        "mkfs",
        1,
        &farrow(&["mkfs", "--size", "64M", below.to_str().unwrap()]),
        &["directory", "none does not exist", "Try: `mkdir -p "],
    );
    // A file on the way, where a directory should be.
    let file = region.beside("file");
    fs::write(&file, "x").unwrap();
    let below = file.join("region");
    for verb in READING.into_iter().chain(WRITING) {
        let output = farrow(&args(verb, below.to_str().unwrap()));
        assert_refused(verb, code_of(verb, 1), &output, &[below.to_str().unwrap(), "Not a directory"]);
    }
}

#[test]
fn block_devices_are_told_by_their_kind() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    let words = [path, "is a block device", "a medium is a regular file"];
    // A number of no driver, so that no defect here can cost anybody a disk.
    match mknodat(CWD, path, FileType::BlockDevice, Mode::RUSR | Mode::WUSR, makedev(240, 240)) {
        Ok(()) => assert_all_refuse(&region, &words),
        Err(error) => {
            let found = fs::read_dir("/dev")
                .unwrap()
                .flatten()
                .find(|entry| entry.file_type().is_ok_and(|kind| kind.is_block_device()));
            match found {
                Some(device) => {
                    symlink(device.path(), path).unwrap();
                    assert_readers_refuse(&region, 1, &words);
                    skipped(&format!("verbs that write, on a block device (none can be made: {error})"));
                }
                None => skipped(&format!("block devices (none is there, and none can be made: {error})")),
            }
        }
    }
}

/// The programs where every user can run them, and another user to run them as if this one may do anything.
struct Unprivileged {
    programs: TempDir,
    is_root: bool,
}

impl Unprivileged {
    fn new() -> Self {
        let programs = TempDir::with_prefix("farrow-it-").unwrap();
        for name in ["farrow", "farrow-agent"] {
            copy_program(&program(name), &programs.path().join(name));
        }
        fs::set_permissions(programs.path(), Permissions::from_mode(0o755)).unwrap();
        Self { programs, is_root: rustix::process::geteuid().is_root() }
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(self.programs.path().join(program));
        command.env_remove("FARROW_ADDRESS").args(args);
        if self.is_root {
            command.uid(65534).gid(65534);
        }
        command.output().unwrap()
    }

    fn agent(&self, region: &Region) -> Output {
        let beside = |name| region.beside(name).to_str().unwrap().to_owned();
        let (socket, state) = (beside("agent.sock"), beside("state"));
        let path = region.path.to_str().unwrap();
        self.run("farrow-agent", &["--region", path, "--socket", &socket, "--state-dir", &state])
    }
}

#[test]
fn no_permission_is_told_with_what_it_was_needed_for() {
    let region = Region::new("16M");
    let path = region.path.to_str().unwrap();
    let directory = region.path.parent().unwrap();
    let user = Unprivileged::new();
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let before = fs::read(path).unwrap();
    let assert_readers = |words: &[&str]| {
        for verb in READING {
            assert_refused(verb, code_of(verb, 5), &user.run("farrow", &args(verb, path)), words);
        }
    };
    let assert_writers = |words: &[&str]| {
        for verb in WRITING {
            assert_refused(verb, 5, &user.run("farrow", &args(verb, path)), words);
        }
        assert_refused("agent", 1, &user.agent(&region), words);
    };
    let refused = format!("no permission to open {path} for reading");
    let (reading, writing) = (format!("{refused}: "), format!("{refused} and writing: "));
    let owner = if user.is_root { "it belongs to user root (0) and group " } else { "it belongs to user " };

    // A file that nobody may open, then one that may be read; the directory is open, but not for writing.
    mode(directory, 0o755);
    mode(&region.path, 0o000);
    assert_readers(&[&reading, owner, "with mode 0000"]);
    assert_writers(&[&writing, owner, "with mode 0000"]);
    mode(&region.path, 0o444);
    for verb in READING {
        let output = user.run("farrow", &args(verb, path));
        assert_eq!(output.status.code(), Some(0), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_writers(&[&writing]);
    if user.is_root {
        let new = region.beside("new");
        let made = user.run("farrow", &["mkfs", "--size", "16M", new.to_str().unwrap()]);
        assert_refused("mkfs", 5, &made, &["no permission to open", new.to_str().unwrap()]);
        assert!(!new.exists());
        // A directory that is closed says nothing of what is in it.
        mode(directory, 0o700);
        let closed = format!("the directory {} belongs to user root (0)", directory.display());
        assert_readers(&[&reading, &closed, "with mode 0700"]);
        assert_writers(&[&writing, &closed, "with mode 0700"]);
    } else {
        skipped("directories of another user (needs root, to become somebody else)");
    }
    mode(&region.path, 0o600);
    assert!(fs::read(path).unwrap() == before, "a refused medium was changed");
}
