//! `farrow`: data frames in shared memory, from the command line.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! Data goes to stdout, everything else to stderr. What the exit codes say, `exit.rs` has in one table.
#![forbid(unsafe_code)]

mod age;
mod args;
mod commands;
mod destination;
mod encode;
mod exit;
mod format;
mod input;
mod medium;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use exit::Exit;

fn main() -> ExitCode {
    let args = Args::parse();
    input::quiet_panics();
    // What looks at a medium copies out of it, and is told there of memory that has gone away. Frames are mapped, and
    // whoever reads them would not be told.
    let maps = matches!(
        args.command,
        Command::Put(_) | Command::Append(_) | Command::Get(_) | Command::Head(_) | Command::Schema(_)
    );
    if !maps && let Err(error) = farrow_region::survive_bus_errors() {
        output::error(&error.into());
        return ExitCode::FAILURE;
    }
    let result = match args.command {
        Command::Mkfs(command) => commands::mkfs::run(&command),
        Command::Fsck(command) => return commands::fsck::run(&command),
        Command::Log(command) => return commands::log::run(&command),
        Command::Cat(command) => commands::cat::run(&command),
        Command::Export(command) => commands::export::run(&command),
        Command::Put(command) => commands::put::put(&command),
        Command::Append(command) => commands::put::append(&command),
        Command::Get(command) => commands::get::run(&command),
        Command::Head(command) => commands::head::run(&command),
        Command::Schema(command) => commands::schema::run(&command),
        Command::Stat(command) => commands::stat::run(&command),
        Command::Ls(command) => commands::ls::run(&command),
        Command::Verify(command) => commands::verify::run(&command),
        Command::Rm(command) => commands::rm::run(&command),
        Command::Retain(command) => commands::retain::run(&command),
        Command::Expire(command) => commands::expire::run(&command),
        Command::Grow(command) => commands::grow::run(&command),
        Command::Leases(command) => commands::leases::run(&command),
        Command::Watch(command) => commands::watch::run(&command),
        Command::Df(command) => commands::df::run(&command),
        Command::Top(command) => commands::top::run(&command),
        Command::Doctor(command) => return commands::doctor::run(&command),
        Command::Completions(command) => commands::completions::run(&command),
        Command::Man(command) => commands::man::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            Exit::of(&error).into()
        }
    }
}
