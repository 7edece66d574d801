//! Verbs that move rows.

use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;

use clap::Args as Group;
use farrow_client::{Mode, PutOptions};

use crate::complete::frames;
use crate::format::{Format, one_of};

#[derive(Debug, Group)]
pub(crate) struct Put {
    /// The frame's name: a path such as sales/orders. Below one that ends with / each file is a frame of the file's own
    /// name without its last ending: sales/ and orders.csv make sales/orders, / and orders.csv make orders
    #[arg(add = frames())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) version: NewVersion,
}

#[derive(Debug, Group)]
pub(crate) struct Append {
    /// The frame's name. One that is not there yet begins with these rows
    #[arg(add = frames())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Match columns by name, in any order, and cast them to those of the frame where nothing is lost: strings and bytes
    /// of any kind, fewer bits or digits, coarser times, dictionaries and their values, nulls alone
    #[arg(long)]
    pub(crate) by_name: bool,
    #[command(flatten)]
    pub(crate) version: NewVersion,
}

/// The options of the version that is published, beside its rows.
#[derive(Debug, Group)]
pub(crate) struct NewVersion {
    /// Keep so many of the frame's latest versions from this one on, and remove older ones, as farrow retain does
    #[arg(long, value_name = "N", value_parser = kept, allow_negative_numbers = true)]
    keep: Option<NonZeroU64>,
    /// Publish only if this is the latest version's number; 0: only if there is no such frame. Else exit 9
    #[arg(long, value_name = "VERSION", value_parser = latest, allow_negative_numbers = true)]
    pub(crate) if_version: Option<u64>,
}

fn kept(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| {
        "expected how many versions to keep, a whole number from 1; `farrow retain NAME --all` keeps all"
            .to_owned()
    })
}

fn latest(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix('@').unwrap_or(text).parse();
    number.map_err(|_| "expected a version's number, such as 7, or 0 for no such frame".to_owned())
}

impl NewVersion {
    /// As the client takes it.
    pub(crate) fn options(&self, mode: Mode) -> PutOptions {
        let options = PutOptions::from(mode);
        let options = self.keep.map_or(options, |keep| options.keep(keep.get()));
        self.if_version.map_or(options, |number| options.if_version(number))
    }
}

#[derive(Debug, Group)]
pub(crate) struct Source {
    /// The files; - is stdin
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The format of each file [default: as its name ends (.parquet, .csv, .tsv, .arrow, .feather, .arrows), else as it begins]
    #[arg(long, value_parser = one_of(Format::READ))]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) csv: Csv,
}

/// The options of CSV.
#[derive(Debug, Group)]
pub(crate) struct Csv {
    /// CSV: what separates columns; \t is a tab [default: a comma, a tab in .tsv]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// CSV: the first line holds values, and not the columns' names
    #[arg(long)]
    pub(crate) no_header: bool,
    /// CSV: every column is text. Else types are taken from what the first 1 MiB holds
    #[arg(long)]
    pub(crate) text: bool,
}

impl Csv {
    /// Returns the first of the options that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [
            (self.delimiter.is_some(), "--delimiter"),
            (self.no_header, "--no-header"),
            (self.text, "--text"),
        ];
        options.into_iter().find_map(|(given, option)| given.then_some(option))
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | b'"') => Ok(*byte),
        _ => Err("expected one ASCII character, such as ; or \\t".to_owned()),
    }
}

#[derive(Debug, Group)]
pub(crate) struct Get {
    /// The frame's name, or name@version
    #[arg(add = frames())]
    pub(crate) name: String,
    /// Write into this file; - is stdout [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The format of the output [default: as the file's name ends (.parquet, .csv, .tsv, .jsonl, .arrow, .feather, .arrows), ipc if
    /// it has no ending]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) columns: Columns,
    /// Only these rows, counted from 0: FIRST..END, without END up to the last
    #[arg(long, value_name = "FIRST..END", value_parser = range)]
    pub(crate) rows: Option<Range<u64>>,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str, none| if text.is_empty() { Some(none) } else { text.parse().ok() };
    let ends = text.split_once("..").and_then(|(first, end)| Some(number(first, 0)?..number(end, u64::MAX)?));
    let ends = ends.filter(|ends| ends.start <= ends.end);
    ends.ok_or_else(|| {
        "expected the first row and the one behind the last, such as 0..100 or 100..".to_owned()
    })
}

#[derive(Debug, Group)]
pub(crate) struct Head {
    /// The frame's name, or name@version
    #[arg(add = frames())]
    pub(crate) name: String,
    /// The number of rows
    #[arg(short = 'n', long, value_name = "N", default_value = "10", value_parser = rows, allow_negative_numbers = true)]
    pub(crate) rows: usize,
    #[command(flatten)]
    pub(crate) columns: Columns,
    /// As rows in full; the table shortens long values, and on a terminal has as many columns as fit
    #[arg(long, value_parser = one_of(Format::TEXT))]
    format: Option<Format>,
    /// The same as --format csv
    #[arg(long, conflicts_with_all = ["json", "format"])]
    csv: bool,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Head {
    /// As what the rows are written; `None` is a table.
    pub(crate) fn format(&self) -> Option<Format> {
        let flags = [(self.csv, Format::Csv), (self.json, Format::Json)];
        self.format.or_else(|| flags.into_iter().find_map(|(given, format)| given.then_some(format)))
    }
}

fn rows(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected how many rows, a whole number".to_owned())
}

/// The columns that are wanted.
#[derive(Debug, Group)]
pub(crate) struct Columns {
    /// Only these columns, in this order; may be given several times. A name that has a comma or begins with a quote is
    /// quoted as in CSV: '"amount, net",id'
    #[arg(long = "columns", value_name = "NAME", value_parser = names)]
    given: Vec<Names>,
}

impl Columns {
    /// Their names; none: all columns.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.given.iter().flat_map(|names| &names.0).map(String::as_str).collect()
    }
}

/// The columns that one option names.
#[derive(Clone, Debug)]
struct Names(Vec<String>);

fn names(text: &str) -> Result<Names, String> {
    let expected =
        || "expected names of columns with commas between them, such as id,\"amount, net\"".to_owned();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let names = reader.records().next().and_then(Result::ok).ok_or_else(expected)?;
    // Text behind the end of the first line is no name.
    if reader.position().byte() < text.len() as u64 {
        return Err(expected());
    }
    Ok(Names(names.iter().map(str::to_owned).collect()))
}

#[derive(Debug, Group)]
pub(crate) struct Schema {
    /// The frame's name, or name@version
    #[arg(add = frames())]
    pub(crate) name: String,
    /// As JSON, one object a line: one for each column
    #[arg(long)]
    pub(crate) json: bool,
}
