//! `farrow rm`

use crate::args::Rm;
use crate::exit::Failure;
use crate::output;

pub(crate) fn run(args: &Rm) -> anyhow::Result<()> {
    let client = args.agent.connect()?;
    let (what, dropped) = match (&args.prefix, &args.name) {
        (Some(prefix), _) if args.dry_run => {
            // Files of other programs stay.
            let frames: Vec<_> = client.list(prefix)?.into_iter().filter(|frame| !frame.foreign).collect();
            if frames.is_empty() {
                let message = format!("no frame whose name begins with {prefix:?}. Try: farrow ls");
                return Err(Failure::not_found(message).into());
            }
            return Ok(frames.iter().try_for_each(|frame| output::line(&frame.name))?);
        }
        (None, Some(name)) if args.dry_run => {
            let info = client.stat(name)?;
            if info.foreign {
                let message = format!("`{}` is a famfs file that another program made: it stays", info.name);
                return Err(Failure::denied(message).into());
            }
            let named =
                if name.contains('@') { format!("{}@{}", info.name, info.version) } else { info.name };
            return Ok(output::line(named)?);
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
