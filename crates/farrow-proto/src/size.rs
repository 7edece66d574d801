//! Sizes on command lines and in the agent's configuration.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `8388608`, `8M`, `8MiB`. As with famfs, K, M, G and T are powers of 1024, with or without
/// `iB`; KB, MB, GB and TB, as elsewhere, powers of 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// The reasons why a text is no size.
#[derive(Debug, PartialEq, Eq)]
pub enum SizeFault {
    /// It does not begin with digits.
    NoNumber,
    /// What follows them is no unit.
    Unit(String),
    /// More than 64 bits.
    TooLarge,
}

impl FromStr for Size {
    type Err = SizeFault;

    fn from_str(text: &str) -> Result<Self, SizeFault> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(SizeFault::NoNumber);
        }
        let number: u64 = number.parse().map_err(|_| SizeFault::TooLarge)?;
        let unit = unit.trim().to_ascii_lowercase();
        let (letter, rest) = unit.split_at(usize::from(unit.starts_with(['k', 'm', 'g', 't'])));
        let power = match letter {
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            _ => 0,
        };
        let base: u64 = match (power, rest) {
            (0, "" | "b") => 1,
            (1.., "" | "i" | "ib") => 1024,
            (1.., "b") => 1000,
            _ => return Err(SizeFault::Unit(unit)),
        };
        base.checked_pow(power).and_then(|unit| number.checked_mul(unit)).map(Self).ok_or(SizeFault::TooLarge)
    }
}

impl fmt::Display for SizeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNumber => f.write_str("not a whole number of bytes, such as 4G or 8MiB"),
            Self::Unit(unit) => {
                write!(f, "unit {unit:?} is not known: K, M, G and T (or KiB …) are powers of 1024")
            }
            Self::TooLarge => f.write_str("more than 2^64 - 1 bytes"),
        }
    }
}

impl std::error::Error for SizeFault {}

#[cfg(test)]
mod tests {
    use super::{Size, SizeFault};

    #[test]
    fn letters_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4096B", 4096),
            ("8K", 8 << 10),
            ("8M", 8 << 20),
            ("8m", 8 << 20),
            ("64MiB", 64 << 20),
            ("64 Mi", 64 << 20),
            ("4G", 4 << 30),
            ("4GiB", 4 << 30),
            ("4GB", 4_000_000_000),
            ("2T", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in ["", "G", "-1", "x4G"] {
            assert_eq!(text.parse::<Size>(), Err(SizeFault::NoNumber), "{text}");
        }
        for text in ["4X", "4Gi B", "1.5G", "4é", "4bi", "0x10"] {
            assert!(matches!(text.parse::<Size>(), Err(SizeFault::Unit(_))), "{text}");
        }
        for text in ["18446744073709551616", "16777216T", "99999999999G"] {
            assert_eq!(text.parse::<Size>(), Err(SizeFault::TooLarge), "{text}");
        }
    }
}
