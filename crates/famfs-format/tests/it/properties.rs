//! Properties of all values and all bytes.

use std::path::{Component, Path};

use famfs_format::{
    DaxdevEntry, ENTRY_LEN, EntryBody, Extent, FileEntry, FileMap, FormatError, FormatVersion, LogEntry,
    LogHeader, MkdirEntry, Namespace, RelPath, Superblock,
};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use crate::region::{DATA, MIB, UNIT, encode, extent, file, path, put_u64, seal, simple, superblock};

fn paths() -> impl Strategy<Value = RelPath> {
    vec("[^/\\x00]{1,6}", 1..5)
        .prop_map(|components| components.join("/"))
        .prop_filter_map("not a famfs path", |path| RelPath::parse(&path).ok())
}

/// 1 to `most` disjoint extents in any order, each 1 to 8 units, with gaps of 0 to 7.
fn extents(most: usize) -> impl Strategy<Value = Vec<Extent>> {
    vec((0_u64..8, 1_u64..=8), 1..=most)
        .prop_map(|shapes| {
            let mut at = 0;
            shapes
                .into_iter()
                .map(|(gap, units)| {
                    let start = at + gap;
                    at = start + units;
                    extent(start, units)
                })
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
}

fn maps(most: usize) -> impl Strategy<Value = FileMap> {
    prop_oneof![
        extents(most).prop_map(FileMap::Simple),
        (0_u32..3, extents(most))
            .prop_map(|(shift, strips)| FileMap::Interleaved { chunk_size: UNIT << shift, strips }),
    ]
}

/// The place of each page of a map, page by page, by going round over the strips.
fn pages(map: &FileMap, page: u64) -> Vec<u64> {
    match map {
        FileMap::Simple(extents) => {
            extents.iter().flat_map(|e| (0..e.len / page).map(|i| e.offset + i * page)).collect()
        }
        FileMap::Interleaved { chunk_size, strips } => {
            let mut pages = Vec::new();
            for stripe in 0.. {
                for strip in strips {
                    for in_chunk in 0..chunk_size / page {
                        let in_strip = stripe * chunk_size + in_chunk * page;
                        if in_strip >= strip.len {
                            return pages;
                        }
                        pages.push(strip.offset + in_strip);
                    }
                }
            }
            pages
        }
    }
}

fn files(most: usize) -> impl Strategy<Value = FileEntry> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    (paths(), maps(most), any::<u64>(), numbers).prop_map(|(path, map, size, (flags, uid, gid, mode))| {
        let room = pages(&map, UNIT).len() as u64 * UNIT;
        FileEntry { path, size: size % room + 1, flags, uid, gid, mode, map }
    })
}

fn bodies(most: usize) -> impl Strategy<Value = EntryBody> {
    prop_oneof![
        4 => files(most).prop_map(EntryBody::File),
        2 => (paths(), any::<u32>(), any::<u32>(), any::<u32>())
            .prop_map(|(path, uid, gid, mode)| EntryBody::Mkdir(MkdirEntry { path, uid, gid, mode })),
        1 => (any::<u64>(), any::<u128>(), any::<u32>()).prop_map(|(size, uuid, index)| {
            EntryBody::AddDaxdev(DaxdevEntry { size, uuid: Uuid::from_u128(uuid), index })
        }),
    ]
}

fn entries() -> impl Strategy<Value = LogEntry> {
    (any::<u64>(), bodies(16)).prop_map(|(seqnum, body)| LogEntry { seqnum, body })
}

fn superblocks() -> impl Strategy<Value = Superblock> {
    let uuids = (any::<u128>(), any::<u128>(), any::<u128>());
    (any::<bool>(), 23_u32..40, any::<u64>(), uuids, vec(1_u8.., 0..=64)).prop_map(
        |(old, log_bits, data_len, (uuid, dev_uuid, system_uuid), device_path)| {
            let log_len = 1 << log_bits;
            Superblock {
                version: if old { FormatVersion::V47 } else { FormatVersion::V48 },
                log_len,
                alloc_unit: UNIT,
                uuid: Uuid::from_u128(uuid),
                dev_uuid: Uuid::from_u128(dev_uuid),
                system_uuid: Uuid::from_u128(system_uuid),
                device_len: (UNIT + log_len).saturating_add(data_len),
                device_path,
            }
        },
    )
}

/// Bytes that a reader has to look at closely: a valid entry in the root with up to two numbers put into
/// the fields after its path, under a checksum that matches.
fn nearly_valid() -> impl Strategy<Value = [u8; ENTRY_LEN]> {
    let numbers = prop_oneof![0_u64..4, any::<u64>(), (0_u64..80).prop_map(|i| i * UNIT), Just(u64::MAX)];
    let puts = vec((120_usize / 8..208 / 8, numbers), 0..=2);
    (bodies(4), puts).prop_map(|(mut body, puts)| {
        match &mut body {
            EntryBody::File(file) => file.path = path("f"),
            EntryBody::Mkdir(dir) => dir.path = path("d"),
            EntryBody::AddDaxdev(_) => {}
        }
        let mut bytes = encode(&LogEntry { seqnum: 0, body });
        for (word, number) in puts {
            put_u64(&mut bytes, word * 8, number);
        }
        seal(&mut bytes, 536);
        bytes
    })
}

/// Whatever the bytes are: what is accepted is exactly what would be written, and lies on the device.
fn judge(bytes: &[u8], version: FormatVersion) -> Result<(), TestCaseError> {
    let mut namespace = Namespace::new(&Superblock { version, ..superblock() });
    match namespace.apply_bytes(bytes) {
        Ok(entry) => {
            let own = entry.encode().expect("it was decoded");
            prop_assert_eq!(&own[..], &bytes[..ENTRY_LEN]);
            if let EntryBody::File(file) = &entry.body {
                let mut left = file.size;
                for (offset, len) in file.runs() {
                    prop_assert!(DATA <= offset && offset + len <= superblock().device_len);
                    left -= len;
                }
                prop_assert_eq!(left, 0);
            }
        }
        Err(_) => prop_assert_eq!(namespace.stopped_at(), Some(0)),
    }
    prop_assert!(namespace.largest_free() <= namespace.free_bytes());
    prop_assert!(namespace.free_bytes() <= 64 * UNIT);
    Ok(())
}

proptest! {
    #[test]
    fn an_entry_is_read_as_it_was_written(entry in entries()) {
        let bytes = entry.encode().expect("a valid entry");
        prop_assert_eq!(LogEntry::decode(&bytes, entry.seqnum, FormatVersion::V48), Ok(entry));
    }

    #[test]
    fn a_superblock_is_read_as_it_was_written(superblock in superblocks()) {
        let bytes = superblock.encode().expect("a valid superblock");
        prop_assert_eq!(Superblock::decode(&bytes), Ok(superblock));
    }

    #[test]
    fn a_header_is_read_as_it_was_written(superblock in superblocks(), appends in 0..100) {
        let mut header = LogHeader::new(superblock.log_len).expect("a valid length");
        for _ in 0..appends {
            header = header.advanced().expect("room");
        }
        prop_assert_eq!(LogHeader::decode(&header.encode(), &superblock), Ok(header));
    }

    #[test]
    fn a_map_goes_round_over_its_strips(map in maps(16), offset in any::<u64>(), into in 0..UNIT) {
        let pages = pages(&map, UNIT);
        for (i, &page) in (0_u64..).zip(&pages) {
            let (at, run) = map.resolve(i * UNIT + into).expect("inside");
            prop_assert_eq!(at, page + into);
            // All of the run is there, not only its first byte.
            for further in 1..=(run - 1) / UNIT {
                prop_assert_eq!(map.resolve((i + further) * UNIT + into), Some((at + further * UNIT, run - further * UNIT)));
            }
            prop_assert!(run >= UNIT - into);
        }
        prop_assert_eq!(map.resolve(pages.len() as u64 * UNIT), None);
        if let Some((at, run)) = map.resolve(offset) {
            prop_assert!(map.extents().iter().any(|e| e.offset <= at && at + run <= e.offset + e.len));
        }
    }

    #[test]
    fn a_file_is_as_large_as_its_map_reaches(map in maps(16), units in 0_u64..200, beyond in -1_i64..=1) {
        let reach = pages(&map, UNIT).len() as u64 * UNIT;
        // Around the end of what the map reaches, and anywhere.
        for end in [reach, units * UNIT] {
            let Some(size) = end.checked_add_signed(beyond) else { continue };
            let entry = file(0, "f", size, map.clone());
            prop_assert_eq!(entry.encode().is_ok(), (1..=reach).contains(&size), "size {}", size);
        }
    }

    #[test]
    fn a_path_is_what_the_system_takes_for_a_plain_relative_one(text in "[ab./\\x00é]{0,12}|a{70,90}") {
        let plain = Path::new(&text).components().map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        let plain = plain.collect::<Option<Vec<_>>>().map(|names| names.join("/"));
        let valid = plain.as_ref() == Some(&text) && (1..=79).contains(&text.len()) && !text.contains('\0');
        prop_assert_eq!(RelPath::parse(&text).is_ok(), valid);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in vec(any::<u8>(), 0..700), old in any::<bool>()) {
        let version = if old { FormatVersion::V47 } else { FormatVersion::V48 };
        let _ = Superblock::decode(&bytes);
        let _ = LogHeader::decode(&bytes, &superblock());
        judge(&bytes, version)?;
        if bytes.len() >= ENTRY_LEN {
            seal(&mut bytes[..ENTRY_LEN], 536);
            judge(&bytes, version)?;
        }
    }

    #[test]
    fn nearly_valid_bytes_are_refused_or_mean_what_they_say(bytes in nearly_valid(), old in any::<bool>()) {
        judge(&bytes, if old { FormatVersion::V47 } else { FormatVersion::V48 })?;
    }

    #[test]
    fn any_geometry_under_a_valid_checksum_can_be_replayed_on(
        superblock in superblocks(),
        fields in vec((0_usize..12, any::<u64>()), 0..3),
        bytes in nearly_valid(),
    ) {
        let mut header = superblock.encode().expect("a valid superblock");
        for (word, number) in fields {
            put_u64(&mut header, word * 8, number);
        }
        seal(&mut header, 96);
        if let Ok(superblock) = Superblock::decode(&header) {
            let mut namespace = Namespace::new(&superblock);
            let _ = namespace.apply_bytes(&bytes);
            prop_assert!(namespace.free_bytes() <= superblock.device_len - superblock.data_offset());
        }
    }

    /// Against a bitmap: files put anywhere and files put where the allocator says.
    #[test]
    fn the_allocator_is_first_fit(ops in vec((any::<bool>(), 0_u64..70, 1_u64..=12), 1..60)) {
        let mut namespace = Namespace::new(&superblock());
        let mut used = [false; 64];
        for (allocate, start, units) in ops {
            let count = usize::try_from(units).expect("small");
            let first_fit = used.windows(count).position(|window| !window.contains(&true));
            let place = if allocate {
                // A byte less than whole units is rounded up.
                let len = units * UNIT - 1;
                let place = namespace.allocate(len).ok();
                prop_assert_eq!(place, first_fit.map(|first| extent(first as u64, units)));
                place
            } else {
                Some(extent(start, units))
            };
            let Some(place) = place else { continue };
            let first = usize::try_from((place.offset - DATA) / UNIT).expect("small");
            let fits = used.get(first..first + count).is_some_and(|window| !window.contains(&true));
            let index = namespace.next_index();
            let entry = simple(index, &index.to_string(), 1, &[place]);
            prop_assert_eq!(namespace.check(&entry).is_ok(), fits);
            if fits {
                namespace.apply(&entry).expect("checked");
                used[first..first + count].fill(true);
            }
            let runs = used.split(|&used| used).map(<[bool]>::len);
            prop_assert_eq!(namespace.largest_free(), runs.clone().max().unwrap_or(0) as u64 * UNIT);
            prop_assert_eq!(namespace.free_bytes(), runs.sum::<usize>() as u64 * UNIT);
        }
        prop_assert_eq!(namespace.files().len() as u64, namespace.next_index());
    }

    #[test]
    fn an_allocation_that_cannot_be_met_says_why(units in 1_u64..=64, len in (64 * UNIT + 1)..) {
        let mut namespace = Namespace::new(&superblock());
        namespace.apply(&simple(0, "f", 1, &[extent(0, units)])).expect("valid");
        let free = (64 - units) * UNIT;
        let need = len.checked_next_multiple_of(UNIT).unwrap_or(len);
        prop_assert_eq!(namespace.allocate(len), Err(FormatError::NoSpace { need, largest_free: free, free }));
        prop_assert_eq!(namespace.allocate(0), Err(FormatError::EmptyAllocation));
    }
}

#[test]
fn a_device_of_all_the_bytes_there_are_costs_no_memory() {
    let mut superblock = superblock();
    superblock.device_len = u64::MAX;
    let mut namespace = Namespace::new(&superblock);
    assert_eq!(namespace.largest_free(), u64::MAX - u64::MAX % UNIT - DATA);
    let far = Extent { dev_index: 0, offset: 1 << 63, len: MIB << 20 };
    namespace.apply(&simple(0, "f", far.len, &[far])).unwrap();
    assert_eq!(namespace.largest_free(), (1 << 63) - DATA);
}
