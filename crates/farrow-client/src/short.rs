//! Names in messages: what a caller gives may be of any length, and a message stays readable.

use std::borrow::Cow;

/// The most characters of a name in a message.
const MOST: usize = 200;

/// The first characters of a name, and a sign where some were left out.
pub(crate) fn short(name: &str) -> Cow<'_, str> {
    cut(name, MOST)
}

/// The same of a name in a list, with at most so many characters.
pub(crate) fn cut(name: &str, most: usize) -> Cow<'_, str> {
    match name.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
        None => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(short("as it is"), "as it is");
        assert_eq!(short(&"ä".repeat(MOST)), "ä".repeat(MOST));
        assert_eq!(short(&"ä".repeat(1 << 20)), format!("{}…", "ä".repeat(MOST)));
    }
}
