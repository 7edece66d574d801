//! Free space of the pool files.
//!
//! Knows extents and their lengths, nothing of who owns them. Looking for space ([`FreeSpace::find`]) and taking it
//! ([`FreeSpace::take`]) are two steps: between them the record that says so reaches the catalog, and
//! replay takes the same extents without looking.

use std::collections::{BTreeMap, BTreeSet};

use crate::frame::Extent;

/// The unit of allocation in a pool file, in bytes.
pub(crate) const PAGE: u64 = 4096;

/// Segments of at least this many bytes begin on a multiple of it, so that they can be mapped by huge pages.
pub(crate) const HUGE_PAGE: u64 = 2 * 1024 * 1024;

/// The most extents that one reservation has.
pub(crate) const MAX_EXTENTS: usize = 16;

/// Free extents, by place and by length. Neighbours are always joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FreeSpace {
    /// (pool, offset) to length.
    by_place: BTreeMap<(u32, u64), u64>,
    /// (length, pool, offset).
    by_len: BTreeSet<(u64, u32, u64)>,
    total: u64,
}

impl FreeSpace {
    /// All of each pool's whole pages are free.
    pub(crate) fn new(pool_lens: impl IntoIterator<Item = (u32, u64)>) -> Self {
        let mut free = Self::default();
        pool_lens.into_iter().for_each(|(pool, len)| free.add_pool(pool, len));
        free
    }

    /// All whole pages of one more pool are free.
    pub(crate) fn add_pool(&mut self, pool: u32, len: u64) {
        let len = len - len % PAGE;
        if len > 0 {
            self.insert(Extent { pool, offset: 0, len });
            self.total += len;
        }
    }

    /// Free bytes.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes of the longest free extent.
    pub(crate) fn largest(&self) -> u64 {
        self.by_len.last().map_or(0, |&(len, ..)| len)
    }

    /// True if all of the extent is free.
    pub(crate) fn contains(&self, extent: &Extent) -> bool {
        self.around(extent).is_some()
    }

    /// The first free extent that ends behind a place, a pool and an offset in it, as far as it lies behind that.
    pub(crate) fn from(&self, place: (u32, u64)) -> Option<Extent> {
        let (pool, at) = place;
        let reaching = self.by_place.range(..place).next_back();
        if let Some((&(of, offset), &len)) = reaching
            && of == pool
            && offset + len > at
        {
            return Some(Extent { pool, offset: at, len: offset + len - at });
        }
        let (&(pool, offset), &len) = self.by_place.range(place..).next()?;
        Some(Extent { pool, offset, len })
    }

    /// Chooses free extents for `len` bytes (at least 1), rounded up to whole pages; takes nothing.
    ///
    /// Below 2 MiB the shortest extent that fits, so that long ones stay whole. From 2 MiB on, extents that
    /// begin on a 2 MiB boundary and, but for the last, are multiples of 2 MiB long. One extent if there is
    /// one, else the longest first, at most 16, and all of one pool: pools can be files of their own, and a
    /// mapping has one file. `None` if that is not enough.
    pub(crate) fn find(&self, len: u64) -> Option<Vec<Extent>> {
        let need = len.checked_next_multiple_of(PAGE)?;
        let align = if need < HUGE_PAGE { PAGE } else { HUGE_PAGE };
        if need == 0 || need > self.total {
            return None;
        }
        // Extents shorter than `need + align` may or may not have an aligned start early enough.
        let whole = self
            .by_len
            .range((need, 0, 0)..)
            .find_map(|&free| aligned(free, align).filter(|extent| extent.len >= need));
        if let Some(extent) = whole {
            return Some(vec![Extent { len: need, ..extent }]);
        }
        let mut pools: Vec<u32> = self.by_place.keys().map(|&(pool, _)| pool).collect();
        pools.dedup();
        pools.into_iter().find_map(|pool| self.find_pieces(pool, need, align))
    }

    /// Makes a free extent used. Returns false, and changes nothing, unless all of it is free.
    #[must_use]
    pub(crate) fn take(&mut self, extent: &Extent) -> bool {
        let Some(around) = self.around(extent) else { return false };
        self.remove(&around);
        if extent.offset > around.offset {
            self.insert(Extent { len: extent.offset - around.offset, ..around });
        }
        let (end, around_end) = (extent.offset + extent.len, around.offset + around.len);
        if end < around_end {
            self.insert(Extent { pool: extent.pool, offset: end, len: around_end - end });
        }
        self.total -= extent.len;
        true
    }

    /// Makes a used extent free again. The caller owns it: it was taken, whole or as a part of what was taken.
    pub(crate) fn give_back(&mut self, extent: &Extent) {
        let mut joined = *extent;
        let before = self.by_place.range(..(extent.pool, extent.offset)).next_back();
        if let Some((&(pool, offset), &len)) = before
            && pool == extent.pool
            && offset + len == extent.offset
        {
            let neighbour = Extent { pool, offset, len };
            self.remove(&neighbour);
            joined = Extent { len: len + joined.len, ..neighbour };
        }
        let end = extent.offset + extent.len;
        if let Some(&len) = self.by_place.get(&(extent.pool, end)) {
            self.remove(&Extent { pool: extent.pool, offset: end, len });
            joined.len += len;
        }
        self.insert(joined);
        self.total += extent.len;
    }

    /// All free extents in order, for tests and checks.
    #[cfg(test)]
    pub(crate) fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        self.by_place.iter().map(|(&(pool, offset), &len)| Extent { pool, offset, len })
    }

    fn find_pieces(&self, pool: u32, need: u64, align: u64) -> Option<Vec<Extent>> {
        let mut pieces = Vec::new();
        let mut left = need;
        for &free in self.by_len.iter().rev().filter(|free| free.1 == pool) {
            if pieces.len() == MAX_EXTENTS || free.0 < align.min(left) {
                break;
            }
            let Some(usable) = aligned(free, align) else { continue };
            // Only the last piece may end off the alignment: the pieces are mapped one behind the other.
            let len = if usable.len >= left { left } else { usable.len - usable.len % align };
            if len == 0 {
                continue;
            }
            pieces.push(Extent { len, ..usable });
            left -= len;
            if left == 0 {
                return Some(pieces);
            }
        }
        None
    }

    /// The free extent that has all of `extent` inside.
    fn around(&self, extent: &Extent) -> Option<Extent> {
        let end = extent.offset.checked_add(extent.len)?;
        if extent.len == 0 || !extent.offset.is_multiple_of(PAGE) || !extent.len.is_multiple_of(PAGE) {
            return None;
        }
        let (&(pool, offset), &len) = self.by_place.range(..=(extent.pool, extent.offset)).next_back()?;
        (pool == extent.pool && end <= offset + len).then_some(Extent { pool, offset, len })
    }

    fn insert(&mut self, extent: Extent) {
        self.by_place.insert((extent.pool, extent.offset), extent.len);
        self.by_len.insert((extent.len, extent.pool, extent.offset));
    }

    fn remove(&mut self, extent: &Extent) {
        self.by_place.remove(&(extent.pool, extent.offset));
        self.by_len.remove(&(extent.len, extent.pool, extent.offset));
    }
}

/// True if extents can be mapped side by side on a medium with pages of `unit` bytes: where one ends and another
/// begins. Pool files begin on a multiple of 2 MiB, not of more.
pub(crate) fn adjoin(extents: &[Extent], unit: u64) -> bool {
    let mut joints = extents.iter().zip(extents.iter().skip(1));
    joints.all(|(one, next)| {
        let (end, start) = (one.offset + one.len, next.offset);
        unit <= HUGE_PAGE && end.is_multiple_of(unit) && start.is_multiple_of(unit)
    })
}

/// Returns what is left of a free extent from the first aligned offset on.
fn aligned((len, pool, offset): (u64, u32, u64), align: u64) -> Option<Extent> {
    let start = offset.checked_next_multiple_of(align)?;
    let len = (offset + len).checked_sub(start).filter(|&len| len > 0)?;
    Some(Extent { pool, offset: start, len })
}

#[cfg(test)]
mod tests;
