//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// Units, the largest first.
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A number of bytes, a whole number of KiB: `1KiB`, `64MiB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        UNITS
            .iter()
            .find_map(|(unit, bytes)| {
                text.strip_suffix(unit)?.trim().parse::<u64>().ok()?.checked_mul(*bytes)
            })
            .filter(|bytes| (1..=64 << 30).contains(bytes))
            .map(Self)
            .ok_or_else(|| "expected for example 1KiB, 64MiB or 1GiB, and at most 64GiB".to_owned())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, bytes) =
            UNITS.into_iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes)).unwrap_or(("B", 1));
        write!(f, "{} {unit}", self.0 / bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for (text, bytes) in [("1KiB", 1 << 10), ("64 MiB", 64 << 20), ("1024MiB", 1 << 30)] {
            assert_eq!(text.parse::<Size>().unwrap().0, bytes, "{text}");
        }
        assert_eq!(Size(3 << 20).to_string(), "3 MiB");
    }

    #[test]
    fn other_texts_are_no_sizes() {
        for text in ["", "1", "0KiB", "-1MiB", "1.5GiB", "65GiB", "99999999999999GiB", "GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
