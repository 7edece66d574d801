//! Ages as people write them.

use std::str::FromStr;
use std::time::Duration;

/// A length of time: a whole number and `s`, `min`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) Duration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = text.trim_start_matches(|character: char| character.is_ascii_digit());
        let seconds = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err("expected a whole number and s, min, h or d, such as 12h".to_owned()),
        };
        let count: u64 =
            text.strip_suffix(unit).unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
        match count.checked_mul(seconds) {
            Some(seconds) => Ok(Self(Duration::from_secs(seconds))),
            None => Err("too long".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_as_people_write_them() {
        let read = |text: &str| text.parse::<Age>().map(|age| age.0.as_secs());
        assert_eq!([read("0s"), read("90s"), read("15min")], [Ok(0), Ok(90), Ok(900)]);
        assert_eq!([read("12h"), read("30d")], [Ok(43_200), Ok(2_592_000)]);
        for text in ["", "12", "h", "-1h", "1.5h", "1 h", "1w", "99999999999999999999s", "9999999999999999d"]
        {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
