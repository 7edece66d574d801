//! `farrow ls`

use std::io::IsTerminal;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use farrow_client::{Info, Validation};
use serde::Serialize;

use crate::args::Ls;
use crate::output;

pub(crate) fn run(args: &Ls) -> anyhow::Result<()> {
    let frames = args.agent.connect()?.list(&args.prefix)?;
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
                    keeps(frame),
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
        }
    }
}

/// How many versions a frame keeps.
pub(crate) fn keeps(info: &Info) -> String {
    if info.retention == 0 { "all".to_owned() } else { info.retention.to_string() }
}

/// How long ago, by this host's clock.
pub(crate) fn committed(micros: i64) -> String {
    let then = UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let age = SystemTime::now().duration_since(then).unwrap_or_default();
    format!("{} ago", output::age(age))
}
