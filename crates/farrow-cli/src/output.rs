//! What people and programs read.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use bytesize::ByteSize;
use farrow_client::Dropped;
use serde::Serialize;

/// Whether the reader of our output went away; what writes rows does not always pass the cause on.
static BROKEN_PIPE: AtomicBool = AtomicBool::new(false);

/// Stdout, for data.
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not by way of std's stdout, which would buffer up to the last newline.
        let stdout = io::stdout();
        noted(rustix::io::write(stdout, bytes).map_err(io::Error::from))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn noted<T>(written: io::Result<T>) -> io::Result<T> {
    if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        BROKEN_PIPE.store(true, Ordering::Relaxed);
    }
    written
}

/// A colour on a terminal, by its number in ECMA-48's Select Graphic Rendition.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// Whether stderr or stdout takes colours: a terminal, and nobody has said no (<https://no-color.org>).
pub(crate) fn takes_colours(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    stream.is_terminal() && !unwanted
}

/// A word in a colour.
pub(crate) fn painted(word: &str, colour: Colour, stream: &impl IsTerminal) -> String {
    if takes_colours(stream) { format!("\u{1b}[{}m{word}\u{1b}[0m", colour as u8) } else { word.to_owned() }
}

/// Text from data, which must not command the terminal: control characters as Rust writes them.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A value's text, cut after so many characters.
pub(crate) fn short(value: impl fmt::Display, characters: usize) -> String {
    let mut short = Short { text: String::new(), left: characters };
    // A value that cannot be shown says why.
    if write!(short, "{value}").is_err() {
        short.text.pop();
        short.text.push('…');
    }
    plain(&short.text)
}

/// Takes so many characters and no more: a value may have gigabytes.
struct Short {
    text: String,
    left: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

/// Writes one line of data to stdout.
pub(crate) fn line(text: impl fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes a value as one line of JSON to stdout.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string(value)?)?)
}

/// Writes a remark to stderr.
pub(crate) fn note(text: impl fmt::Display) {
    // Nobody is left to be told if stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes an error and its causes to stderr.
pub(crate) fn error(error: &anyhow::Error) {
    let name = painted("farrow:", Colour::Red, &io::stderr());
    note(format_args!("{name} {}", farrow_client::chain(error.as_ref())));
}

/// `1.5 GiB`
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// `2 versions removed, 1.5 GiB free again`
pub(crate) fn dropped(dropped: &Dropped) -> String {
    let versions = if dropped.versions == 1 { "version" } else { "versions" };
    let mut told =
        format!("{} {versions} removed, {} free again", dropped.versions, size(dropped.bytes_freed));
    if dropped.bytes_held > 0 {
        told += &format!(", {} still mapped (farrow leases shows by whom)", size(dropped.bytes_held));
    }
    told
}

/// `14 min`
pub(crate) fn age(age: std::time::Duration) -> String {
    match age.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Writes rows below a heading, each column as wide as it has to be; `right` columns hold numbers.
pub(crate) fn table<const N: usize>(
    heading: [&str; N],
    right: [bool; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let rows: Vec<&[String]> = rows.iter().map(<[String; N]>::as_slice).collect();
    grid(&heading.map(str::to_owned), &right, &rows)
}

/// As [`table`], with as many columns as there are.
pub(crate) fn grid(heading: &[String], right: &[bool], rows: &[&[String]]) -> io::Result<()> {
    let mut widths: Vec<usize> = vec![0; heading.len()];
    for row in std::iter::once(&heading).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(*row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = io::stdout().lock();
    for row in std::iter::once(&heading).chain(rows) {
        let cells = row.iter().zip(&widths).zip(right);
        let cells: Vec<String> = cells
            .map(|((cell, width), right)| {
                let cell = plain(cell);
                if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            })
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    out.flush()
}

/// Whether the reader of our output went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    BROKEN_PIPE.load(Ordering::Relaxed)
        || error.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_and_do_not_command_the_terminal() {
        assert_eq!(short("abc", 3), "abc");
        assert_eq!(short("abcd", 3), "ab…");
        assert_eq!(short("ä\u{1b}[2J", 40), "ä\\u{1b}[2J");
    }
}
