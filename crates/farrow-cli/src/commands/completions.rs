//! `farrow completions`

use std::io::Write as _;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::args::{Args, Completions};
use crate::complete::VARIABLE;

/// The code that zsh runs once more at the first completion, where it has loaded the script by its name.
const AUTOLOADED: &[u8] = b"[[ ${funcstack[1]} = _farrow ]] && _clap_dynamic_completer_farrow \"$@\"\n";

pub(crate) fn run(args: &Completions) -> anyhow::Result<()> {
    let name = args.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells.completer(&name).with_context(|| format!("no completions for {name}"))?;
    let command = Args::command();
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, command.get_name(), "farrow", "farrow", &mut script)?;
    if args.shell == Shell::Zsh {
        script.extend_from_slice(AUTOLOADED);
    }
    Ok(std::io::stdout().lock().write_all(&script)?)
}
