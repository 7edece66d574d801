use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::*;

#[repr(align(256))]
struct Aligned([AtomicU64; 64]);

fn numbered() -> Aligned {
    Aligned(std::array::from_fn(|i| AtomicU64::new(i as u64)))
}

/// Whatever part of memory is asked for, each of its lines is touched once, and nothing outside.
#[test]
fn each_line_once() {
    let memory = numbered();
    let address = |word: &AtomicU64| std::ptr::from_ref(word).addr();
    let (lines, step): (&[usize], _) =
        if cfg!(miri) { (&[4, 64], 7) } else { (&[4, 8, 16, 32, 64, 128, 256], 1) };
    for &line in lines {
        for first in (0..32).step_by(step) {
            for end in (first..=64).step_by(step) {
                let words = &memory.0[first..end];
                let mut touched = Vec::new();
                for_each_line(words, line, |word| {
                    assert!(words.as_ptr_range().contains(&std::ptr::from_ref(word)));
                    touched.push(address(word) / line.max(8));
                });
                let expected: BTreeSet<_> = words.iter().map(|word| address(word) / line.max(8)).collect();
                assert_eq!(touched, Vec::from_iter(expected), "words {first}..{end}, lines of {line} bytes");
            }
        }
    }
}

#[test]
fn a_word_is_in_one_line_and_two_lines_apart_are_two() {
    let memory = numbered();
    let count = |first: usize, end: usize| {
        let mut lines = 0;
        for_each_line(&memory.0[first..end], 64, |_| lines += 1);
        lines
    };
    assert_eq!(count(3, 3), 0);
    assert_eq!(count(7, 8), 1);
    assert_eq!(count(7, 9), 2);
    assert_eq!(count(0, 64), 8);
    assert_eq!(count(1, 64), 8);
}

#[test]
fn the_machine_has_lines() {
    let line = arch::line_size();
    assert!(line.is_power_of_two() && (16..=4096).contains(&line), "lines of {line} bytes");
}

/// Runs the instructions of this machine: an illegal one ends the test by a signal.
#[test]
fn memory_is_the_same_before_and_after() {
    let memory = numbered();
    for coherency in [Coherency::Coherent, Coherency::Software] {
        write_back(&memory.0, coherency);
        invalidate(&memory.0, coherency);
        write_back(&[], coherency);
        invalidate(&[], coherency);
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for_each_line(&memory.0, arch::line_size(), arch::clflush);
    for (i, word) in memory.0.iter().enumerate() {
        assert_eq!(word.load(Ordering::Relaxed), i as u64);
    }
}
