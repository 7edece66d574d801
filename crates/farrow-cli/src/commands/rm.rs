//! `farrow rm`

use crate::args::Rm;
use crate::output;

pub(crate) fn run(args: &Rm) -> anyhow::Result<()> {
    let dropped = args.agent.connect()?.drop(&args.name)?;
    let versions = if dropped.versions == 1 { "version" } else { "versions" };
    let mut told = format!(
        "{}: {} {versions} removed, {} free again",
        args.name,
        dropped.versions,
        output::size(dropped.bytes_freed)
    );
    if dropped.bytes_held > 0 {
        told += &format!(", {} still mapped (farrow leases shows by whom)", output::size(dropped.bytes_held));
    }
    output::note(told);
    Ok(())
}
