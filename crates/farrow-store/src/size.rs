//! Sizes in messages.

use std::fmt;

/// Shows a number of bytes as people read it: `512 B`, `3.0 GiB`.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        // In tenths of a unit, rounded down: a message must not promise more than there is.
        let mut unit = 0;
        let mut divisor = 1024_u128;
        while u128::from(self.0) >= divisor * 1024 && unit + 1 < UNITS.len() {
            divisor *= 1024;
            unit += 1;
        }
        let tenths = u128::from(self.0) * 10 / divisor;
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn as_people_read_it() {
        let shown = |bytes| Size(bytes).to_string();
        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(1023), "1023 B");
        assert_eq!(shown(1024), "1.0 KiB");
        assert_eq!(shown((1 << 20) - 1), "1023.9 KiB");
        assert_eq!(shown(3 << 30), "3.0 GiB");
        assert_eq!(shown(u64::MAX), "15.9 EiB");
    }
}
