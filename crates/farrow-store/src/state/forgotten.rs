//! The numbers of names that have no version any more, so that none of them is given twice.

use std::collections::{BTreeSet, HashMap};

use crate::catalog::{FLOOR_RECORD_LEN, number_record_len};
use crate::name::FrameName;

/// The part of a half of the catalog that these numbers may take.
const SHARE: u64 = 32;

/// The highest numbers that names without a version have given, as many as fit in 1/32 of a half of the catalog.
///
/// Where they are too many, the lowest number goes, and becomes the *floor*: the numbers of a name that is not
/// remembered begin behind it. So a name that comes back gives no number twice, whether it is remembered or not, and the
/// floor rises as slowly as it can: a name that gave many numbers stays longer than many names that gave one each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// All of them are above the floor.
    numbers: HashMap<FrameName, u64>,
    /// The same, lowest number first.
    by_number: BTreeSet<(u64, FrameName)>,
    floor: u64,
    /// Bytes of the records of the names.
    names_len: u64,
    /// The most of them.
    most: u64,
}

impl Forgotten {
    /// No name, in a catalog whose halves have `half_len` bytes.
    pub(super) fn new(half_len: u64) -> Self {
        Self { most: half_len / SHARE, ..Self::default() }
    }

    /// The highest number that a name without a version has given or may have given.
    pub(super) fn highest_number(&self, name: &FrameName) -> u64 {
        self.numbers.get(name).copied().unwrap_or(self.floor)
    }

    /// The floor: 0 as long as every name was remembered.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// The names and their numbers, lowest number first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&FrameName, u64)> {
        self.by_number.iter().map(|(number, name)| (name, *number))
    }

    /// Bytes of the records that keep all this in a checkpoint.
    pub(super) fn records_len(&self) -> u64 {
        self.names_len + if self.floor > 0 { FLOOR_RECORD_LEN } else { 0 }
    }

    /// True if a name is remembered.
    pub(super) fn has(&self, name: &FrameName) -> bool {
        self.numbers.contains_key(name)
    }

    /// True if one more name can be remembered, without another that goes for it.
    pub(super) fn has_room(&self, name: &FrameName) -> bool {
        self.names_len + number_record_len(name) <= self.most
    }

    /// True if no name is remembered, and there is no floor.
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.floor == 0
    }

    /// A name has no version any more, and has given numbers up to this one.
    pub(super) fn remember(&mut self, name: FrameName, number: u64) {
        if number <= self.floor {
            return;
        }
        self.names_len += number_record_len(&name);
        self.by_number.insert((number, name.clone()));
        self.numbers.insert(name, number);
        while self.names_len > self.most
            && let Some(&(lowest, _)) = self.by_number.first()
        {
            self.raise_floor(lowest);
        }
    }

    /// A name has a version again.
    pub(super) fn recall(&mut self, name: &FrameName) {
        if let Some((name, number)) = self.numbers.remove_entry(name) {
            self.names_len -= number_record_len(&name);
            self.by_number.remove(&(number, name));
        }
    }

    /// Numbers up to this one are given by no name again, and names that gave no higher one need not be remembered.
    pub(super) fn raise_floor(&mut self, floor: u64) {
        self.floor = floor;
        while let Some((number, _)) = self.by_number.first()
            && *number <= floor
            && let Some((_, name)) = self.by_number.pop_first()
        {
            self.numbers.remove(&name);
            self.names_len -= number_record_len(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> FrameName {
        FrameName::parse(name).unwrap()
    }

    #[test]
    fn the_lowest_numbers_go_first_and_none_is_given_twice() {
        // Room for three names of up to 8 bytes.
        let mut forgotten = Forgotten::new(3 * number_record_len(&name("a")) * SHARE);
        assert!(forgotten.is_empty());
        for (frame, number) in [("often", 1000), ("a", 1), ("b", 2)] {
            assert!(forgotten.has_room(&name(frame)));
            forgotten.remember(name(frame), number);
        }
        assert!(!forgotten.has_room(&name("c")));
        assert_eq!((forgotten.floor(), forgotten.highest_number(&name("c"))), (0, 0));
        forgotten.remember(name("c"), 2);
        assert_eq!(forgotten.floor(), 1);
        let found = |forgotten: &Forgotten| {
            ["often", "a", "b", "c", "d"].map(|frame| forgotten.highest_number(&name(frame)))
        };
        assert_eq!(found(&forgotten), [1000, 1, 2, 2, 1]);
        // All that the floor makes needless go at once.
        forgotten.remember(name("d"), 7);
        assert_eq!((found(&forgotten), forgotten.floor()), ([1000, 2, 2, 2, 7], 2));
        assert!(!forgotten.has(&name("b")) && forgotten.has(&name("d")));
        forgotten.remember(name("e"), 2);
        assert!(!forgotten.has(&name("e")), "the floor says as much");

        let listed: Vec<_> = forgotten.iter().map(|(name, number)| (name.to_string(), number)).collect();
        assert_eq!(listed, [("d".into(), 7), ("often".into(), 1000)]);
        assert_eq!(forgotten.records_len(), 2 * number_record_len(&name("d")) + FLOOR_RECORD_LEN);
        forgotten.recall(&name("often"));
        forgotten.recall(&name("never"));
        assert_eq!(forgotten.highest_number(&name("often")), 2, "its frame knows better");
        assert_eq!(forgotten.records_len(), number_record_len(&name("d")) + FLOOR_RECORD_LEN);
    }

    #[test]
    fn a_catalog_without_room_for_a_name_has_a_floor() {
        let mut forgotten = Forgotten::new(SHARE);
        forgotten.remember(name("a"), 5);
        assert_eq!((forgotten.floor(), forgotten.highest_number(&name("b"))), (5, 5));
        assert!(!forgotten.has(&name("a")));
    }
}
