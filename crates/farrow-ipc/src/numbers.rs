//! Little-endian numbers of the Arrow format, in bytes of this process's own.

use std::ops::Range;

use crate::gather::Stop;

/// Signed numbers of `width` bytes (2, 4 or 8), as many as there are whole ones.
pub(crate) fn numbers(bytes: &[u8], width: usize) -> impl Iterator<Item = i64> {
    bytes.chunks_exact(width).map(move |bytes| match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    })
}

/// Puts a number of `width` bytes (2, 4 or 8) at the beginning of `bytes`; [`Stop::Full`] if it has no room there.
pub(crate) fn put(bytes: &mut [u8], width: usize, number: usize) -> Result<(), Stop> {
    let number = i64::try_from(number).map_err(|_| Stop::Full)?;
    let fits = match width {
        2 => i16::try_from(number).is_ok(),
        4 => i32::try_from(number).is_ok(),
        _ => true,
    };
    if !fits {
        return Err(Stop::Full);
    }
    bytes[..width].copy_from_slice(&number.to_le_bytes()[..width]);
    Ok(())
}

/// Makes the first of some offsets `base` and keeps how far apart they are; gives what they spanned. None if one has
/// no room for that.
///
/// # Errors
/// The first offset that does not follow the one before it (0 before the first), or is beyond `most`, and the least
/// that it might be.
pub(crate) fn rebase(
    offsets: &mut [u8],
    width: usize,
    base: i64,
    most: i64,
) -> Result<Option<Range<i64>>, (i64, i64)> {
    match width {
        4 => {
            let put = |n| i32::try_from(n).ok().map(i32::to_le_bytes);
            rebase_each(offsets.as_chunks_mut().0, base, most, |bytes| i32::from_le_bytes(bytes).into(), put)
        }
        _ => {
            let put = |n: i64| Some(n.to_le_bytes());
            rebase_each(offsets.as_chunks_mut().0, base, most, i64::from_le_bytes, put)
        }
    }
}

fn rebase_each<const W: usize>(
    offsets: &mut [[u8; W]],
    base: i64,
    most: i64,
    get: impl Fn([u8; W]) -> i64,
    put: impl Fn(i64) -> Option<[u8; W]>,
) -> Result<Option<Range<i64>>, (i64, i64)> {
    let first = offsets.first().map_or(0, |offset| get(*offset));
    let mut before = first;
    if first < 0 {
        return Err((first, 0));
    }
    for offset in offsets {
        let next = get(*offset);
        if next < before || next > most {
            return Err((next, before));
        }
        before = next;
        // Both are lengths of memory, or in memory: their sum is far from the largest number.
        let Some(bytes) = put(base + (next - first)) else { return Ok(None) };
        *offset = bytes;
    }
    Ok(Some(first..before))
}

/// The first dictionary key of which, with its index, `wrong` is true. Negative keys are larger than all others.
pub(crate) fn first_key(
    keys: &[u8],
    width: usize,
    signed: bool,
    wrong: impl Fn(usize, u64) -> bool,
) -> Option<i64> {
    let of = |key: i64| u64::try_from(key).unwrap_or(u64::MAX);
    let found = match (width, signed) {
        (1, false) => keys.iter().enumerate().position(|(index, key)| wrong(index, u64::from(*key))),
        (1, true) => find(keys, &wrong, |key| of(i8::from_le_bytes(key).into())),
        (2, false) => find(keys, &wrong, |key| u16::from_le_bytes(key).into()),
        (2, true) => find(keys, &wrong, |key| of(i16::from_le_bytes(key).into())),
        (4, false) => find(keys, &wrong, |key| u32::from_le_bytes(key).into()),
        (4, true) => find(keys, &wrong, |key| of(i32::from_le_bytes(key).into())),
        (_, false) => find(keys, &wrong, u64::from_le_bytes),
        (_, true) => find(keys, &wrong, |key| of(i64::from_le_bytes(key))),
    }?;
    let key = &keys[found * width..][..width];
    Some(match *key {
        [key] if signed => i64::from(i8::from_le_bytes([key])),
        [key] => i64::from(key),
        ref key => numbers(key, width).next().unwrap_or_default(),
    })
}

fn find<const W: usize>(
    keys: &[u8],
    wrong: impl Fn(usize, u64) -> bool,
    get: impl Fn([u8; W]) -> u64,
) -> Option<usize> {
    keys.as_chunks().0.iter().enumerate().position(|(index, key)| wrong(index, get(*key)))
}

/// The unsigned number of 4 bytes at `at` of a view.
pub(crate) fn word(view: &[u8; 16], at: usize) -> usize {
    let word = u32::from_le_bytes([view[at], view[at + 1], view[at + 2], view[at + 3]]);
    usize::try_from(word).unwrap_or(usize::MAX)
}

/// A number that was found not to be negative.
pub(crate) fn to_usize(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}
