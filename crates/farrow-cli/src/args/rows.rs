//! Verbs that move rows.

use std::path::PathBuf;

use clap::Args as Group;

use super::Agent;
use crate::format::Format;

#[derive(Debug, Group)]
pub(crate) struct Put {
    /// The frame's name: a path such as sales/orders
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Append {
    /// The frame's name. One that is not there yet begins with these rows
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Source {
    /// The file; - is stdin
    pub(crate) file: PathBuf,
    /// What the file is [default: as its name ends (.parquet, .csv, .tsv, .arrow, .feather, .arrows), else as it begins]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) csv: Csv,
}

/// How a CSV file is to be understood.
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
    pub(crate) name: String,
    /// Write into this file; - is stdout [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What to write [default: as the file's name ends (.parquet, .csv, .tsv, .arrow, .feather, .arrows), ipc if it has
    /// no ending]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Head {
    /// The frame's name, or name@version
    pub(crate) name: String,
    /// How many rows
    #[arg(short = 'n', long, value_name = "N", default_value = "10")]
    pub(crate) rows: usize,
    /// Only these columns, in this order
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// As CSV, in full; the table shortens long values
    #[arg(long)]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Schema {
    /// The frame's name, or name@version
    pub(crate) name: String,
    /// As JSON, one object a line: one for each column
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}
