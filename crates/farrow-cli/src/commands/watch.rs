//! `farrow watch`

use farrow_client::{Event, Info};
use serde::Serialize;

use crate::args::{Agent, Watch};
use crate::output;

pub(crate) fn run(args: &Watch, agent: &Agent) -> anyhow::Result<()> {
    let watch = agent.connect()?.watch(&args.prefix)?;
    output::note(format_args!("watching {:?}", args.prefix));
    for event in watch {
        let event = event?;
        if args.json {
            output::json(&Line::from(&event))?;
        } else {
            output::line(text(&event))?;
        }
    }
    Ok(())
}

pub(crate) fn text(event: &Event) -> String {
    match event {
        Event::Committed(Info { name, version, rows, bytes, .. }) => {
            let rows = rows.map_or_else(|| "? rows".to_owned(), |rows| output::counted(rows, "row"));
            format!("committed  {name}@{version}  {rows}  {}", output::size(*bytes))
        }
        Event::Dropped { name, latest: None } => format!("dropped    {name}"),
        Event::Dropped { name, latest: Some(latest) } => format!("dropped    {name}  the latest is {latest}"),
        _ => "missed     frames may have been dropped that were not told (`farrow ls` shows what there is)"
            .to_owned(),
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'a> {
    Committed {
        name: &'a str,
        version: u64,
        rows: Option<u64>,
        bytes: u64,
        segments: u32,
        committed_at_micros: i64,
    },
    Dropped {
        name: &'a str,
        /// The version that is the latest now.
        latest: Option<u64>,
    },
    DropsMissed,
}

impl<'a> From<&'a Event> for Line<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::Committed(Info { name, version, rows, bytes, segments, committed_at_micros, .. }) => {
                Self::Committed {
                    name,
                    version: *version,
                    rows: *rows,
                    bytes: *bytes,
                    segments: *segments,
                    committed_at_micros: *committed_at_micros,
                }
            }
            Event::Dropped { name, latest } => Self::Dropped { name, latest: *latest },
            _ => Self::DropsMissed,
        }
    }
}
