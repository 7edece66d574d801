//! Log entries that the replay of the real tools accepts and that are refused here, one test each, in the
//! order of the tables in FORMAT.md. Those about paths are in `odd_paths`.

use famfs_format::{EntryError, Extent, FileMap, FormatError, FormatVersion, LogEntry, Namespace};

use crate::region::{
    COUNT, DATA, EXTENT_TYPE, MAP, UNIT, changed, encode, extent, file, interleaved, mkdir, path, plain,
    put_u32, put_u64, refused, refused_last, simple, superblock,
};

#[test]
fn the_entries_these_tests_change_are_valid() {
    for entry in [plain(), interleaved(), mkdir(0, "d")] {
        Namespace::new(&superblock()).apply_bytes(&changed(&entry, |_| {})).unwrap();
    }
}

#[test]
fn extents_that_overlap_another_file() {
    let first = simple(0, "f", 1, &[extent(4, 4)]);
    for (start, units) in [(4, 4), (3, 2), (7, 2), (5, 1), (0, 64)] {
        let second = simple(1, "g", 1, &[extent(start, units)]);
        let mut namespace = Namespace::new(&superblock());
        namespace.apply(&first).unwrap();
        let problem =
            EntryError::Overlap { extent: extent(start, units), other: extent(4, 4), path: path("f") };
        let error = FormatError::Entry { index: 1, problem };
        // For a writer it is an error, in a log the file is passed over.
        assert_eq!(namespace.check(&second), Err(error.clone()));
        namespace.apply_bytes(&encode(&second)).unwrap();
        assert_eq!(namespace.passed_over().collect::<Vec<_>>(), [(&path("g"), &error)]);
        assert!(namespace.file(&path("g")).is_none() && namespace.files().len() == 1);
        let taken = (0..64).filter(|unit| (4..8).contains(unit) || (start..start + units).contains(unit));
        assert_eq!(namespace.free_bytes(), (64 - taken.count() as u64) * UNIT);
    }
}

/// What follows a file that is passed over counts, but for what lies in it or in its memory.
#[test]
fn a_file_that_is_passed_over_ends_nothing() {
    let mut namespace = Namespace::new(&superblock());
    for entry in [
        simple(0, "f", 1, &[extent(4, 4)]),
        simple(1, "clone", 1, &[extent(7, 2)]),
        // It has bytes of nothing but what was passed over.
        simple(2, "clone-of-clone", 1, &[extent(8, 1)]),
        mkdir(3, "d"),
        simple(4, "d/g", 1, &[extent(9, 1)]),
    ] {
        namespace.apply_bytes(&encode(&entry)).unwrap();
    }
    assert_eq!(namespace.stopped_at(), None);
    let paths: Vec<_> = namespace.files().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["d/g", "f"]);
    let passed: Vec<_> = namespace.passed_over().map(|(path, why)| (path.as_str(), why.clone())).collect();
    let problem = EntryError::Overlap { extent: extent(7, 2), other: extent(4, 4), path: path("f") };
    let clone = ("clone", FormatError::Entry { index: 1, problem });
    let problem = EntryError::OverlapPassedOver { extent: extent(8, 1) };
    assert_eq!(passed, [clone, ("clone-of-clone", FormatError::Entry { index: 2, problem })]);
    assert_eq!(namespace.allocate(UNIT).unwrap(), extent(0, 1));
    let mut twice = namespace.clone();
    let error = twice.apply(&simple(5, "clone", 1, &[extent(20, 1)])).unwrap_err();
    assert!(matches!(error, FormatError::Entry { problem: EntryError::Exists { .. }, .. }), "{error}");
    let error = namespace.apply(&simple(5, "clone/x", 1, &[extent(20, 1)])).unwrap_err();
    assert!(matches!(error, FormatError::Entry { problem: EntryError::ParentIsFile { .. }, .. }), "{error}");
}

#[test]
fn extents_that_overlap_in_one_file() {
    let bytes = changed(&interleaved(), |bytes| put_u64(bytes, MAP + 16 + 24 + 8, DATA));
    let expected = EntryError::OverlapsItself { extent: extent(0, 1), other: extent(0, 1) };
    assert_eq!(refused(&bytes), expected);
}

#[test]
fn an_extent_in_superblock_or_log() {
    for offset in [0, UNIT, DATA - UNIT] {
        let bytes = changed(&plain(), |bytes| put_u64(bytes, MAP + 8, offset));
        let extent = Extent { dev_index: 0, offset, len: UNIT };
        assert_eq!(
            refused(&bytes),
            EntryError::Bounds { extent, data_offset: DATA, device_len: DATA + 64 * UNIT }
        );
    }
}

#[test]
fn an_extent_past_the_end_of_the_device() {
    for extent in [extent(64, 1), extent(63, 2), extent(0, 65)] {
        let bytes = changed(&plain(), |bytes| {
            put_u64(bytes, MAP + 8, extent.offset);
            put_u64(bytes, MAP + 16, extent.len);
        });
        assert_eq!(
            refused(&bytes),
            EntryError::Bounds { extent, data_offset: DATA, device_len: DATA + 64 * UNIT }
        );
    }
}

#[test]
fn an_extent_past_the_end_of_the_device_and_in_another_file() {
    let problem = refused_last(&[simple(0, "f", 1, &[extent(63, 1)]), simple(1, "g", 1, &[extent(63, 2)])]);
    assert!(matches!(problem, EntryError::Bounds { .. }), "{problem}");
}

#[test]
fn an_extent_that_ends_in_a_part_of_a_unit_at_the_end_of_the_device() {
    let mut superblock = superblock();
    superblock.device_len += UNIT - 1;
    let mut namespace = Namespace::new(&superblock);
    assert_eq!(namespace.largest_free(), 64 * UNIT);
    let error = namespace.apply_bytes(&encode(&simple(0, "f", 1, &[extent(64, 1)]))).unwrap_err();
    assert!(matches!(error, FormatError::Entry { problem: EntryError::Bounds { .. }, .. }));
}

#[test]
fn an_extent_that_wraps_around() {
    let extent = Extent { dev_index: 0, offset: u64::MAX - UNIT + 1, len: UNIT };
    let bytes = changed(&plain(), |bytes| put_u64(bytes, MAP + 8, extent.offset));
    assert_eq!(refused(&bytes), EntryError::ExtentLen { extent });
}

#[test]
fn an_extent_that_is_not_in_units() {
    for (at, value) in [(MAP + 8, DATA + 4096), (MAP + 16, UNIT + 4096), (MAP + 8, DATA + UNIT / 2)] {
        let bytes = changed(&plain(), |bytes| put_u64(bytes, at, value));
        assert!(matches!(refused(&bytes), EntryError::Alignment { .. }), "{value:#x}");
    }
}

#[test]
fn an_extent_of_no_length() {
    let bytes = changed(&plain(), |bytes| put_u64(bytes, MAP + 16, 0));
    assert_eq!(refused(&bytes), EntryError::ExtentLen { extent: Extent { len: 0, ..extent(0, 1) } });
}

#[test]
fn an_extent_on_another_device() {
    let bytes = changed(&plain(), |bytes| put_u64(bytes, MAP, 1));
    assert_eq!(refused(&bytes), EntryError::Device { dev_index: 1 });
    let bytes = changed(&interleaved(), |bytes| put_u64(bytes, MAP + 16, 1 << 40));
    assert_eq!(refused(&bytes), EntryError::Device { dev_index: 1 << 40 });
}

#[test]
fn a_size_larger_than_the_extents() {
    let bytes = changed(&plain(), |bytes| put_u64(bytes, 16, UNIT + 1));
    assert_eq!(refused(&bytes), EntryError::Size { size: UNIT + 1, mapped: UNIT });
    let bytes = changed(&plain(), |bytes| put_u64(bytes, 16, u64::MAX));
    assert_eq!(refused(&bytes), EntryError::Size { size: u64::MAX, mapped: UNIT });
    // The byte behind the third chunk would be in the first strip again, which has no room for it.
    let bytes = changed(&interleaved(), |bytes| put_u64(bytes, 16, 3 * UNIT + 1));
    let expected = EntryError::StripLen { size: 3 * UNIT + 1, strip: 0, need: UNIT + 1, len: UNIT };
    assert_eq!(refused(&bytes), expected);
}

#[test]
fn a_size_that_fits_all_strips_together_but_not_each() {
    let strips = vec![extent(0, 3), extent(8, 1)];
    let entry = file(0, "il", 3 * UNIT, FileMap::Interleaved { chunk_size: UNIT, strips });
    let bytes = changed(&entry, |bytes| put_u64(bytes, 16, 4 * UNIT));
    let expected = EntryError::StripLen { size: 4 * UNIT, strip: 1, need: 2 * UNIT, len: UNIT };
    assert_eq!(refused(&bytes), expected);
}

#[test]
fn a_file_of_no_bytes() {
    assert_eq!(refused(&changed(&plain(), |bytes| put_u64(bytes, 16, 0))), EntryError::EmptyFile);
}

#[test]
fn too_few_or_too_many_extents() {
    for count in [0, 17, u32::MAX] {
        let bytes = changed(&plain(), |bytes| put_u32(bytes, COUNT, count));
        assert_eq!(refused(&bytes), EntryError::ExtentCount { found: count.into() });
    }
}

#[test]
fn not_one_interleaved_extent() {
    for count in [0, 2, u32::MAX] {
        let bytes = changed(&interleaved(), |bytes| put_u32(bytes, COUNT, count));
        assert_eq!(refused(&bytes), EntryError::InterleaveCount { found: count });
    }
}

#[test]
fn too_few_or_too_many_strips() {
    for found in [0, 17, 1 << 32, u64::MAX] {
        let bytes = changed(&interleaved(), |bytes| put_u64(bytes, MAP, found));
        assert_eq!(refused(&bytes), EntryError::StripCount { found });
    }
}

#[test]
fn a_chunk_size_that_is_no_power_of_two_or_less_than_a_unit() {
    for found in [0, 4096, UNIT / 2, 3 * UNIT, u64::MAX] {
        let bytes = changed(&interleaved(), |bytes| put_u64(bytes, MAP + 8, found));
        assert_eq!(refused(&bytes), EntryError::ChunkSize { found });
    }
}

#[test]
fn an_unknown_extent_type() {
    for found in [2, u32::MAX] {
        let bytes = changed(&plain(), |bytes| put_u32(bytes, EXTENT_TYPE, found));
        assert_eq!(refused(&bytes), EntryError::ExtentType { found });
    }
}

#[test]
fn padding_that_is_not_zero() {
    // Of each kind of entry, every byte that has no meaning: between fields, behind the path, behind the last
    // extent in use, behind the body.
    let of_file = [12..16, 41..120, 124..128, 132..136, 160..536];
    let of_interleaved = [12..16, 42..120, 124..128, 132..136, 152 + 3 * 24..536];
    let of_dir = [12..16, 29..108, 108..536];
    let cases = [
        (plain(), of_file.to_vec()),
        (interleaved(), of_interleaved.to_vec()),
        (mkdir(0, "d"), of_dir.to_vec()),
    ];
    for (entry, unused) in cases {
        for offset in unused.into_iter().flatten() {
            // A byte right behind the path would make it longer, and the next one is its NUL.
            let behind_path = encode(&entry)[offset - 1] != 0 && (28..120).contains(&offset);
            if !behind_path {
                let bytes = changed(&entry, |bytes| bytes[offset] = 1);
                assert_eq!(refused(&bytes), EntryError::Padding { offset, found: 1 });
            }
        }
    }
}

#[test]
fn a_delete_or_an_unknown_type() {
    for found in [2, 4, u32::MAX] {
        let bytes = changed(&plain(), |bytes| put_u32(bytes, 8, found));
        assert_eq!(refused(&bytes), EntryError::Type { found, version: FormatVersion::V48 });
    }
}

#[test]
fn a_further_device_before_version_48() {
    let mut superblock = superblock();
    superblock.version = FormatVersion::V47;
    let bytes = changed(&mkdir(0, "d"), |bytes| {
        put_u32(bytes, 8, 3);
        bytes[16..].fill(0);
    });
    let mut v47 = Namespace::new(&superblock);
    let problem = EntryError::Type { found: 3, version: FormatVersion::V47 };
    let error = FormatError::Entry { index: 0, problem };
    assert_eq!(LogEntry::decode(&bytes, 0, FormatVersion::V47), Err(error.clone()));
    assert_eq!(v47.apply_bytes(&bytes), Err(error.clone()));

    superblock.version = FormatVersion::V48;
    let entry = Namespace::new(&superblock).apply_bytes(&bytes).unwrap();
    superblock.version = FormatVersion::V47;
    assert_eq!(Namespace::new(&superblock).check(&entry), Err(error));
}

#[test]
fn a_sequence_number_that_is_not_the_index() {
    for found in [0, 2, u64::MAX] {
        let mut namespace = Namespace::new(&superblock());
        namespace.apply_bytes(&encode(&plain())).unwrap();
        let bytes = changed(&mkdir(1, "d"), |bytes| put_u64(bytes, 0, found));
        let problem = EntryError::Seqnum { found, expected: 1 };
        let error = FormatError::Entry { index: 1, problem };
        assert_eq!(LogEntry::decode(&bytes, 1, FormatVersion::V48), Err(error.clone()));
        assert_eq!(namespace.apply_bytes(&bytes), Err(error));
    }
}

#[test]
fn a_checksum_with_a_nonzero_upper_half() {
    let mut bytes = encode(&plain());
    bytes[543] = 1;
    assert!(matches!(refused(&bytes), EntryError::Crc { stored, computed } if stored != u64::from(computed)));
}

#[test]
fn counters_that_run_ahead_of_the_entries() {
    // The header counts an entry that was never written: zeros.
    assert_eq!(refused(&[0; 544]), EntryError::Crc { stored: 0, computed: crc32fast::hash(&[0; 536]) });
}

#[test]
fn fewer_bytes_than_an_entry() {
    assert_eq!(refused(&encode(&plain())[..543]), EntryError::Truncated { found: 543 });
    assert_eq!(refused(&[]), EntryError::Truncated { found: 0 });
}

#[test]
fn every_flipped_bit_of_an_entry() {
    for entry in [plain(), interleaved(), mkdir(0, "d")] {
        let bytes = encode(&entry);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            LogEntry::decode(&flipped, 0, FormatVersion::V48).expect_err("a flipped bit");
        }
    }
}
