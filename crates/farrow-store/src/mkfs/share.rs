//! The length of a catalog, unless another is asked for.
//!
//! The least that a frame takes of the pool is a page of 4096 bytes. The least that it takes of a half of the catalog is
//! one record of 176 bytes and more, by the length of its name and the number of its batches: 216 for a name of 44 bytes.
//! A catalog of an eighth of the pool has 256 bytes of a half for each page; an eighth of the half is kept for dropping,
//! and 1/32 is for the numbers of dropped names, so that 216 are left. With that the pool is full of the smallest frames,
//! or appends, before the catalog is.
//!
//! In a large region that would be memory for millions of small frames, which nobody has who makes a large region: behind
//! the first gigabyte of pool the catalog has 1/128 of it, as for frames of 64 KiB, and 1 GiB at most, which is enough for
//! two million frames.

use famfs_format::ALLOC_UNIT;

/// So much of the pool may be full of frames of one page.
const DENSE_POOL: u64 = 1024 * 1024 * 1024;

/// Bytes of that for each byte of catalog.
const DENSE: u64 = 8;

/// The same for what the pool has beyond it.
const SPARSE: u64 = 128;

/// The longest catalog that is made without being asked for.
const MOST: u64 = 1024 * 1024 * 1024;

/// The length of the catalog of a pool.
pub(crate) fn of_pool(pool: u64) -> u64 {
    of(pool, DENSE_POOL, DENSE, SPARSE)
}

/// The length of the catalog of a pool, for both of which there are `space` bytes.
pub(crate) fn of_space(space: u64) -> u64 {
    of(space, DENSE_POOL / DENSE * (DENSE + 1), DENSE + 1, SPARSE + 1)
}

fn of(len: u64, dense_len: u64, dense: u64, sparse: u64) -> u64 {
    let share = len.min(dense_len) / dense + len.saturating_sub(dense_len) / sparse;
    share.next_multiple_of(ALLOC_UNIT).clamp(ALLOC_UNIT, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn much_of_little_and_little_of_much() {
        for (space, catalog) in [
            (0, 2),
            (18, 2),
            (20, 4),
            (52, 6),
            (1152, 128),
            (2 << 10, 128 + 8),
            (64 << 10, 128 + 500),
            (1 << 20, 1024),
            (u64::MAX / MIB, 1024),
        ] {
            assert_eq!(of_space(space * MIB), catalog * MIB, "of {space} MiB");
        }
    }

    #[test]
    fn a_pool_has_the_catalog_that_is_made_beside_it() {
        for space in [180 * MIB, 1152 * MIB, 10_000 * MIB, 1 << 36] {
            let catalog = of_space(space);
            let of_pool = of_pool(space - catalog);
            assert!(of_pool.abs_diff(catalog) <= ALLOC_UNIT, "{of_pool} and {catalog} of {space}");
        }
    }
}
