//! `farrow verify`

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Verify;
use crate::output;

pub(crate) fn run(args: &Verify) -> anyhow::Result<()> {
    let client = args.agent.connect()?;
    // Shown on a terminal only.
    let style = "{wide_bar} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(style)?);
    let verified = client.verify(&args.name, |progress| {
        bar.set_length(progress.bytes);
        bar.set_position(progress.bytes_done);
    });
    bar.finish_and_clear();
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
