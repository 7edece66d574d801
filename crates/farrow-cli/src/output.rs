//! Output for people and for programs.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytesize::ByteSize;
use comfy_table::{CellAlignment, Table, presets};
use farrow_client::Dropped;
use serde::Serialize;
use tracing_subscriber::EnvFilter;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::args::Remarks;

/// True once the reader of our output went away; writers of rows do not always pass the cause on.
static BROKEN_PIPE: AtomicBool = AtomicBool::new(false);

/// True if nothing but data and errors is wanted.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Bytes of an error that are shown.
const ERROR: usize = 3 << 10;

/// Says as much as is wanted from here on.
pub(crate) fn say(remarks: &Remarks) {
    QUIET.store(remarks.quiet, Ordering::Relaxed);
    let filter = match (remarks.quiet, remarks.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,farrow=debug",
        (false, _) => "debug",
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).without_time();
    let subscriber = subscriber.with_ansi(takes_colours(&io::stderr())).with_writer(io::stderr);
    // It fails where there is one already, and there is none.
    let _ = subscriber.try_init();
}

/// True if nothing but data and errors is wanted.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

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

/// True if stderr or stdout takes colours: it is a terminal, and nobody has said no (<https://no-color.org>).
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

/// A value's text, cut where it takes more than so many columns of a terminal.
pub(crate) fn short(value: impl fmt::Display, columns: usize) -> String {
    let mut short = Short { text: String::new(), left: columns };
    // A value that cannot be shown says why.
    if write!(short, "{value}").is_err() {
        // The sign for what is left out takes one column.
        while short.left == 0
            && let Some(last) = short.text.pop()
        {
            short.left = columns_of(last);
        }
        short.text.push('…');
    }
    plain(&short.text)
}

/// Takes so many columns and no more: a value may have gigabytes.
struct Short {
    text: String,
    left: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.left = self.left.checked_sub(columns_of(character)).ok_or(fmt::Error)?;
            // Marks above or below others take no column, and any number of them may come.
            if self.text.len() >= LONGEST {
                return Err(fmt::Error);
            }
            self.text.push(character);
        }
        Ok(())
    }
}

/// Bytes of a value that are looked at.
const LONGEST: usize = 4 << 10;

/// Control characters are counted as one: what is shown for them is longer.
fn columns_of(character: char) -> usize {
    character.width().unwrap_or(1)
}

/// Writes one line of data to stdout.
pub(crate) fn line(text: impl fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes a value as one line of JSON to stdout.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string(value)?)?)
}

/// Writes a remark to stderr, unless nobody wants any.
pub(crate) fn note(text: impl fmt::Display) {
    if !is_quiet() {
        tell(text);
    }
}

/// Writes to stderr that something may be wrong which is no error.
pub(crate) fn warning(text: impl fmt::Display) {
    tell(format_args!("farrow: warning: {text}"));
}

fn tell(text: impl fmt::Display) {
    // Nobody is left to be told if stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes an error and its causes to stderr.
pub(crate) fn error(error: &anyhow::Error) {
    let name = painted("farrow:", Colour::Red, &io::stderr());
    tell(format_args!("{name} {}", bounded(&farrow_client::chain(error.as_ref()))));
}

/// An error on one line, without its middle where it has more than [`ERROR`] bytes: it may repeat what was read.
fn bounded(text: &str) -> String {
    let line = plain(text.trim_end());
    if line.len() <= ERROR {
        return line;
    }
    let boundary =
        |from: usize| (from..=line.len()).find(|at| line.is_char_boundary(*at)).unwrap_or(line.len());
    let (head, tail) = (boundary(ERROR * 3 / 4), boundary(line.len() - ERROR / 4));
    format!("{} […{} bytes…] {}", &line[..head], tail - head, &line[tail..])
}

/// `1.5 GiB`
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// `1 version`, `2 versions`
pub(crate) fn counted(count: u64, what: &str) -> String {
    farrow_region::counted(count, what).to_string()
}

/// `2 versions removed, 1.5 GiB free again`
pub(crate) fn dropped(dropped: &Dropped) -> String {
    let versions = counted(dropped.versions, "version");
    let mut told = format!("{versions} removed, {} free again", size(dropped.bytes_freed));
    if dropped.bytes_held > 0 {
        told += &format!(", {} still mapped (`farrow leases` shows by whom)", size(dropped.bytes_held));
    }
    told
}

/// `1h 40m`: of its units, the two largest or so.
pub(crate) fn age(age: Duration) -> String {
    const DAY: u64 = 86_400;
    let seconds = age.as_secs();
    let unit = match seconds {
        0..3600 => 1,
        3600..DAY => 60,
        _ if seconds < 30 * DAY => 3600,
        // Months are of no fixed length.
        _ => return format!("{}days", seconds / DAY),
    };
    humantime::format_duration(Duration::from_secs(seconds - seconds % unit)).to_string()
}

/// Writes rows below a heading, each column as wide as it has to be; `right` columns hold numbers.
pub(crate) fn table<const N: usize>(
    heading: [&str; N],
    right: [bool; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    grid(&heading, &right, rows)
}

/// Blanks between two columns of a table.
const PADDING: u16 = 2;

/// As [`table`], with as many columns as there are.
pub(crate) fn grid<R: AsRef<[String]>>(
    heading: &[impl AsRef<str>],
    right: &[bool],
    rows: &[R],
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(heading.iter().map(|cell| plain(cell.as_ref())));
    table.add_rows(rows.iter().map(|row| row.as_ref().iter().map(|cell| plain(cell))));
    for (column, right) in table.column_iter_mut().zip(right) {
        column.set_padding((0, PADDING));
        column.set_cell_alignment(if *right { CellAlignment::Right } else { CellAlignment::Left });
    }
    let mut out = io::stdout().lock();
    for row in table.lines() {
        writeln!(out, "{}", row.trim_end())?;
    }
    out.flush()
}

/// Columns of the terminal that stdout is, if it is one.
pub(crate) fn terminal_columns() -> Option<usize> {
    let columns = rustix::termios::tcgetwinsize(io::stdout()).ok()?.ws_col;
    // A terminal that does not know its size says 0.
    (columns > 0).then_some(usize::from(columns))
}

/// The number of a [`grid`]'s first columns that fit so many columns of a terminal: one at least.
pub(crate) fn fitting<R: AsRef<[String]>>(heading: &[String], rows: &[R], columns: usize) -> usize {
    let widths = heading.iter().enumerate().map(|(at, heading)| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(at));
        cells.chain([heading]).map(|cell| cell.width()).max().unwrap_or(0)
    });
    let mut taken = 0;
    // Nothing stands behind the last one.
    let fit = widths.take_while(|width| {
        let fits = taken + width <= columns;
        taken += width + usize::from(PADDING);
        fits
    });
    fit.count().max(1)
}

/// True if the reader of our output went away.
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

    #[test]
    fn values_are_cut_by_the_columns_that_they_take() {
        assert_eq!(short("売上高", 6), "売上高");
        assert_eq!(short("売上高", 5), "売上…");
        assert_eq!(short("売上高", 4), "売…");
        assert_eq!(short("e\u{301}e\u{301}", 2), "e\u{301}e\u{301}");
        assert_eq!(short("\u{301}".repeat(1 << 20), 2).len(), LONGEST + "…".len());
    }

    #[test]
    fn columns_are_shown_up_to_the_edge() {
        let heading = ["a", "売上高", "c"].map(str::to_owned);
        let rows = [["12", "3", "4"].map(str::to_owned)];
        // 2 + 2 + 6 + 2 + 1
        assert_eq!(
            [0, 1, 9, 10, 12, 13].map(|columns| fitting(&heading, &rows, columns)),
            [1, 1, 1, 2, 2, 3]
        );
    }

    #[test]
    fn ages_have_two_units_at_most() {
        let told = |seconds| age(Duration::from_secs(seconds));
        assert_eq!([told(0), told(59), told(90), told(3599)], ["0s", "59s", "1m 30s", "59m 59s"]);
        assert_eq!([told(6001), told(90_061), told(86_400 * 29)], ["1h 40m", "1day 1h", "29days"]);
        assert_eq!(told(86_400 * 400 + 7), "400days");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([counted(0, "row"), counted(1, "row"), counted(2, "row")], ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn errors_are_one_short_line_with_both_ends() {
        assert_eq!(bounded("as it is\n"), "as it is");
        let long =
            bounded(&format!("file: {}\n{}: line 3", "ä".repeat(1 << 20), "\u{1f600}".repeat(1 << 20)));
        assert!(long.len() < 4096 && long.lines().count() == 1, "{} bytes", long.len());
        assert!(long.starts_with("file: ä") && long.ends_with(": line 3"), "{long}");
    }
}
