//! `farrow rm`

use farrow_client::blocking::Client;
use farrow_client::{ClientError, Reason};
use farrow_region::shell::word;
use farrow_store::{Prefix, StoreError};

use crate::args::{Agent, Rm};
use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) fn run(args: &Rm, agent: &Agent) -> anyhow::Result<()> {
    let client = agent.connect()?;
    match &args.prefix {
        Some(prefix) if args.dry_run => {
            // Files of other programs stay.
            let frames: Vec<_> = client.list(prefix)?.into_iter().filter(|frame| !frame.foreign).collect();
            if frames.is_empty() {
                return Err(StoreError::NoFrames { prefix: Prefix::pattern(prefix)? }.into());
            }
            Ok(frames.iter().try_for_each(|frame| output::line(&frame.name))?)
        }
        Some(prefix) => {
            let dropped = client.drop_prefix(prefix)?;
            let frames = output::counted(dropped.frames, "frame");
            output::note(format_args!("{frames}: {}", output::dropped(&dropped)));
            Ok(())
        }
        None => {
            each(&args.names, |name| if args.dry_run { show(&client, name) } else { remove(&client, name) })
        }
    }
}

/// Removes one after another. Of several, the failure of one does not keep the others.
fn each(names: &[String], remove: impl Fn(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if let [name] = names {
        return remove(name);
    }
    let mut exits = Vec::new();
    for name in names {
        if let Err(error) = remove(name) {
            if output::is_broken_pipe(&error) {
                return Err(error);
            }
            exits.push(Exit::of(&error));
            output::error(&error);
        }
    }
    let Some(exit) = Exit::of_several(&exits) else { return Ok(()) };
    let (failed, all) = (exits.len(), output::counted(names.len() as u64, "name"));
    Err(Failure::new(exit, format!("{failed} of {all} not removed, for the reasons above")).into())
}

fn remove(client: &Client, name: &str) -> anyhow::Result<()> {
    let dropped = client.drop(name).map_err(|error| with_prefix(error, name))?;
    output::note(format_args!("{name}: {}", output::dropped(&dropped)));
    Ok(())
}

/// Tells the name of what would be removed.
fn show(client: &Client, name: &str) -> anyhow::Result<()> {
    let info = client.stat(name).map_err(|error| with_prefix(error, name))?;
    if info.foreign {
        let message = format!("`{}` is a famfs file that another program made: it stays", info.name);
        return Err(Failure::denied(message).into());
    }
    let named = if name.contains('@') { format!("{}@{}", info.name, info.version) } else { info.name };
    Ok(output::line(named)?)
}

/// The error about a name, with what to do if a prefix was meant.
fn with_prefix(error: ClientError, name: &str) -> anyhow::Error {
    let (exit, what) = match error.reason() {
        Some(Reason::NotFound) if name.ends_with('*') => (Exit::NotFound, "no frame has this name"),
        Some(Reason::InvalidName) if name.ends_with('/') => (Exit::Usage, "no frame's name ends with `/`"),
        _ => return error.into(),
    };
    // sales/ and 'sales/*' are the same.
    let prefix = match name.strip_suffix('*') {
        Some(directory) if directory.ends_with('/') => directory.to_owned(),
        _ => name.to_owned(),
    };
    // m// is no prefix either.
    if Prefix::pattern(&prefix).is_err() {
        return error.into();
    }
    let meant = if prefix.ends_with('/') { "below it" } else { "that begin so" };
    let command = format!("`farrow rm --prefix {}`", word(&prefix));
    Failure::new(exit, format!("`{name}`: {what}. All frames {meant}: {command}")).into()
}
