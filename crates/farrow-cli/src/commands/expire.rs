//! `farrow expire`

use crate::args::Expire;
use crate::output;

pub(crate) fn run(args: &Expire) -> anyhow::Result<()> {
    let client = args.agent.connect()?;
    let dropped = client.expire(&args.prefix, args.older_than.0, args.latest)?;
    output::note(output::dropped(&dropped));
    Ok(())
}
