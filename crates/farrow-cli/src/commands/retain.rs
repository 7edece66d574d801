//! `farrow retain`

use std::num::NonZeroU64;

use crate::args::Retain;
use crate::output;

pub(crate) fn run(args: &Retain) -> anyhow::Result<()> {
    let last = args.last.map_or(0, NonZeroU64::get);
    let dropped = args.agent.connect()?.retain(&args.name, last)?;
    let keeps = match last {
        0 => "all versions".to_owned(),
        1 => "the last version".to_owned(),
        last => format!("the last {last} versions"),
    };
    output::note(format_args!("{} keeps {keeps}: {}", args.name, output::dropped(&dropped)));
    Ok(())
}
