//! `farrow expire`

use std::time::SystemTime;

use farrow_client::blocking::Client;
use farrow_client::{ClientError, VersionInfo};

use crate::args::{Agent, Expire};
use crate::output;

pub(crate) fn run(args: &Expire, agent: &Agent) -> anyhow::Result<()> {
    let client = agent.connect()?;
    if args.dry_run {
        return list(args, &client);
    }
    let dropped = client.expire(&args.prefix, args.older_than.0, args.latest)?;
    output::note(output::dropped(&dropped));
    Ok(())
}

/// Tells what would be removed.
fn list(args: &Expire, client: &Client) -> anyhow::Result<()> {
    let until = SystemTime::now().checked_sub(args.older_than.0);
    let until = until.and_then(|until| until.duration_since(SystemTime::UNIX_EPOCH).ok());
    // Before the epoch nothing was committed.
    let until = until.map_or(0, |until| i64::try_from(until.as_micros()).unwrap_or(i64::MAX));
    let mut found = 0;
    // Files of other programs stay.
    for frame in client.list(&args.prefix)?.into_iter().filter(|frame| !frame.foreign) {
        let versions = match client.versions(&frame.name) {
            // Removed meanwhile.
            Err(ClientError::Refused { reason: Some(farrow_client::Reason::NotFound), .. }) => continue,
            versions => versions?,
        };
        for version in expired(&versions, until, args.latest) {
            output::line(format_args!("{}@{}", version.info.name, version.info.version))?;
            found += 1;
        }
    }
    if found == 0 {
        output::note("no version is so old");
    }
    Ok(())
}

/// Those of a frame's versions, oldest first, that were committed `until` then, in microseconds since the Unix epoch.
fn expired(versions: &[VersionInfo], until: i64, latest: bool) -> impl Iterator<Item = &VersionInfo> {
    let versions =
        if latest { versions } else { versions.split_last().map_or(versions, |(_, others)| others) };
    versions.iter().filter(move |version| version.info.committed_at_micros <= until)
}
