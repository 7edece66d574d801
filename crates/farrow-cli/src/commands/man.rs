//! `farrow man`

use anyhow::Context;
use clap::CommandFactory;

use crate::args::{Args, Man};

pub(crate) fn run(args: &Man) -> anyhow::Result<()> {
    let place = || args.directory.display().to_string();
    clap_mangen::generate_to(Args::command(), &args.directory).with_context(place)
}
