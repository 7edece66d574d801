//! `farrow rm`

use crate::args::Rm;
use crate::output;

pub(crate) fn run(args: &Rm) -> anyhow::Result<()> {
    let client = args.agent.connect()?;
    let (what, dropped) = match (&args.prefix, &args.name) {
        (Some(prefix), _) if args.dry_run => {
            for frame in client.list(prefix)? {
                output::line(&frame.name)?;
            }
            return Ok(());
        }
        (Some(prefix), _) => {
            let dropped = client.drop_prefix(prefix)?;
            (format!("{} frames", dropped.frames), dropped)
        }
        // clap asks for one of the two.
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            (name.to_owned(), client.drop(name)?)
        }
    };
    output::note(format_args!("{what}: {}", output::dropped(&dropped)));
    Ok(())
}
