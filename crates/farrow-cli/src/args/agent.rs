//! Verbs about frames as a whole, and about the agent.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as Group;
use clap_complete::Shell;
use farrow_proto::{Period, PeriodFault};

use super::PREFIX;
use crate::complete::{frames, prefixes};

#[derive(Debug, Group)]
pub(crate) struct Ls {
    #[arg(default_value = "", hide_default_value = true, help = PREFIX, add = prefixes())]
    pub(crate) prefix: String,
    /// Also versions, rows, bytes and times
    #[arg(short, long)]
    pub(crate) long: bool,
    /// As JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Stat {
    /// The frame's name, or name@version
    #[arg(add = frames())]
    pub(crate) name: String,
    /// As JSON, in one line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Versions {
    /// The frame's name
    #[arg(add = frames())]
    pub(crate) name: String,
    /// As JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Verify {
    /// The frame's name, or name@version
    #[arg(add = frames())]
    pub(crate) name: String,
}

#[derive(Debug, Group)]
pub(crate) struct Rm {
    /// The frame's name, or name@version; of several each is removed, or not, by itself
    #[arg(required_unless_present = "prefix", value_name = "NAME", add = frames())]
    pub(crate) names: Vec<String>,
    /// All frames of this prefix, all at once or, if the agent dies, none: sales is that frame and all below it, sales/
    /// all below it, 'sales/2024*' all whose names begin so; there are no other wildcards
    #[arg(long, conflicts_with = "names", allow_hyphen_values = true, add = prefixes())]
    #[arg(value_parser = of_some)]
    pub(crate) prefix: Option<String>,
    /// Only list what would be removed: names of frames, or the version as name@version
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Retain {
    /// The frame's name, also of one that is yet to come. What is said of it is forgotten when the whole frame is removed
    #[arg(required_unless_present_any = ["prefix", "region", "list"], add = frames())]
    pub(crate) name: Option<String>,
    /// Instead of one frame: all frames of this prefix, sales with the frame of that name and sales/ with all below it
    #[arg(long, conflicts_with = "name", add = prefixes())]
    #[arg(value_parser = below_the_region)]
    pub(crate) prefix: Option<String>,
    /// Instead of one frame: all frames
    #[arg(long, conflicts_with_all = ["name", "prefix"])]
    pub(crate) region: bool,
    /// The number of latest versions that a frame keeps
    #[arg(long, value_name = "N", required_unless_present_any = ["max_age", "all", "unset", "list"])]
    #[arg(value_parser = last, allow_negative_numbers = true)]
    pub(crate) last: Option<NonZeroU64>,
    /// The time that it keeps each version but the latest, since its commit, by the agent's clock: 90s, 15min, 1h30m, 30d
    #[arg(long, value_name = "AGE", value_parser = at_least_a_second)]
    pub(crate) max_age: Option<Period>,
    /// It keeps all versions, whatever is said of a prefix
    #[arg(long, conflicts_with_all = ["last", "max_age"])]
    pub(crate) all: bool,
    /// Nothing is said of it any more: it keeps what is said of its longest prefix, or else all
    #[arg(long, conflicts_with_all = ["last", "max_age", "all"])]
    pub(crate) unset: bool,
    /// List what is said of frames and prefixes: of all, or of what holds for this frame or prefix
    #[arg(long, conflicts_with_all = ["last", "max_age", "all", "unset"])]
    pub(crate) list: bool,
    /// The list as JSON, one object a line
    #[arg(long, requires = "list", conflicts_with_all = ["last", "max_age", "all", "unset"])]
    pub(crate) json: bool,
}

/// The prefix of what is removed: nothing that an unset variable stands for.
fn of_some(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the prefix is empty, which would be every frame. For that: --prefix '*'".to_owned());
    }
    Ok(text.to_owned())
}

fn below_the_region(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the prefix is empty, which would be every frame. For that: --region".to_owned());
    }
    Ok(text.to_owned())
}

fn last(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| {
        "expected how many versions to keep, a whole number from 1; --all keeps all, --unset takes back what was said"
            .to_owned()
    })
}

/// Ages are kept in seconds.
fn at_least_a_second(text: &str) -> Result<Period, String> {
    let age: Period = text.parse().map_err(|fault: PeriodFault| fault.to_string())?;
    if age.0 < Duration::from_secs(1) { Err("the least is 1s".to_owned()) } else { Ok(age) }
}

#[derive(Debug, Group)]
pub(crate) struct Expire {
    #[arg(default_value = "", hide_default_value = true, help = PREFIX, add = prefixes())]
    pub(crate) prefix: String,
    /// The age since the commit, by the agent's clock: 90s, 15min, 1h30m, 30d
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: Period,
    /// Also the latest version of a frame, which else stays however old it is
    #[arg(long)]
    pub(crate) latest: bool,
    /// Only list what would be removed, as name@version; their ages are then taken by this host's clock
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Leases {
    /// As JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Watch {
    #[arg(default_value = "", hide_default_value = true, help = PREFIX, add = prefixes())]
    pub(crate) prefix: String,
    /// As JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Top {
    /// Show it once, as text
    #[arg(long)]
    pub(crate) once: bool,
    /// As JSON, one object a line and interval; with --once, one
    #[arg(long)]
    pub(crate) json: bool,
    /// The time between two looks: 1s, 5min
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) interval: Period,
}

/// A shorter interval would keep the agent busy.
const SHORTEST: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<Period, String> {
    let interval: Period = text.parse().map_err(|fault: PeriodFault| fault.to_string())?;
    if interval.0 < SHORTEST { Err(format!("the least is {SHORTEST:?}")) } else { Ok(interval) }
}

#[derive(Debug, Group)]
pub(crate) struct Doctor {
    /// Also look at this region itself: a file, a device or the mount point of a famfs [default: $FARROW_REGION, else the
    /// one that a frame is mapped from]
    pub(crate) path: Option<PathBuf>,
    /// As JSON, one object a line: one for each thing looked at
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Completions {
    /// For which: bash takes `source <(farrow completions bash)` in ~/.bashrc
    pub(crate) shell: Shell,
}

#[derive(Debug, Group)]
pub(crate) struct Man {
    /// The directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}
