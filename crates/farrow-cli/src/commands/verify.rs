//! `farrow verify`

use crate::args::Verify;
use crate::output;
use crate::progress::Progress;

pub(crate) fn run(args: &Verify) -> anyhow::Result<()> {
    let client = args.agent.connect()?;
    let bar = Progress::new()?;
    let verified = client.verify(&args.name, |progress| {
        bar.expect(progress.bytes);
        bar.at(progress.bytes_done);
    });
    bar.clear();
    let verified = verified?;
    let batches = if verified.batches == 1 { "batch" } else { "batches" };
    let mut told = format!(
        "{}@{}: {} {batches}, {}, as committed",
        verified.name,
        verified.version,
        verified.batches,
        output::size(verified.bytes)
    );
    if verified.without_checksums > 0 {
        let segments = if verified.without_checksums == 1 { "segment" } else { "segments" };
        told += &format!(
            "; {} {segments} without checksums, of which only the metadata was compared (the agent ran with \
             --validate structure)",
            verified.without_checksums
        );
    }
    output::note(told);
    Ok(())
}
