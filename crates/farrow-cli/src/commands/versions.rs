//! `farrow versions`

use farrow_client::Info;
use serde::Serialize;

use crate::args::{Agent, Versions};
use crate::commands::ls;
use crate::output;

pub(crate) fn run(args: &Versions, agent: &Agent) -> anyhow::Result<()> {
    let versions = agent.connect()?.versions(&args.name)?;
    if args.json {
        for version in &versions {
            let of = ls::Line::from(&version.info);
            output::json(&Line {
                of,
                own_bytes: version.own_bytes,
                uid: version.uid,
                leases: version.leases,
            })?;
        }
        return Ok(());
    }
    let row = |version: &farrow_client::VersionInfo| {
        let info = &version.info;
        [
            format!("@{}", info.version),
            info.rows.map_or_else(|| "?".to_owned(), |rows| rows.to_string()),
            output::size(info.bytes),
            output::size(version.own_bytes),
            if info.foreign { "famfs file".to_owned() } else { ls::committed(info.committed_at_micros) },
            version.uid.to_string(),
            version.leases.to_string(),
        ]
    };
    let rows: Vec<[String; 7]> = versions.iter().map(row).collect();
    output::table(
        ["version", "rows", "bytes", "own_bytes", "committed", "uid", "leases"],
        [true, true, true, true, false, true, true],
        &rows,
    )?;
    if let Some(latest) = versions.last() {
        let Info { name, retention, max_age, .. } = &latest.info;
        output::note(format_args!("{name} keeps {}", ls::kept(*retention, *max_age)));
    }
    Ok(())
}

/// A version as JSON tells it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    of: ls::Line<'a>,
    own_bytes: u64,
    uid: u32,
    leases: u64,
}
