//! Every byte of a region's metadata wrong, one at a time.

use std::ops::Range;
use std::sync::Arc;

use famfs_format::{ENTRY_LEN, LOG_OFFSET, SUPERBLOCK_LEN, entry_offset};
use farrow_region::{Media, MemMedia};
use farrow_store::{Store, check};

use crate::region::{HOST, MIB, OWNER, SMALL_CATALOG, View, formatted, name, open, put, view};

const CATALOG: u64 = 10 * MIB;

fn damaged_region() -> (Arc<MemMedia>, View) {
    let media = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    put(&store, "a", 100);
    put(&store, "a", 5000);
    put(&store, "b/c", 1);
    store.drop_frame(&name("a"), Some(1)).unwrap();
    store.compact().unwrap();
    store.reserve(OWNER, 9000).unwrap();
    let view = view(&store);
    (media, view)
}

/// Flips bytes one by one, and returns how many of the flips kept the region from being opened.
fn flip_each(places: Range<u64>) -> u64 {
    let (media, expected) = damaged_region();
    let mut catalog = vec![0; usize::try_from(SMALL_CATALOG).unwrap()];
    media.read_at(CATALOG, &mut catalog).unwrap();
    let mut refused = 0;
    for at in places {
        let mut byte = [0];
        media.read_at(at, &mut byte).unwrap();
        for flip in [0x01, 0x40, 0xff] {
            media.write_at(at, &[byte[0] ^ flip]).unwrap();
            let report = check(&*media).unwrap();
            match Store::open(media.clone(), HOST) {
                Ok(store) => {
                    let seen = view(&store);
                    assert_eq!(seen, expected, "byte {at:#x} ^ {flip:#x}");
                    seen.check(&store);
                }
                Err(_) => refused += 1,
            }
            // Whatever the agent refuses, a check explains; only another host's region is not its business.
            let other_host = (80..96).contains(&at);
            if report.is_clean() && !other_host {
                let store = open(MemMedia::from(media.image()));
                assert_eq!(view(&store), expected, "byte {at:#x} ^ {flip:#x}");
            }
            media.write_at(CATALOG, &catalog).unwrap();
            media.write_at(at, &byte).unwrap();
        }
    }
    assert!(check(&*media).unwrap().is_clean());
    refused
}

#[test]
fn superblock() {
    let refused = flip_each(0..SUPERBLOCK_LEN as u64);
    // Bytes 0..104 are under the checksum or are it; the device's length is compared with the medium's.
    assert!(refused >= 3 * 104, "{refused}");
}

#[test]
fn log_header_and_entries() {
    let refused = flip_each(LOG_OFFSET..LOG_OFFSET + 32);
    assert_eq!(refused, 3 * 32);
    let refused = flip_each(LOG_OFFSET + 32..LOG_OFFSET + 48);
    assert_eq!(refused, 0, "one of the two counters tells how far the log goes");
    let refused = flip_each(entry_offset(4)..entry_offset(5));
    assert_eq!(refused, 3 * ENTRY_LEN as u64, "the pool's entry");
}

#[test]
fn catalog_head_and_commit_word() {
    assert_eq!(flip_each(CATALOG..CATALOG + 136), 3 * 136);
    assert_eq!(flip_each(CATALOG + 136..CATALOG + 200), 0, "nothing is there");
}

#[test]
fn catalog_records() {
    let (media, _) = damaged_region();
    let committed = check(&*media).unwrap().catalog.unwrap().usage.catalog_committed;
    let live = CATALOG + 4096 + 12 * 1024;
    assert_eq!(flip_each(live..live + committed), 3 * committed);
    assert_eq!(flip_each(live + committed..live + committed + 64), 0, "behind what is committed");
    assert_eq!(flip_each(CATALOG + 4096..CATALOG + 4096 + 256), 0, "the other half");
}
