use std::thread;

use super::*;

fn words_from(bytes: &[u8]) -> Vec<AtomicU64> {
    bytes.as_chunks().0.iter().map(|chunk| AtomicU64::new(word_of(*chunk))).collect()
}

fn bytes_from(words: &[AtomicU64]) -> Vec<u8> {
    words.iter().flat_map(|word| bytes_of(word.load(Ordering::Relaxed))).collect()
}

/// Every offset and length in a few words: all ways to begin and end within a word.
fn all_ranges(len: usize) -> impl Iterator<Item = (usize, usize)> {
    let len = if cfg!(miri) { len.min(18) } else { len };
    (0..=len).flat_map(move |offset| (0..=len - offset).map(move |len| (offset, len)))
}

#[test]
fn reads_like_a_slice() {
    let plain: Vec<u8> = (1..=40).collect();
    let words = words_from(&plain);
    for (offset, len) in all_ranges(plain.len()) {
        let mut out = vec![0xee; len];
        SharedBytes::new(&words).read(offset, &mut out);
        assert_eq!(out, plain[offset..offset + len], "{len} bytes at {offset}");
    }
}

#[test]
fn writes_like_a_slice() {
    for (offset, len) in all_ranges(40) {
        let mut plain = vec![0xaa; 40];
        let words = words_from(&plain);
        let data: Vec<u8> = (1..).take(len).collect();
        SharedBytes::new(&words).write(offset, &data);
        plain[offset..offset + len].copy_from_slice(&data);
        assert_eq!(bytes_from(&words), plain, "{len} bytes at {offset}");
    }
}

#[test]
fn zeroes_like_a_slice() {
    for (offset, len) in all_ranges(40) {
        let mut plain = vec![0xaa; 40];
        let words = words_from(&plain);
        SharedBytes::new(&words).zero(offset, len);
        plain[offset..offset + len].fill(0);
        assert_eq!(bytes_from(&words), plain, "{len} bytes at {offset}");
    }
}

#[test]
fn a_word_is_little_endian() {
    let words = words_from(&[0; 16]);
    let shared = SharedBytes::new(&words);
    shared.store(8, 0x0102_0304_0506_0708);
    assert_eq!(bytes_from(&words)[8..], [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(shared.load(8), 0x0102_0304_0506_0708);
    assert_eq!(shared.load(0), 0);
}

#[test]
fn touching_changes_nothing() {
    let plain: Vec<u8> = (1..=64).collect();
    let words = words_from(&plain);
    SharedBytes::new(&words).touch(16);
    assert_eq!(bytes_from(&words), plain);
}

/// Writers of neighbouring bytes share words; neither may put back what the other has replaced.
#[test]
fn parts_of_a_word_do_not_disturb_each_other() {
    let words = words_from(&[0; 24]);
    let rounds = if cfg!(miri) { 20 } else { 20_000 };
    thread::scope(|scope| {
        for (offset, len) in [(0, 3), (3, 10), (13, 1), (14, 10)] {
            let words = &words;
            scope.spawn(move || {
                let shared = SharedBytes::new(words);
                let mut out = vec![0; len];
                for round in 0..rounds {
                    let byte = u8::try_from(round % 251).unwrap();
                    shared.write(offset, &vec![byte; len]);
                    shared.read(offset, &mut out);
                    assert_eq!(out, vec![byte; len], "{len} bytes at {offset}, round {round}");
                }
            });
        }
    });
}

#[test]
fn the_words_of_a_range() {
    let words = words_from(&[0; 32]);
    let count = |offset, len| SharedBytes::new(&words).words(offset, len).len();
    assert_eq!(count(0, 0), 0);
    assert_eq!(count(4, 0), 0);
    assert_eq!(count(7, 1), 1);
    assert_eq!(count(7, 2), 2);
    assert_eq!(count(0, 32), 4);
    assert_eq!(count(32, 0), 0);
}
