//! `farrow top`

mod screen;
mod snapshot;

use std::io::IsTerminal;

use crate::args::{Agent, Top};
use crate::output;

use self::snapshot::Snapshot;

pub(crate) fn run(args: &Top, agent: &Agent) -> anyhow::Result<()> {
    let client = agent.connect()?;
    if args.json {
        loop {
            output::json(&Snapshot::take(&client)?)?;
            if args.once {
                return Ok(());
            }
            std::thread::sleep(args.interval.0);
        }
    }
    if args.once || !std::io::stdout().is_terminal() {
        if !args.once {
            output::note("stdout is no terminal: shown once; --json goes on");
        }
        return Snapshot::take(&client)?.tell();
    }
    screen::run(&client, args.interval.0)
}
