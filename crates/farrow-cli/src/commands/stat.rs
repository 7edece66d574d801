//! `farrow stat`

use std::time::{Duration, UNIX_EPOCH};

use farrow_client::{Info, Validation};

use crate::args::{Agent, Stat};
use crate::commands::ls;
use crate::output;

pub(crate) fn run(args: &Stat, agent: &Agent) -> anyhow::Result<()> {
    let info = agent.connect()?.stat(&args.name)?;
    if args.json {
        return output::json(&ls::Line::from(&info));
    }
    let row = |what: &str, value: String| [what.to_owned(), value];
    let rows = [
        row("frame", format!("{}@{}", info.name, info.version)),
        row("rows", info.rows.map_or_else(|| "not known".to_owned(), |rows| rows.to_string())),
        row("bytes", format!("{} ({})", info.bytes, output::size(info.bytes))),
        row("segments", info.segments.to_string()),
        row("committed", committed(&info)),
        row("checked", checked(&info).to_owned()),
        row("keeps", ls::keeps(info.retention, info.max_age)),
    ];
    for [what, value] in rows {
        output::line(format_args!("{what:<10} {}", output::plain(&value)))?;
    }
    Ok(())
}

fn committed(info: &Info) -> String {
    if info.foreign {
        return "never: a famfs file that another program made".to_owned();
    }
    let since = Duration::from_micros(u64::try_from(info.committed_at_micros).unwrap_or(0));
    let at = humantime::format_rfc3339_seconds(UNIX_EPOCH + since);
    format!("{at} ({})", ls::committed(info.committed_at_micros))
}

fn checked(info: &Info) -> &'static str {
    match info.validation {
        Validation::Values => "structure and values, at the commit",
        Validation::Structure => "structure at the commit; values by each reader",
        Validation::None => "by each reader",
    }
}
