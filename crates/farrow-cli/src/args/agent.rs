//! Verbs about frames as a whole, and about the agent.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args as Group;
use clap_complete::Shell;

use super::Agent;
use crate::age::Age;

#[derive(Debug, Group)]
pub(crate) struct Ls {
    /// Only frames whose name begins with this
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    /// Also versions, rows, bytes and times
    #[arg(short, long)]
    pub(crate) long: bool,
    /// As JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Stat {
    /// The frame's name, or name@version
    pub(crate) name: String,
    /// As JSON, in one line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Verify {
    /// The frame's name, or name@version
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Rm {
    /// The frame's name, or name@version
    #[arg(required_unless_present = "prefix")]
    pub(crate) name: Option<String>,
    /// All frames whose names begin with this, all at once or, if the agent dies, none
    #[arg(long, conflicts_with = "name", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) prefix: Option<String>,
    /// Only list what would be removed: names of frames, or the version as name@version
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Retain {
    /// The frame's name. What it keeps is forgotten when the whole frame is removed
    pub(crate) name: String,
    /// How many
    #[arg(long, value_name = "N", required_unless_present = "all")]
    pub(crate) last: Option<NonZeroU64>,
    /// All versions, as at first
    #[arg(long, conflicts_with = "last")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Expire {
    /// Only frames whose name begins with this
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    /// How old, since the commit, by the agent's clock: 90s, 15min, 12h, 30d
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: Age,
    /// Also the latest version of a frame, which else stays however old it is
    #[arg(long)]
    pub(crate) latest: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Leases {
    /// As JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Watch {
    /// Only frames whose name begins with this
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    /// As JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Top {
    /// Show it once, as text
    #[arg(long)]
    pub(crate) once: bool,
    /// As JSON, one object a line and interval; with --once, one
    #[arg(long)]
    pub(crate) json: bool,
    /// How long between two looks: 1s, 5min
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) interval: Age,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

fn interval(text: &str) -> Result<Age, String> {
    let interval: Age = text.parse()?;
    if interval.0.is_zero() { Err("expected at least 1s".to_owned()) } else { Ok(interval) }
}

#[derive(Debug, Group)]
pub(crate) struct Doctor {
    /// Also look at this region itself: a file, a device or the mount point of a famfs
    #[arg(env = "FARROW_REGION")]
    pub(crate) path: Option<PathBuf>,
    /// As JSON, one object a line: one for each thing looked at
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Completions {
    /// For which: bash takes `source <(farrow completions bash)` in ~/.bashrc
    pub(crate) shell: Shell,
}

#[derive(Debug, Group)]
pub(crate) struct Man {
    /// Where: a directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}
