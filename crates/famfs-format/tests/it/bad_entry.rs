//! The effects of a bad entry on the rest: to what came before it, to what follows, to the space, to a writer.

use famfs_format::{FileMap, FormatError, Namespace};

use crate::region::{
    COUNT, DATA, EXTENT_TYPE, FILE_PATH, MAP, UNIT, changed, encode, extent, file, interleaved, mkdir, path,
    plain, put_path, put_u32, put_u64, simple, superblock,
};

#[test]
fn the_space_of_a_bad_entry_counts_as_used() {
    let free = |bytes: &[u8]| {
        let mut namespace = Namespace::new(&superblock());
        namespace.apply_bytes(bytes).expect_err("a bad entry");
        (namespace.free_bytes() / UNIT, namespace.largest_free() / UNIT)
    };
    let three = simple(0, "f", 1, &[extent(1, 1), extent(8, 2), extent(32, 1)]);
    // Refused for its path, by itself and by the namespace.
    assert_eq!(free(&changed(&three, |bytes| put_path(bytes, FILE_PATH, b"../f"))), (60, 31));
    assert_eq!(free(&changed(&three, |bytes| put_path(bytes, FILE_PATH, b"p/f"))), (60, 31));
    // Only the extents its count reaches, and no more than there are.
    assert_eq!(free(&changed(&three, |bytes| put_u32(bytes, COUNT, 99))), (60, 31));
    assert_eq!(free(&changed(&three, |bytes| put_u32(bytes, COUNT, 0))), (64, 64));
    // One extent outside of the data area, or on another device: the others count.
    assert_eq!(free(&changed(&three, |bytes| put_u64(bytes, MAP + 8, 0))), (61, 31));
    assert_eq!(free(&changed(&three, |bytes| put_u64(bytes, MAP, 7))), (61, 31));
    assert_eq!(free(&changed(&three, |bytes| put_u64(bytes, MAP + 8, u64::MAX))), (61, 31));
    // A part of a unit takes the unit.
    assert_eq!(free(&changed(&three, |bytes| put_u64(bytes, MAP + 8, DATA + UNIT + 1))), (59, 31));
    // Strips too.
    assert_eq!(free(&changed(&interleaved(), |bytes| put_u32(bytes, COUNT, 2))), (61, 47));
    // Under a checksum that does not match, or of an unknown kind, the numbers say nothing.
    let mut damaged = encode(&three);
    damaged[536] ^= 1;
    assert_eq!(free(&damaged), (64, 64));
    assert_eq!(free(&changed(&three, |bytes| put_u32(bytes, EXTENT_TYPE, 9))), (64, 64));
    assert_eq!(free(&changed(&three, |bytes| put_u32(bytes, 8, 2))), (64, 64));
}

#[test]
fn after_a_bad_entry_what_came_before_stays_usable() {
    let mut namespace = Namespace::new(&superblock());
    namespace.apply(&mkdir(0, "d")).unwrap();
    namespace.apply(&simple(1, "d/f", 5000, &[extent(0, 1)])).unwrap();
    namespace.apply(&mkdir(2, "d")).expect_err("exists");
    assert_eq!(namespace.stopped_at(), Some(2));
    assert_eq!(namespace.file(&path("d/f")).unwrap().resolve(0), Some((DATA, 5000)));

    // What follows is not believed, but its space is left alone.
    let stopped = FormatError::Stopped { index: 2 };
    assert_eq!(namespace.apply_bytes(&encode(&simple(3, "g", 1, &[extent(1, 3)]))), Err(stopped.clone()));
    assert_eq!(namespace.apply(&simple(4, "h", 1, &[extent(4, 1)])), Err(stopped.clone()));
    assert_eq!(namespace.check(&mkdir(5, "e")), Err(stopped.clone()));
    assert_eq!(namespace.allocate(1), Err(stopped));
    assert_eq!(namespace.stopped_at(), Some(2));
    assert_eq!(namespace.next_index(), 5);
    assert_eq!((namespace.files().len(), namespace.dirs().len()), (1, 1));
    assert_eq!(namespace.free_bytes(), 59 * UNIT);
}

#[test]
fn a_writer_cannot_encode_what_a_reader_would_refuse() {
    let bad = [
        simple(0, "f", 0, &[extent(0, 1)]),
        simple(0, "f", 1, &[]),
        simple(0, "f", 1, &(0..17).map(|i| extent(i, 1)).collect::<Vec<_>>()),
        simple(0, "f", UNIT + 1, &[extent(0, 1)]),
        file(0, "f", 1, FileMap::Interleaved { chunk_size: UNIT, strips: vec![] }),
        file(0, "f", 1, FileMap::Interleaved { chunk_size: 0, strips: vec![extent(0, 1)] }),
    ];
    for entry in bad {
        let error = entry.encode().expect_err("a bad entry");
        assert_eq!(Namespace::new(&superblock()).check(&entry), Err(error.clone()));
        assert_eq!(Namespace::new(&superblock()).apply(&entry), Err(error));
    }
}

#[test]
fn errors_say_where_what_and_what_was_expected() {
    let mut namespace = Namespace::new(&superblock());
    namespace.apply(&plain()).unwrap();
    let error = namespace.check(&simple(1, "g", 1, &[extent(0, 2)])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "log entry 1 at 0x200250: extent 0xa00000+0x400000 overlaps 0xa00000+0x200000 of \"f\""
    );
}
