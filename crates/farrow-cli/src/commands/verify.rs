//! `farrow verify`

use crate::args::{Agent, Verify};
use crate::output;
use crate::progress::Progress;

pub(crate) fn run(args: &Verify, agent: &Agent) -> anyhow::Result<()> {
    let client = agent.connect()?;
    let bar = Progress::new()?;
    let verified = client.verify(&args.name, |progress| {
        bar.expect(progress.bytes);
        bar.at(progress.bytes_done);
    });
    bar.clear();
    let verified = verified?;
    let batches = match verified.batches {
        1 => "1 batch".to_owned(),
        batches => format!("{batches} batches"),
    };
    let mut told = format!(
        "{}@{}: {batches}, {}, as committed",
        verified.name,
        verified.version,
        output::size(verified.bytes)
    );
    if verified.without_checksums > 0 {
        told += &format!(
            "; {} without checksums, of which only the metadata was compared (the agent ran with \
             --validate structure)",
            output::counted(verified.without_checksums.into(), "segment")
        );
    }
    output::note(told);
    Ok(())
}
