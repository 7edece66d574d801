//! Formats of files.

use std::path::Path;

use clap::ValueEnum;

use crate::exit::Failure;

/// A format that rows come in and go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Arrow IPC: a file where it is written to one, a stream to stdout; both are read
    Ipc,
    /// Arrow IPC stream, also into a file
    Stream,
    /// Apache Parquet
    Parquet,
    /// Comma-separated values
    Csv,
}

/// How an Arrow IPC file begins, and ends.
pub(crate) const IPC_FILE: &[u8; 6] = b"ARROW1";

/// How an Arrow IPC stream begins, since Arrow 0.15.
const IPC_STREAM: &[u8; 4] = &[0xff; 4];

/// How a Parquet file begins, and ends.
const PARQUET: &[u8; 4] = b"PAR1";

impl Format {
    /// As the file's name ends.
    pub(crate) fn by_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "arrow" | "feather" | "ipc" => Some(Self::Ipc),
            "arrows" => Some(Self::Stream),
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" | "tsv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// As its first bytes tell. CSV has no mark of its own.
    pub(crate) fn by_content(first: &[u8]) -> Option<Self> {
        if first.starts_with(IPC_FILE) {
            Some(Self::Ipc)
        } else if first.starts_with(IPC_STREAM) {
            Some(Self::Stream)
        } else if first.starts_with(PARQUET) {
            Some(Self::Parquet)
        } else {
            None
        }
    }

    /// What to write: as asked for, else as the file's name ends; where it says nothing, Arrow IPC.
    pub(crate) fn of_output(asked: Option<Self>, file: Option<&Path>) -> Result<Self, Failure> {
        match (asked, file) {
            (Some(Self::Ipc) | None, None) => Ok(Self::Stream),
            (Some(asked), _) => Ok(asked),
            (None, Some(file)) if file.extension().is_none() => Ok(Self::Ipc),
            (None, Some(file)) => Self::by_name(file).ok_or_else(|| {
                Failure::usage(format!(
                    "{}: what to write does not follow from the name: use --format ipc, stream, parquet or csv, or a \
                     name that ends in .arrow, .arrows, .parquet or .csv",
                    file.display()
                ))
            }),
        }
    }
}

/// What separates columns of the CSV file of that name.
pub(crate) fn delimiter(path: &Path) -> u8 {
    let tabs = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
    if tabs { b'\t' } else { b',' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_comes_before_the_name() {
        let of = |asked, file: Option<&str>| Format::of_output(asked, file.map(Path::new)).ok();
        assert_eq!(of(None, None), Some(Format::Stream));
        assert_eq!(of(Some(Format::Ipc), None), Some(Format::Stream));
        assert_eq!(of(Some(Format::Csv), None), Some(Format::Csv));
        assert_eq!(of(None, Some("a.PARQUET")), Some(Format::Parquet));
        assert_eq!(of(Some(Format::Ipc), Some("a.parquet")), Some(Format::Ipc));
        assert_eq!(of(None, Some("a.arrow")), Some(Format::Ipc));
        assert_eq!(of(None, Some("/dev/null")), Some(Format::Ipc));
        assert_eq!(of(None, Some("a.gz")), None);
        assert_eq!(delimiter(Path::new("a.tsv")), b'\t');
    }
}
