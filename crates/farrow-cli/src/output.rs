//! What people and programs read.

use std::io::{self, Write};

use bytesize::ByteSize;
use farrow_client::Dropped;
use serde::Serialize;

/// Writes one line of data to stdout.
pub(crate) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes a value as one line of JSON to stdout.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string(value)?)?)
}

/// Writes a remark to stderr.
pub(crate) fn note(text: impl std::fmt::Display) {
    // Nobody is left to be told if stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes an error and its causes to stderr.
pub(crate) fn error(error: &anyhow::Error) {
    note(format_args!("farrow: {}", farrow_client::chain(error.as_ref())));
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
    let mut widths = heading.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = io::stdout().lock();
    for row in std::iter::once(&heading.map(str::to_owned)).chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .zip(right)
            .map(
                |((cell, width), right)| {
                    if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                },
            )
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// Whether the reader of our output went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
