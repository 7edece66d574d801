//! The command line, described for man and for shells.

use clap::CommandFactory;

use crate::args::Args;

/// Returns what `args` ask to be printed instead of serving: farrow-agent(8), or what makes a shell complete the
/// options.
pub fn reference(args: &Args) -> Option<String> {
    let mut text = Vec::new();
    if let Some(shell) = args.completions {
        clap_complete::generate(shell, &mut Args::command(), "farrow-agent", &mut text);
    } else if args.man_page {
        // A vector takes whatever is written.
        let _ = clap_mangen::Man::new(Args::command()).section("8").render(&mut text);
    } else {
        return None;
    }
    // Both are made of strings.
    String::from_utf8(text).ok()
}
