//! Numbers of things in messages.

use std::fmt;

/// Shows how many there are: `1 lease`, `2 leases`, `0 entries`. `one` is the word for one of them.
pub(crate) fn counted<N: fmt::Display + PartialEq + From<u8>>(count: N, one: &str) -> Counted<'_, N> {
    Counted { count, one }
}

/// A number and its noun, as [`counted`] joins them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a, N> {
    count: N,
    one: &'a str,
}

impl<N: fmt::Display + PartialEq + From<u8>> fmt::Display for Counted<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, one } = self;
        if *count == N::from(1) {
            return write!(f, "1 {one}");
        }
        match one.strip_suffix('y') {
            Some(stem) => write!(f, "{count} {stem}ies"),
            None if one.ends_with('s') => write!(f, "{count} {one}es"),
            None => write!(f, "{count} {one}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        let shown = [0_u64, 1, 2].map(|count| counted(count, "lease").to_string());
        assert_eq!(shown, ["0 leases", "1 lease", "2 leases"]);
        let shown = ["entry", "process"].map(|one| counted(3_usize, one).to_string());
        assert_eq!(shown, ["3 entries", "3 processes"]);
        assert_eq!(counted(1_u32, "entry").to_string(), "1 entry");
    }
}
