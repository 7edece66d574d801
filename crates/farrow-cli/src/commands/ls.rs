//! `farrow ls`

use serde::Serialize;

use crate::args::Ls;
use crate::output;

pub(crate) fn run(args: &Ls) -> anyhow::Result<()> {
    let frames = args.agent.connect()?.list(&args.prefix)?;
    if args.json {
        for frame in frames {
            output::json(&Line {
                name: &frame.name,
                version: frame.version,
                rows: frame.rows,
                bytes: frame.bytes,
                segments: frame.segments,
                committed_at_micros: frame.committed_at_micros,
                foreign: frame.foreign,
                retention: frame.retention,
            })?;
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
                    if frame.retention == 0 { "all".to_owned() } else { frame.retention.to_string() },
                ]
            })
            .collect();
        output::table(
            ["frame", "rows", "bytes", "committed", "keeps"],
            [false, true, true, false, true],
            &rows,
        )?;
    } else {
        for frame in frames {
            output::line(&frame.name)?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    version: u64,
    /// Not known of a famfs file of another program.
    rows: Option<u64>,
    bytes: u64,
    segments: u32,
    committed_at_micros: i64,
    foreign: bool,
    /// Versions that the frame keeps; 0: all.
    retention: u64,
}

/// How long ago, by this host's clock.
fn committed(micros: i64) -> String {
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let age = std::time::SystemTime::now().duration_since(then).unwrap_or_default();
    format!("{} ago", output::age(age))
}
