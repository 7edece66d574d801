//! `farrow ls`

use std::io::IsTerminal;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use farrow_client::{Info, Validation};
use farrow_store::{Prefix, StoreError};
use serde::Serialize;

use crate::args::{Agent, Ls};
use crate::output;

pub(crate) fn run(args: &Ls, agent: &Agent) -> anyhow::Result<()> {
    let frames = agent.connect()?.list(&args.prefix)?;
    if frames.is_empty() && !args.prefix.is_empty() {
        output::note(StoreError::NoFrames { prefix: Prefix::pattern(&args.prefix)? });
    }
    if args.json {
        for frame in frames {
            output::json(&Line::from(&frame))?;
        }
    } else if args.long {
        let rows: Vec<[String; 5]> = frames
            .iter()
            .map(|frame| {
                let name = format!("{}@{}", frame.name, frame.version);
                [
                    name,
                    frame.rows.map_or_else(|| "?".to_owned(), |rows| rows.to_string()),
                    output::size(frame.bytes),
                    if frame.foreign {
                        "famfs file".to_owned()
                    } else {
                        committed(frame.committed_at_micros)
                    },
                    keeps(frame.retention, frame.max_age),
                ]
            })
            .collect();
        output::table(
            ["frame", "rows", "bytes", "committed", "keeps"],
            [false, true, true, false, true],
            &rows,
        )?;
    } else {
        let terminal = std::io::stdout().is_terminal();
        for frame in frames {
            // Whoever reads them by a program gets them as they are.
            let name = if terminal { output::plain(&frame.name) } else { frame.name };
            output::line(name)?;
        }
    }
    Ok(())
}

/// A frame as JSON tells it.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    name: &'a str,
    version: u64,
    /// Not known of a famfs file of another program, where it is listed.
    rows: Option<u64>,
    bytes: u64,
    segments: u32,
    committed_at_micros: i64,
    validation: &'static str,
    foreign: bool,
    /// Versions that the frame keeps; 0: all.
    retention: u64,
    /// The time of each but the latest; 0: for ever.
    max_age_seconds: u64,
}

impl<'a> From<&'a Info> for Line<'a> {
    fn from(info: &'a Info) -> Self {
        Self {
            name: &info.name,
            version: info.version,
            rows: info.rows,
            bytes: info.bytes,
            segments: info.segments,
            committed_at_micros: info.committed_at_micros,
            validation: match info.validation {
                Validation::Values => "values",
                Validation::Structure => "structure",
                Validation::None => "none",
            },
            foreign: info.foreign,
            retention: info.retention,
            max_age_seconds: info.max_age.map_or(0, |age| age.as_secs()),
        }
    }
}

/// The number of versions that are kept, 0 for all, and their time: `3`, `all, 30days`.
pub(crate) fn keeps(last: u64, max_age: Option<Duration>) -> String {
    let count = if last == 0 { "all".to_owned() } else { last.to_string() };
    max_age.map_or_else(|| count.clone(), |age| format!("{count}, {}", output::age(age)))
}

/// The same in words.
pub(crate) fn kept(last: u64, max_age: Option<Duration>) -> String {
    let count = match last {
        0 => "all versions".to_owned(),
        1 => "the last version".to_owned(),
        last => format!("the last {last} versions"),
    };
    match max_age {
        Some(age) => format!("{count}, and none but the latest for longer than {}", output::age(age)),
        None => count,
    }
}

/// The time since then, by this host's clock.
pub(crate) fn committed(micros: i64) -> String {
    let then = UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let age = SystemTime::now().duration_since(then).unwrap_or_default();
    format!("{} ago", output::age(age))
}
