//! `farrow completions`

use std::io::Write;

use clap::CommandFactory;
use clap_complete::generate;

use crate::args::{Args, Completions};

pub(crate) fn run(args: &Completions) -> anyhow::Result<()> {
    // Into memory first: clap panics where it cannot write.
    let mut script = Vec::new();
    generate(args.shell, &mut Args::command(), "farrow", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}
