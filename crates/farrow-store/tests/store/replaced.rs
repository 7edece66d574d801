//! Another file system is made of the medium while a store has it open.

use std::sync::Arc;

use famfs_format::{LOG_OFFSET, LogHeader, Superblock};
use farrow_region::{Media, MemMedia};
use farrow_store::{FormatOptions, Replacement, Store, StoreError};
use uuid::Uuid;

use crate::region::{HOST, MIB, OWNER, fill, name, new_version, options, put};

fn region() -> Arc<MemMedia> {
    let media = Arc::new(MemMedia::new(usize::try_from(32 * MIB).unwrap()));
    Store::format(&*media, &options()).unwrap();
    media
}

fn superblock(media: &MemMedia) -> Superblock {
    let mut bytes = [0; 200];
    media.read_at(0, &mut bytes).unwrap();
    Superblock::decode(&bytes).unwrap()
}

/// The first thing that `mkfs.famfs -k -f` does, and the only one.
fn kill(media: &MemMedia) {
    media.write_at(0, &[0; 8]).unwrap();
}

/// The first thing that a forced mkfs does.
fn make_anew(media: &MemMedia) {
    let other = Superblock { uuid: Uuid::from_u128(7), ..superblock(media) };
    media.write_at(0, &other.encode().unwrap()).unwrap();
}

fn found(error: StoreError) -> Replacement {
    match error {
        StoreError::Replaced { found, .. } => found,
        other => panic!("{other}"),
    }
}

#[test]
fn nothing_is_written_and_no_file_is_found_any_more() {
    for change in [kill, make_anew] {
        let media = region();
        let store = Store::open(media.clone(), HOST).unwrap();
        put(&store, "a", 100);
        put(&store, "b", 100);
        let held = store.view().acquire(&name("b"), None).unwrap();
        store.drop_frame(&name("b"), None).unwrap();
        let reservation = store.reserve(OWNER, 100).unwrap();
        fill(&store, &reservation);
        store.view().check_identity().unwrap();

        change(&media);
        let left = media.image();
        let errors = [
            store.commit(new_version(reservation.id, "c", 100)).unwrap_err(),
            store.reserve(OWNER, 100).unwrap_err(),
            store.drop_frame(&name("a"), None).unwrap_err(),
            store.compact().unwrap_err(),
            store.lift_quarantine().unwrap_err(),
            store.add_pool(None).unwrap_err(),
            store.view().check_identity().unwrap_err(),
            store.view().foreign(&name("x.arrow"), None).unwrap_err(),
            store.view().list_all("", None, 9).unwrap_err(),
            store.view().follow_log().unwrap_err(),
        ];
        // To let go is no change, but what it frees would be.
        store.release(&held).unwrap();
        assert!(media.image() == left, "not a byte was written");
        for error in errors {
            match found(error) {
                Replacement::NoSuperblock(_) => assert!(Superblock::decode(&left[..200]).is_err()),
                Replacement::Other(uuid) => assert_eq!(uuid, Uuid::from_u128(7)),
                other @ Replacement::LogBegunAnew { .. } => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_log_that_was_begun_anew_is_noticed() {
    let media = region();
    let store = Store::open(media.clone(), HOST).unwrap();
    store.view().follow_log().unwrap();
    let empty = LogHeader::new(superblock(&media).log_len).unwrap();
    media.write_at(LOG_OFFSET, &empty.encode()).unwrap();
    let error = store.view().follow_log().unwrap_err();
    assert_eq!(found(error), Replacement::LogBegunAnew { entries: 0, had: 5 });
}

/// farrow's own mkfs, by somebody whom no lock of the agent's keeps out: on another host, or by a second node.
#[test]
fn farrows_own_mkfs_is_noticed_too() {
    let media = region();
    let store = Store::open(media.clone(), HOST).unwrap();
    let made = Store::format(&*media, &FormatOptions { force: true, ..options() }).unwrap();
    assert_eq!(found(store.view().check_identity().unwrap_err()), Replacement::Other(made.superblock.uuid));
    Store::open(media, HOST).unwrap();
}
