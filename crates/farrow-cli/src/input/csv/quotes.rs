//! Quotes that are opened and never closed.

/// Follows the quotes of CSV through its bytes, as they come.
///
/// A quote opens a value only where the value begins; within it, two quotes are one, and any other closes it.
pub(super) struct Quotes {
    delimiter: u8,
    state: State,
    /// The place of the next byte, and of the last quote that opened a value.
    next: Place,
    opened: Place,
}

/// A line and a character of it, both counted from 1.
#[derive(Clone, Copy)]
struct Place {
    line: u64,
    character: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// The place where a value begins.
    Begin,
    Plain,
    Quoted,
    /// Behind a quote within a quoted value.
    Closing,
}

impl Quotes {
    pub(super) fn new(delimiter: u8) -> Self {
        let start = Place { line: 1, character: 1 };
        Self { delimiter, state: State::Begin, next: start, opened: start }
    }

    /// Follows the next bytes.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state = match (self.state, *byte) {
                (State::Begin, b'"') => {
                    self.opened = self.next;
                    State::Quoted
                }
                (State::Quoted, b'"') => State::Closing,
                (State::Closing, b'"') | (State::Quoted, _) => State::Quoted,
                (_, b'\n' | b'\r') => State::Begin,
                (_, byte) if byte == self.delimiter => State::Begin,
                _ => State::Plain,
            };
            match *byte {
                b'\n' => self.next = Place { line: self.next.line + 1, character: 1 },
                // The bytes of a character behind its first.
                0x80..0xc0 => {}
                _ => self.next.character += 1,
            }
        }
    }

    /// Returns the problem of a text that ends here.
    pub(super) fn problem(&self) -> Option<String> {
        let Place { line, character } = self.opened;
        (self.state == State::Quoted).then(|| {
            format!(
                "line {line}, character {character}: a quote is opened here and never closed: cut off, or text that is \
                 not quoted as CSV"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_at(text: &str) -> Option<(u64, u64)> {
        let mut quotes = Quotes::new(b',');
        // In pieces of any size.
        text.as_bytes().chunks(3).for_each(|piece| quotes.follow(piece));
        quotes.problem().map(|_| (quotes.opened.line, quotes.opened.character))
    }

    #[test]
    fn an_open_quote_is_found_where_it_opens() {
        for closed in [
            "",
            "a,b\n",
            "a,\"b\"\n",
            "\"a\nb\",1",
            "\"a\"\"b\",1\n",
            "5\" pipe,2\n",
            "\"a\"x\",1",
            " \"a,b\n",
        ] {
            assert_eq!(open_at(closed), None, "{closed}");
        }
        assert_eq!(open_at("a,\"b"), Some((1, 3)));
        assert_eq!(open_at("a,b\n1,2\nä,ö,\"x\n3,4\n"), Some((3, 5)));
        assert_eq!(open_at("\"a\"\"\n"), Some((1, 1)));
        assert_eq!(open_at("\"a\nb\",\"c\r\n\r\n"), Some((2, 4)));
    }
}
