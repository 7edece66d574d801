//! Values in commands that messages name, as a shell takes them.
//!
//! Other users name frames and files, and a reader copies the commands of a message into a shell: there a value must be
//! one word, of which nothing is expanded.

use std::fmt;

/// Returns a value as one word, such as that of an option: in quotes where a shell would see more than text in it.
pub fn word(value: impl fmt::Display) -> String {
    // A NUL ends a word, and cannot be quoted.
    let text = value.to_string().replace('\0', "");
    shlex::try_quote(&text).map_or_else(|_| "''".to_owned(), std::borrow::Cow::into_owned)
}

/// Returns a value as an argument that is no option's. One that begins with a hyphen stands behind `--`, so that options
/// have to stand before it.
pub fn operand(value: impl fmt::Display) -> String {
    let text = value.to_string();
    let word = word(&text);
    if text.starts_with('-') { format!("-- {word}") } else { word }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Returns the words that a shell makes of the text.
    fn words(text: &str) -> Vec<String> {
        let output = Command::new("sh").args(["-c", &format!("printf '%s\\0' {text}")]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn a_shell_takes_each_value_as_it_is() {
        for value in [
            "",
            "a b",
            "it's",
            "\"x\"",
            "$(echo out)",
            "`echo out`",
            "a\nb",
            "*",
            "!!",
            "~",
            "#x",
            "ü\\",
            "a;b&c|d>e",
        ] {
            assert_eq!(words(&word(value)), [value], "{value:?}");
            assert_eq!(operand(value), word(value), "{value:?}");
        }
        assert_eq!(words(&operand("-x y")), ["--", "-x y"]);
        assert_eq!(words(&operand("-'$HOME")), ["--", "-'$HOME"]);
        assert_eq!(word("a\0$(b)"), "'a$(b)'");
    }

    #[test]
    fn ordinary_values_stay_as_they_are() {
        for value in ["sales/orders", "sales/orders@7", "/dev/shm/farrow", "a.b_c-d", "127.0.0.1:7447"] {
            assert_eq!(operand(value), value);
        }
        assert_eq!(word("sales/o*"), "'sales/o*'");
    }
}
