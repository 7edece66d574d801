//! `farrow leases`

use serde::Serialize;

use crate::args::{Agent, Leases};
use crate::output;

pub(crate) fn run(args: &Leases, agent: &Agent) -> anyhow::Result<()> {
    let leases = agent.connect()?.leases()?;
    if args.json {
        for lease in &leases {
            output::json(&Line {
                lease: lease.lease,
                pid: lease.pid,
                uid: lease.uid,
                name: &lease.name,
                version: lease.version,
                bytes: lease.bytes,
                age_seconds: lease.age.as_secs_f64(),
                inherited: lease.inherited,
            })?;
        }
        return Ok(());
    }
    let rows: Vec<[String; 5]> = leases
        .iter()
        .map(|lease| {
            let frame = format!("{}@{}", lease.name, lease.version);
            [
                // The agent does not know which processes have it now.
                if lease.inherited { format!("children of {}", lease.pid) } else { lease.pid.to_string() },
                lease.uid.to_string(),
                frame,
                output::size(lease.bytes),
                output::age(lease.age),
            ]
        })
        .collect();
    Ok(output::table(["pid", "uid", "frame", "bytes", "age"], [true, true, false, true, true], &rows)?)
}

#[derive(Serialize)]
struct Line<'a> {
    lease: u64,
    pid: u32,
    uid: u32,
    name: &'a str,
    version: u64,
    bytes: u64,
    age_seconds: f64,
    inherited: bool,
}
