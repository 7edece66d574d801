//! Numbers in byte strings, and checksums made to match again.

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// Puts `number` at `at`, if there is room for it.
pub(crate) fn put(bytes: &mut [u8], at: usize, number: &[u8]) {
    if let Some(field) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..number.len())) {
        field.copy_from_slice(number);
    }
}

/// Puts the crc32 that famfs wants, of everything before it, at `at`.
pub(crate) fn seal_famfs(bytes: &mut [u8], at: usize) {
    if let Some(covered) = bytes.get(..at) {
        let crc = u64::from(crc32fast::hash(covered));
        put(bytes, at, &crc.to_le_bytes());
    }
}

/// Puts the CRC32C of the farrow format, of everything before it, at `at`.
pub(crate) fn seal_farrow(bytes: &mut [u8], at: usize) {
    if let Some(covered) = bytes.get(..at) {
        let crc = crc32c::crc32c(covered);
        put(bytes, at, &crc.to_le_bytes());
    }
}
