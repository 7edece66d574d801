use std::collections::BTreeSet;

use super::*;

const LEN: usize = 1024;

fn image(bytes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut image = vec![0; LEN];
    for (offset, bytes) in bytes {
        image[*offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    image
}

#[test]
fn only_what_was_persisted_survives() {
    let media = CrashMedia::new(LEN);
    media.write_at(0, b"first").unwrap();
    assert_eq!(media.unpersisted_lines(), 1);
    media.persist(0, 5).unwrap();
    assert_eq!(media.unpersisted_lines(), 0);
    media.write_at(128, b"second").unwrap();
    media.write_at(256, b"lost").unwrap();
    media.persist(128, 6).unwrap();
    assert_eq!((media.persists(), media.unpersisted_lines()), (2, 1));

    assert!(media.image_after(0) == image(&[]));
    assert!(media.image_after(1) == image(&[(0, b"first")]));
    let second: [(usize, &[u8]); 2] = [(0, b"first"), (128, b"second")];
    assert!(media.image_after(2) == image(&second));
    assert!(media.image_after(3) == image(&second));
    assert!(media.live_image() == image(&[second[0], second[1], (256, b"lost")]));
}

#[test]
fn a_line_is_persisted_whole() {
    let media = CrashMedia::new(LEN);
    media.write_at(60, b"two lines").unwrap();
    media.persist(64, 1).unwrap();
    assert!(media.image_after(1) == image(&[(64, b"lines")]));
    media.persist(63, 1).unwrap();
    assert!(media.image_after(2) == image(&[(60, b"two lines")]));
}

#[test]
fn a_persist_takes_what_is_there_at_the_time() {
    let media = CrashMedia::new(LEN);
    media.write_at(0, b"old").unwrap();
    media.persist(0, 3).unwrap();
    media.write_at(0, b"new").unwrap();
    media.store_u64(8, 1).unwrap();
    assert!(media.image_after(1) == image(&[(0, b"old")]));
    media.persist(0, 3).unwrap();
    assert!(media.image_after(1) == image(&[(0, b"old")]), "the past does not change");
    assert!(media.image_after(2) == image(&[(0, b"new"), (8, &[1])]));
}

#[test]
fn a_persist_of_nothing_counts_and_does_nothing() {
    let media = CrashMedia::new(LEN);
    media.write_at(0, b"x").unwrap();
    media.persist(0, 0).unwrap();
    media.persist(1024, 0).unwrap();
    media.write_at(5, b"").unwrap();
    assert_eq!((media.persists(), media.unpersisted_lines()), (2, 1));
    assert!(media.image_after(2) == image(&[]));
    media.persist(2000, 1).unwrap_err();
    assert_eq!(media.persists(), 2, "a refused persist does not count");
}

#[test]
fn refreshing_loses_nothing() {
    let media = CrashMedia::new(LEN);
    media.write_at(0, b"kept").unwrap();
    media.refresh(0, 64).unwrap();
    assert!(media.live_image() == image(&[(0, b"kept")]));
}

#[test]
fn a_medium_that_is_no_multiple_of_a_line() {
    let media = CrashMedia::from(vec![7; 70]);
    media.write_at(60, &[8; 10]).unwrap();
    media.persist(69, 1).unwrap();
    assert_eq!(media.image_after(1)[58..], [7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8]);
    for seed in 0..20 {
        assert_eq!(media.torn_image_after(1, seed)[64..], [8; 6]);
    }
}

/// Two lines are written, then a third is persisted: all subsets of the two must turn up, and the third
/// always.
#[test]
fn torn_any_subset_of_lines_arrives() {
    let media = CrashMedia::new(LEN);
    media.store_u64(0, 1).unwrap();
    media.store_u64(64, 2).unwrap();
    media.store_u64(128, 3).unwrap();
    media.persist(128, 8).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let torn = media.torn_image_after(1, seed);
        assert_eq!(torn[128], 3, "persisted");
        assert!(matches!((torn[0], torn[64]), (0 | 1, 0 | 2)));
        seen.insert((torn[0], torn[64]));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

/// A line may arrive as it was between two writes, even if the second one is to another line.
#[test]
fn torn_lines_arrive_in_any_state_they_had() {
    let media = CrashMedia::new(LEN);
    media.store_u64(0, 1).unwrap();
    media.store_u64(0, 2).unwrap();
    let seen: BTreeSet<_> = (0..500).map(|seed| media.torn_image_after(0, seed)[0]).collect();
    assert_eq!(seen, BTreeSet::from([0, 1, 2]));
}

#[test]
fn torn_words_arrive_whole_and_in_any_order() {
    let media = CrashMedia::new(LEN);
    media.write_at(4, &[9; 24]).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..2000 {
        let torn = media.torn_image_after(0, seed);
        for (word, of_write) in [(0, 4..8), (1, 8..16), (2, 16..24), (3, 24..28)] {
            let bytes = &torn[of_write];
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "word {word} is torn: {bytes:?}");
        }
        assert!(torn[..4].iter().chain(&torn[28..]).all(|byte| *byte == 0), "outside of the write");
        seen.insert((torn[4], torn[8], torn[16], torn[24]));
    }
    assert_eq!(seen.len(), 16, "{seen:?}");
}

/// What comes after the next persist has not happened.
#[test]
fn torn_images_end_at_the_next_persist() {
    let media = CrashMedia::new(LEN);
    media.store_u64(0, 1).unwrap();
    media.persist(0, 8).unwrap();
    media.store_u64(0, 2).unwrap();
    media.store_u64(64, 2).unwrap();
    media.persist(0, 128).unwrap();
    media.store_u64(0, 3).unwrap();
    let seen = |k, offset: usize| {
        (0..500).map(|seed| media.torn_image_after(k, seed)[offset]).collect::<BTreeSet<_>>()
    };
    assert_eq!(seen(0, 0), BTreeSet::from([0, 1]));
    assert_eq!(seen(0, 64), BTreeSet::from([0]));
    assert_eq!(seen(1, 0), BTreeSet::from([1, 2]));
    assert_eq!(seen(1, 64), BTreeSet::from([0, 2]));
    assert_eq!(seen(2, 0), BTreeSet::from([2, 3]));
    assert_eq!(seen(2, 64), BTreeSet::from([2]));
    assert_eq!(seen(9, 0), BTreeSet::from([2, 3]), "as many persists as there are");
}

#[test]
fn the_same_seed_gives_the_same_image() {
    let media = CrashMedia::new(LEN);
    for offset in (0..LEN).step_by(24) {
        media.write_at(offset as u64, &[1; 10]).unwrap();
    }
    assert!(media.torn_image_after(0, 42) == media.torn_image_after(0, 42));
    assert!(media.torn_image_after(0, 42) != media.torn_image_after(0, 43));
}
