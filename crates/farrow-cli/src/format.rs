//! Formats of files.

use std::path::Path;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

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
    /// Tab-separated values
    Tsv,
    /// JSON, one object a line; NaN and infinities are null in it
    Json,
}

/// Takes one of these formats from the command line.
pub(crate) fn one_of(formats: impl IntoIterator<Item = Format>) -> impl TypedValueParser<Value = Format> {
    let values = formats.into_iter().filter_map(|format| format.to_possible_value());
    PossibleValuesParser::new(values).try_map(|name| Format::from_str(&name, false))
}

/// The first and last bytes of an Arrow IPC file.
pub(crate) const IPC_FILE: &[u8; 6] = b"ARROW1";

/// The first bytes of an Arrow IPC stream, since Arrow 0.15.
const IPC_STREAM: &[u8; 4] = &[0xff; 4];

/// The first bytes of a Feather file that is older than Arrow IPC files.
pub(crate) const FEATHER_V1: &[u8; 4] = b"FEA1";

/// The first and last bytes of a Parquet file.
const PARQUET: &[u8; 4] = b"PAR1";

/// The first bytes of files of programs that compress one file; the program that writes what is in it to stdout.
const COMPRESSED: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "gzip", "zcat"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "zstdcat"),
    (b"BZh", "bzip2", "bzcat"),
    (b"\xfd7zXZ\0", "xz", "xzcat"),
];

/// The compression of a file that begins so, and the program that undoes it.
pub(crate) fn compressed(first: &[u8]) -> Option<(&'static str, &'static str)> {
    let found = COMPRESSED.iter().find(|(magic, ..)| first.starts_with(magic));
    found.map(|(_, name, program)| (*name, *program))
}

impl Format {
    /// All that are read.
    pub(crate) const READ: [Self; 5] = [Self::Ipc, Self::Stream, Self::Parquet, Self::Csv, Self::Tsv];

    /// Those that are written as lines of text.
    pub(crate) const TEXT: [Self; 3] = [Self::Csv, Self::Tsv, Self::Json];

    /// As the command line names it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The separator of columns; of no meaning to formats that have none.
    pub(crate) fn delimiter(self) -> u8 {
        if self == Self::Tsv { b'\t' } else { b',' }
    }

    /// As asked for, for a file of this name: CSV in a file that ends in .tsv has tabs.
    pub(crate) fn in_file(self, file: &Path) -> Self {
        match (self, Self::by_name(file)) {
            (Self::Csv, Some(Self::Tsv)) => Self::Tsv,
            _ => self,
        }
    }

    /// As the file's name ends.
    pub(crate) fn by_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "arrow" | "feather" | "ipc" => Some(Self::Ipc),
            "arrows" => Some(Self::Stream),
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "jsonl" | "ndjson" => Some(Self::Json),
            _ => None,
        }
    }

    /// As its first bytes tell. CSV has no mark of its own.
    pub(crate) fn by_content(first: &[u8]) -> Option<Self> {
        if first.starts_with(IPC_FILE) || first.starts_with(FEATHER_V1) {
            Some(Self::Ipc)
        } else if first.starts_with(IPC_STREAM) {
            Some(Self::Stream)
        } else if first.starts_with(PARQUET) {
            Some(Self::Parquet)
        } else {
            None
        }
    }

    /// The format to write: as asked for, else as the file's name ends; where it says nothing, Arrow IPC.
    pub(crate) fn of_output(asked: Option<Self>, file: Option<&Path>) -> Result<Self, Failure> {
        match (asked, file) {
            (Some(Self::Ipc) | None, None) => Ok(Self::Stream),
            (Some(asked), Some(file)) => Ok(asked.in_file(file)),
            (Some(asked), None) => Ok(asked),
            (None, Some(file)) if file.extension().is_none() => Ok(Self::Ipc),
            (None, Some(file)) => Self::by_name(file).ok_or_else(|| {
                Failure::usage(format!(
                    "{}: what to write does not follow from the name: use --format ipc, stream, parquet, csv, tsv or \
                     json, or a name that ends in .arrow, .arrows, .parquet, .csv, .tsv or .jsonl",
                    file.display()
                ))
            }),
        }
    }
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
        assert_eq!(of(Some(Format::Csv), Some("a.tsv")).map(Format::delimiter), Some(b'\t'));
        assert_eq!(of(None, Some("a.jsonl")), Some(Format::Json));
        assert_eq!(of(None, Some("a.json")), None);
    }
}
