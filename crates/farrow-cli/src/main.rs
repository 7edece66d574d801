//! `farrow`: data frames in shared memory, from the command line.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! Data goes to stdout, everything else to stderr. What the exit codes say, `exit.rs` has in one table.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod complete;
mod contained;
mod destination;
mod encode;
mod exit;
mod format;
mod input;
mod medium;
mod output;
mod progress;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;

use args::{Args, Command};
use exit::Exit;

fn main() -> ExitCode {
    // A shell that asks for completions says so in the environment; this ends the program then.
    CompleteEnv::with_factory(Args::command).var(complete::VARIABLE).complete();
    let Args { agent, remarks, command } = Args::parse();
    output::say(&remarks);
    contained::quiet_panics();
    // What looks at a medium copies out of it, and is told there of memory that has gone away. Frames are mapped, and
    // whoever reads them would not be told.
    let maps = matches!(
        command,
        Command::Put(_) | Command::Append(_) | Command::Get(_) | Command::Head(_) | Command::Schema(_)
    );
    if !maps && let Err(error) = farrow_region::survive_bus_errors() {
        output::error(&error.into());
        return ExitCode::FAILURE;
    }
    let result = match command {
        Command::Mkfs(command) => commands::mkfs::run(&command),
        Command::Fsck(command) => return commands::fsck::run(&command),
        Command::Log(command) => return commands::log::run(&command),
        Command::Cat(command) => commands::cat::run(&command),
        Command::Export(command) => commands::export::run(&command),
        Command::Put(command) => commands::put::put(&command, &agent),
        Command::Append(command) => commands::put::append(&command, &agent),
        Command::Get(command) => commands::get::run(&command, &agent),
        Command::Head(command) => commands::head::run(&command, &agent),
        Command::Schema(command) => commands::schema::run(&command, &agent),
        Command::Stat(command) => commands::stat::run(&command, &agent),
        Command::Ls(command) => commands::ls::run(&command, &agent),
        Command::Versions(command) => commands::versions::run(&command, &agent),
        Command::Verify(command) => commands::verify::run(&command, &agent),
        Command::Rm(command) => commands::rm::run(&command, &agent),
        Command::Retain(command) => commands::retain::run(&command, &agent),
        Command::Expire(command) => commands::expire::run(&command, &agent),
        Command::Grow(command) => commands::grow::run(&command, &agent),
        Command::Leases(command) => commands::leases::run(&command, &agent),
        Command::Watch(command) => commands::watch::run(&command, &agent),
        Command::Df(command) => commands::df::run(&command, &agent),
        Command::Top(command) => commands::top::run(&command, &agent),
        Command::Doctor(command) => return commands::doctor::run(&command, &agent),
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
