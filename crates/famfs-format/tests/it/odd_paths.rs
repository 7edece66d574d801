//! Paths in log entries that the replay of the real tools accepts and that are refused here.

use famfs_format::{EntryError, Namespace, PathError};

use crate::region::{
    FILE_PATH, MKDIR_PATH, changed, encode, extent, mkdir, path, plain, put_path, refused, refused_last,
    simple, superblock,
};

fn with_path(name: &[u8]) -> EntryError {
    let of_file = refused(&changed(&plain(), |bytes| put_path(bytes, FILE_PATH, name)));
    let of_dir = refused(&changed(&mkdir(0, "d"), |bytes| put_path(bytes, MKDIR_PATH, name)));
    assert_eq!(of_file, of_dir);
    of_file
}

#[test]
fn a_path_that_leads_out() {
    assert_eq!(with_path(b"../f"), PathError::Component { at: 0 }.into());
    assert_eq!(with_path(b"p/../f"), PathError::Component { at: 2 }.into());
    assert_eq!(with_path(b"p/.."), PathError::Component { at: 2 }.into());
    assert_eq!(with_path(b"./f"), PathError::Component { at: 0 }.into());
    assert_eq!(with_path(b"p//f"), PathError::Component { at: 2 }.into());
    assert_eq!(with_path(b"p/"), PathError::Component { at: 2 }.into());
}

#[test]
fn an_absolute_path() {
    assert_eq!(with_path(b"/etc/passwd"), PathError::Absolute.into());
}

#[test]
fn an_empty_path() {
    assert_eq!(with_path(b""), PathError::Empty.into());
}

#[test]
fn a_path_without_its_nul() {
    assert_eq!(with_path(&[b'x'; 80]), PathError::TooLong { found: 80 }.into());
    // One byte less is the longest path there is.
    let bytes = changed(&plain(), |bytes| put_path(bytes, FILE_PATH, &[b'x'; 79]));
    Namespace::new(&superblock()).apply_bytes(&bytes).unwrap();
}

#[test]
fn a_path_that_is_not_text() {
    assert_eq!(with_path(b"ab\xff"), PathError::NotUtf8 { valid_up_to: 2 }.into());
}

#[test]
fn a_path_with_something_behind_its_nul() {
    assert_eq!(with_path(b""), PathError::Empty.into());
    let bytes = changed(&plain(), |bytes| bytes[FILE_PATH + 40] = b'x');
    assert_eq!(refused(&bytes), EntryError::Padding { offset: FILE_PATH + 40, found: b'x' });
}

#[test]
fn a_missing_parent() {
    let entry = simple(0, "d/f", 1, &[extent(0, 1)]);
    assert_eq!(refused(&encode(&entry)), EntryError::NoParent { path: path("d/f"), parent: path("d") });
    let problem = refused_last(&[mkdir(0, "d"), mkdir(1, "d/e/g")]);
    assert_eq!(problem, EntryError::NoParent { path: path("d/e/g"), parent: path("d/e") });
}

#[test]
fn a_parent_that_is_a_file() {
    let problem = refused_last(&[plain(), mkdir(1, "f/d")]);
    assert_eq!(problem, EntryError::ParentIsFile { path: path("f/d"), parent: path("f") });
}

#[test]
fn the_same_path_twice() {
    let again = simple(1, "f", 1, &[extent(1, 1)]);
    assert_eq!(refused_last(&[plain(), again.clone()]), EntryError::Exists { path: path("f") });
    assert_eq!(refused_last(&[mkdir(0, "f"), again]), EntryError::Exists { path: path("f") });
    assert_eq!(refused_last(&[plain(), mkdir(1, "f")]), EntryError::Exists { path: path("f") });
    assert_eq!(refused_last(&[mkdir(0, "d"), mkdir(1, "d")]), EntryError::Exists { path: path("d") });
}
