//! Lengths of time on command lines and in the agent's configuration.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time: `90s`, `15min`, `1h30m`, `2 days`. Units from `ns` to `years`, `m` is minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

/// The reason why a text is no length of time.
#[derive(Debug, PartialEq)]
pub struct PeriodFault(humantime::DurationError);

impl FromStr for Period {
    type Err = PeriodFault;

    fn from_str(text: &str) -> Result<Self, PeriodFault> {
        humantime::parse_duration(text).map(Self).map_err(PeriodFault)
    }
}

impl fmt::Display for PeriodFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: write 90s, 15min, 1h30m or 30d", self.0)
    }
}

impl std::error::Error for PeriodFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_as_people_write_them() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("15min", 900),
            ("15m", 900),
            ("12h", 43_200),
            ("1h30m", 5400),
            ("1h 30min", 5400),
            ("30d", 2_592_000),
            ("1w", 604_800),
        ] {
            assert_eq!(text.parse(), Ok(Period(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "12", "h", "-1h", "1 parsec", "99999999999999999999s", "9999999999999999d"] {
            let fault = text.parse::<Period>().unwrap_err().to_string();
            assert!(fault.ends_with(": write 90s, 15min, 1h30m or 30d"), "{text:?}: {fault}");
        }
    }
}
