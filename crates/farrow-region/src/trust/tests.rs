use std::fs::Permissions;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use tempfile::TempDir;

use super::*;
use crate::skipped;

/// A number that no account needs to have.
const STRANGER: u32 = 65_532;

/// A directory of this user's, and what is in it; all that is above it may be anything.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn directory(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        set_mode(&path, mode);
        path
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "content").unwrap();
        set_mode(&path, mode);
        path
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// False where this process may not give files to others: `what` is skipped then.
fn give_away(path: &Path, what: &str) -> bool {
    match std::os::unix::fs::lchown(path, Some(STRANGER), None) {
        Ok(()) => true,
        Err(error) => {
            skipped(&format!("{what}: {error}"));
            false
        }
    }
}

#[test]
fn a_directory_that_only_its_user_can_change_is_believed() {
    let place = Place::new();
    for mode in [0o700, 0o755, 0o750] {
        check_directory(&place.directory(&format!("{mode:o}"), mode)).unwrap();
    }
    check_directory(Path::new("/")).unwrap();
    // Everybody makes files in /tmp, but not one that is there already.
    let sticky = place.directory("sticky", 0o1777);
    let ours = place.directory("sticky/ours", 0o700);
    check_directory(&ours).unwrap();
    let refused = check_directory(&sticky).unwrap_err();
    assert!(matches!(refused, Distrust::Writable { mode: 0o1777, .. }), "{refused}");
    assert!(refused.to_string().ends_with("Try: a directory of your own in it"), "{refused}");
}

#[test]
fn a_directory_that_others_can_write_is_not() {
    let place = Place::new();
    let open = place.directory("open", 0o777);
    let inside = place.directory("open/inside", 0o700);
    for path in [&open, &inside] {
        let Err(Distrust::Writable { path: told, mode: 0o777 }) = check_directory(path) else {
            panic!("{} is believed", path.display())
        };
        assert_eq!(told, open);
    }
    let of_group = place.directory("of-group", 0o775);
    let refused = check_directory(&of_group);
    // Root's own group is root.
    let group = fs::metadata(&of_group).unwrap().gid();
    assert_eq!(refused.is_ok(), group == 0, "{refused:?}");
    if chown(&of_group, None, Some(STRANGER)).is_ok() {
        let refused = check_directory(&of_group).unwrap_err().to_string();
        assert!(refused.ends_with(&format!("Try: `chmod go-w {}`", of_group.display())), "{refused}");
    }
}

#[test]
fn what_another_user_has_made_is_not() {
    let place = Place::new();
    let sticky = place.directory("tmp", 0o1777);
    let theirs = place.directory("tmp/theirs", 0o755);
    let below = place.directory("tmp/theirs/below", 0o755);
    let link = sticky.join("link");
    let ours = place.directory("ours", 0o700);
    symlink(&ours, &link).unwrap();
    check_directory(&link).unwrap();
    if !give_away(&theirs, "a directory of another user") || !give_away(&link, "a link of another user") {
        return;
    }
    for path in [&theirs, &below, &link] {
        let Err(Distrust::Owner { owner: STRANGER, .. }) = check_directory(path) else {
            panic!("{} is believed", path.display())
        };
    }
}

#[test]
fn what_is_no_directory_is_told() {
    let place = Place::new();
    let file = place.file("file", 0o600);
    assert!(matches!(check_directory(&file), Err(Distrust::Kind { expected: "directory", .. })));
    let Err(Distrust::Io { source, .. }) = check_directory(&place.path("none")) else {
        panic!("it is there")
    };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_directory_is_made_that_others_cannot_write() {
    let place = Place::new();
    let path = place.path("a/b/c");
    own_directory(&path).unwrap();
    for path in [place.path("a"), place.path("a/b"), path] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o022, 0);
    }
}

#[test]
fn a_path_is_followed_as_the_kernel_does() {
    let place = Place::new();
    let file = place.file("file", 0o600);
    place.directory("directory", 0o700);
    symlink("file", place.path("relative")).unwrap();
    symlink(&file, place.path("absolute")).unwrap();
    symlink("../absolute", place.path("directory/up")).unwrap();
    symlink("loop", place.path("loop")).unwrap();
    symlink("none", place.path("dangling")).unwrap();
    for name in ["file", "relative", "absolute", "directory/up", "directory/../file", "./file"] {
        assert_eq!(follow(&place.path(name)).unwrap(), file, "{name}");
        assert_eq!(place.path(name).canonicalize().unwrap(), file, "{name}");
    }
    assert_eq!(follow(&place.path("dangling")).unwrap(), place.path("none"));
    let Err(Distrust::Io { source, .. }) = follow(&place.path("loop")) else { panic!("it ends") };
    assert_eq!(source.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    // A pipe without any other name.
    let (end, _other) = rustix::pipe::pipe().unwrap();
    let pipe = format!("/proc/self/fd/{}", end.as_raw_fd());
    assert!(fs::metadata(follow(Path::new(&pipe)).unwrap()).unwrap().file_type().is_fifo());
}

#[test]
fn a_link_that_another_user_has_planted_is_not_followed() {
    let place = Place::new();
    let tmp = place.directory("tmp", 0o1777);
    let file = place.file("file", 0o600);
    let link = tmp.join("link");
    symlink(&file, &link).unwrap();
    assert_eq!(follow(&link).unwrap(), file);
    if !give_away(&link, "another user's link in a sticky directory") {
        return;
    }
    assert!(matches!(follow(&link), Err(Distrust::Planted { owner: STRANGER, .. })));
    // Not as a directory on the way either.
    assert!(matches!(follow(&link.join("below")), Err(Distrust::Planted { .. })));
    // In a directory of its owner's it is nobody's trap.
    set_mode(&tmp, 0o755);
    assert_eq!(follow(&link).unwrap(), file);
}

#[test]
fn a_region_is_neither_opened_nor_replaced_through_a_planted_link() {
    use crate::{Access, FileMedia, RegionError};
    let place = Place::new();
    let tmp = place.directory("tmp", 0o1777);
    let precious = place.path("precious");
    drop(FileMedia::create(&precious, 4096, false).unwrap());
    let identity = crate::FileIdentity::at(&precious).unwrap();
    let link = tmp.join("region");
    symlink(&precious, &link).unwrap();
    if !give_away(&link, "another user's link to a region") {
        return;
    }
    for refused in [FileMedia::open(&link, Access::ReadOnly), FileMedia::create(&link, 4096, true)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, RegionError::Distrusted(Distrust::Planted { .. })), "{error}");
    }
    assert_eq!(crate::FileIdentity::at(&precious).unwrap(), identity);
}

#[test]
fn files_are_read_that_others_cannot_read_or_change() {
    let place = Place::new();
    let read = |mode, guard| read_file(&place.file(&format!("{mode:o}-{guard:?}"), mode), 7, guard);
    for (mode, guard) in [(0o600, Guard::Secret), (0o640, Guard::Secret), (0o644, Guard::Rules)] {
        assert_eq!(read(mode, guard).unwrap(), b"content", "{mode:o}");
    }
    for mode in [0o644, 0o602, 0o601] {
        assert!(matches!(read(mode, Guard::Secret), Err(Distrust::Exposed { .. })), "{mode:o}");
    }
    assert!(matches!(read(0o646, Guard::Rules), Err(Distrust::Writable { .. })));
    let long = read_file(&place.file("long", 0o600), 6, Guard::Secret);
    assert!(matches!(long, Err(Distrust::Long { limit: 6, .. })));
    let directory = read_file(&place.directory("directory", 0o700), 7, Guard::Secret);
    assert!(matches!(directory, Err(Distrust::Kind { expected: "regular file", .. })));
}

fn unread(path: &Path) -> Distrust {
    read_file(path, 7, Guard::Rules).unwrap_err()
}

/// Directories where others may make files: everybody, or a group.
const OPEN: [(&str, u32); 3] = [("sticky", 0o1777), ("everybody's", 0o777), ("of-group", 0o770)];

#[test]
fn what_another_user_has_put_where_others_may_is_not_read() {
    let place = Place::new();
    let ours = place.file("ours", 0o600);
    for (name, mode) in OPEN {
        let open = place.directory(name, mode);
        let group = chown(&open, None, Some(STRANGER));
        let made = |below: &str| {
            let path = open.join(below);
            assert_eq!(read_file(&path, 7, Guard::Rules).unwrap(), b"content", "{}", path.display());
            path
        };
        place.file(&format!("{name}/file"), 0o600);
        symlink(&ours, open.join("link")).unwrap();
        place.directory(&format!("{name}/directory"), 0o755);
        place.file(&format!("{name}/directory/file"), 0o600);
        symlink("file", open.join("to-file")).unwrap();
        let (file, link, to_file) = (made("file"), made("link"), made("to-file"));
        let inside = made("directory/file");
        let directory = open.join("directory");
        if group.is_err() || !give_away(&file, "files of another user in an open directory") {
            return;
        }
        for path in [&link, &directory] {
            assert!(give_away(path, "a link and a directory of another user"));
        }
        for (path, at, found, advice) in [
            (&file, &file, "file", "a directory that only you can write"),
            // A link of ours to what is not.
            (&to_file, &file, "file", "a directory that only you can write"),
            (&link, &link, "link", "the path that it leads to"),
            (&inside, &directory, "directory", "a directory that only you can write"),
        ] {
            let refused = unread(path);
            let Distrust::Planted { path: told, kind, owner: STRANGER } = &refused else {
                panic!("{refused}")
            };
            assert_eq!((told, *kind), (at, found), "{refused}");
            let text = refused.to_string();
            assert!(text.starts_with(&format!("{}: a {found} that user {STRANGER}", at.display())), "{text}");
            assert!(text.contains(advice), "{text}");
        }
        // The owner of the directory can put there what it likes.
        chown(&open, Some(STRANGER), None).unwrap();
        for path in [&file, &to_file, &link, &inside] {
            assert_eq!(read_file(path, 7, Guard::Rules).unwrap(), b"content", "{}", path.display());
        }
    }
}

#[test]
fn another_users_file_in_its_own_directory_is_read() {
    let place = Place::new();
    let home = place.directory("home", 0o755);
    let file = place.file("home/agent.toml", 0o644);
    symlink(&file, place.path("link")).unwrap();
    if !give_away(&home, "a file in the directory of its owner") || !give_away(&file, "likewise") {
        return;
    }
    for path in [file, place.path("link")] {
        assert_eq!(read_file(&path, 7, Guard::Rules).unwrap(), b"content", "{}", path.display());
    }
    // Nobody else can put one there.
    let closed = place.directory("closed", 0o755);
    let theirs = place.file("closed/theirs", 0o600);
    give_away(&theirs, "likewise");
    assert_eq!(read_file(&theirs, 7, Guard::Secret).unwrap(), b"content");
    set_mode(&closed, 0o777);
    assert!(matches!(unread(&theirs), Distrust::Planted { .. }));
}

#[test]
fn a_pipe_is_not_read_and_nobody_waits_for_its_writer() {
    let place = Place::new();
    let tmp = place.directory("tmp", 0o1777);
    let pipe = tmp.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(unread(&pipe), Distrust::Kind { expected: "regular file", .. }));
    if give_away(&pipe, "a pipe of another user") {
        let refused = unread(&pipe);
        assert!(
            matches!(refused, Distrust::Planted { kind: "named pipe", owner: STRANGER, .. }),
            "{refused}"
        );
    }
}

#[test]
fn what_is_put_in_a_files_place_before_it_is_opened_is_not_read() {
    let place = Place::new();
    let file = place.file("file", 0o600);
    let other = place.file("other", 0o600);
    let pipe = place.path("pipe");
    let swapped = |with: &dyn Fn()| {
        read_file_when(&file, 7, Guard::Rules, || {
            fs::remove_file(&file).unwrap();
            with();
        })
    };
    let link = swapped(&|| symlink(&other, &file).unwrap()).unwrap_err();
    let Distrust::Io { source, .. } = &link else { panic!("{link}") };
    assert_eq!(source.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, 0o600.into(), 0).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, "content").unwrap();
    for path in [&pipe, &other] {
        let refused = swapped(&|| fs::rename(path, &file).unwrap()).unwrap_err();
        assert!(matches!(refused, Distrust::Replaced { .. }), "{refused}");
        fs::remove_file(&file).unwrap();
        fs::write(&file, "content").unwrap();
    }
}

/// To rename the directories on the way is of no use: the file is found in the one that was looked at.
#[test]
fn a_directory_that_is_swapped_meanwhile_is_not_entered() {
    let place = Place::new();
    place.directory("way", 0o755);
    let file = place.file("way/file", 0o600);
    place.directory("trap", 0o755);
    fs::write(place.path("trap/file"), "trap").unwrap();
    let read = read_file_when(&file, 7, Guard::Rules, || {
        fs::rename(place.path("way"), place.path("away")).unwrap();
        fs::rename(place.path("trap"), place.path("way")).unwrap();
    });
    assert_eq!(read.unwrap(), b"content");
}

#[test]
fn descriptors_of_files_are_read_by_their_links_in_proc() {
    let place = Place::new();
    let file = fs::File::open(place.file("file", 0o600)).unwrap();
    // Not by /dev/fd, a link that not every system has.
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    assert_eq!(read_file(&path, 7, Guard::Secret).unwrap(), b"content");
    let Distrust::Io { source, .. } = unread(&place.path("none")) else { panic!("it is there") };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
    assert!(matches!(unread(Path::new("/")), Distrust::Kind { .. }));
}
