//! The command line.

mod agent;
mod medium;
mod rows;

use std::ffi::OsString;

use clap::{Args as Group, Parser, Subcommand};
use farrow_client::blocking::Client;
use farrow_client::{Address, ClientError};

use crate::exit;

pub(crate) use self::agent::{
    Completions, Doctor, Expire, Leases, Ls, Man, Retain, Rm, Stat, Top, Verify, Versions, Watch,
};
pub(crate) use self::medium::{Cat, Df, Export, Fsck, Grow, Log, Mkfs};
pub(crate) use self::rows::{Append, Csv, Get, Head, Put, Schema, Source};

/// Data frames in memory that processes and hosts share.
#[derive(Debug, Parser)]
#[command(name = "farrow", version, arg_required_else_help = true, after_help = after_help())]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) agent: Agent,
    #[command(flatten)]
    pub(crate) remarks: Remarks,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a region: a famfs file system with farrow's files in it, or farrow's files on a mounted famfs
    #[command(after_help = "Examples:
  farrow mkfs --size 1GiB /dev/shm/farrow
  farrow mkfs --reserve 1GiB /dev/dax0.0
  farrow mkfs /mnt/famfs")]
    Mkfs(Mkfs),
    /// Check a region or famfs image; nothing is written. Exit 0: clean, 1: problems found, 2: cannot be read
    #[command(after_help = "Example:
  farrow fsck /dev/shm/farrow")]
    Fsck(Fsck),
    /// Show superblock and log of a region or famfs image. Exit 0: all read, 1: problems found, 2: cannot be read
    #[command(after_help = "Example:
  farrow log --json /dev/dax0.0")]
    Log(Log),
    /// Write a file of a region or famfs image to stdout
    #[command(after_help = "Example:
  farrow cat /dev/dax0.0 days/1.arrow > 1.arrow")]
    Cat(Cat),
    /// Copy a version of a frame into a famfs file of its own, for programs that know nothing of farrow
    #[command(after_help = "Example:
  farrow export --frame sales/orders days/orders.arrow /dev/shm/farrow")]
    Export(Export),
    /// Publish the rows of Parquet, CSV or Arrow IPC files, each as the next version of a frame
    ///
    /// The rows are read piece by piece: the memory it takes does not grow with the file. Nobody sees any of them
    /// before all of them are there. Of several files each is published, or not, by itself; what failed is told, and
    /// the others go on.
    #[command(after_help = "Examples:
  farrow put sales/orders orders.parquet
  farrow put sales/ 2024/*.parquet refunds.csv
  farrow put sales/orders --delimiter ';' orders.csv
  farrow put sales/orders --keep 3 --if-version 7 orders.parquet
  zcat orders.csv.gz | farrow put sales/orders - --format csv")]
    Put(Put),
    /// Publish a version that is the latest one's rows, which are not copied, and those of a file behind them
    ///
    /// Of several files each makes a version, in their order; what failed is told, and the others go on.
    #[command(after_help = "Examples:
  farrow append sales/orders monday.parquet
  farrow append --by-name sales/orders tuesday.csv
  farrow get sales/orders@7 | farrow append sales/all -")]
    Append(Append),
    /// Write a frame's rows as Arrow IPC, Parquet, CSV or JSON, to stdout or into a file
    ///
    /// A file is there complete or not at all: the rows are written beside it, and it is replaced at the end.
    #[command(after_help = "Examples:
  farrow get sales/orders -o orders.parquet
  farrow get sales/orders@7 --format csv --columns id --rows 0..100
  farrow get sales/orders --format json | jq .amount
  farrow get sales/orders | python -c 'import sys, pyarrow as pa; print(pa.ipc.open_stream(sys.stdin.buffer).read_all())'")]
    Get(Get),
    /// Show a frame's first rows as a table, as CSV or as JSON
    #[command(after_help = "Examples:
  farrow head sales/orders
  farrow head --json -n 1 sales/orders | jq .amount
  farrow head -n 3 --columns id,amount sales/orders@7
  farrow head -n 1000 --csv sales/orders > sample.csv")]
    Head(Head),
    /// Show a frame's columns and their types
    #[command(after_help = "Example:
  farrow schema sales/orders")]
    Schema(Schema),
    /// Show what is known of a frame: version, rows, bytes, when it was committed, how far it was checked
    #[command(after_help = "Examples:
  farrow stat sales/orders
  farrow stat --json sales/orders@7")]
    Stat(Stat),
    /// List frames: the latest version of each
    #[command(after_help = "Examples:
  farrow ls
  farrow ls -l sales/
  farrow ls 'sales/2024*'
  farrow ls --json | jq 'select(.bytes > 1e9) | .name'

With -l, \"famfs file\" stands for an Arrow file that another program put there. It can be read from when it is named,
which famfs does before its bytes are there: copy with `famfs cp -t 0`. Over memory that held Arrow files before,
nothing tells a complete file from an older one.")]
    Ls(Ls),
    /// List the versions of a frame, oldest first, and how much of the region each has for itself
    #[command(after_help = "Examples:
  farrow versions sales/orders
  farrow versions --json sales/orders | jq 'select(.leases > 0) | .version'")]
    Versions(Versions),
    /// Compare every batch of a frame with the checksum recorded at its commit. Exit 0: as committed, 7: not
    #[command(after_help = "Example:
  farrow verify sales/orders@7")]
    Verify(Verify),
    /// Remove frames, single versions of them, or all frames of a prefix; who has them mapped keeps them
    #[command(after_help = "Examples:
  farrow rm sales/orders@7
  farrow rm sales/january sales/february
  farrow rm --dry-run --prefix sales/
  farrow rm --prefix sales/")]
    Rm(Rm),
    /// Say which versions a frame, or all frames of a prefix, keep from now on, and remove the others
    #[command(after_help = "Examples:
  farrow retain sales/orders --last 3
  farrow retain --prefix sales/ --last 10 --max-age 30d
  farrow retain --region --max-age 90d
  farrow retain sales/orders --unset
  farrow retain --list

One of them holds for a frame as a whole: its own, or else that of the longest prefix that has one. The latest version of
a frame stays.")]
    Retain(Retain),
    /// Remove versions that are older than something
    #[command(after_help = "Examples:
  farrow expire sales/ --older-than 30d --dry-run
  farrow expire sales/ --older-than 30d")]
    Expire(Expire),
    /// Add a pool file, out of space that mkfs --reserve left outside the pool; it is never given back
    #[command(after_help = "Examples:
  farrow grow --by 1GiB
  farrow grow /dev/shm/farrow")]
    Grow(Grow),
    /// Show who maps what
    #[command(after_help = "Examples:
  farrow leases
  farrow leases --json | jq 'select(.age_seconds > 3600 and (.inherited | not)) | .pid'")]
    Leases(Leases),
    /// Tell what is committed and dropped from now on, a line each, until it is interrupted
    #[command(after_help = "Example:
  farrow watch --json sales/")]
    Watch(Watch),
    /// Show what holds the region's space: by the agent, or by a region or famfs image itself
    #[command(after_help = "Examples:
  farrow df
  farrow df --json /dev/dax0.0")]
    Df(Df),
    /// Show space, frames and leases live: q ends it. Where stdout is no terminal, once
    #[command(after_help = "Examples:
  farrow top
  farrow top --json --interval 10s >> farrow.jsonl")]
    Top(Top),
    /// Look for what stands in the way: agent, versions, mapping, pages, space. Exit 0: nothing, 1: something
    #[command(after_help = "Examples:
  farrow doctor
  farrow doctor /dev/shm/farrow")]
    Doctor(Doctor),
    /// Write what makes a shell complete this command's verbs, options and names of frames to stdout
    #[command(after_help = "Example:
  source <(farrow completions bash)")]
    Completions(Completions),
    /// Write a man page for this command and each of its verbs, for packages
    #[command(
        hide = true,
        after_help = "Example:
  farrow man /usr/share/man/man1"
    )]
    Man(Man),
}

// Variables of the environment are not clap's here: what they say would stand in usages as if it had to be given.
#[derive(Debug, Group)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Agent {
    /// The agent: path of its unix socket, HOST:PORT, or https://HOST:PORT for TLS [default: $FARROW_ADDRESS, else this
    /// user's agent, else this host's]
    #[arg(long, value_name = "ADDRESS", global = true)]
    address: Option<String>,
}

impl Agent {
    /// The agent's address.
    pub(crate) fn address(&self) -> Result<Address, ClientError> {
        Address::find(self.address.as_deref())
    }

    pub(crate) fn connect(&self) -> Result<Client, ClientError> {
        let address = self.address()?;
        tracing::debug!(%address, "connecting");
        Client::connect(address)
    }
}

/// The amount of remarks beside data and errors.
#[derive(Debug, Group)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Remarks {
    /// Say nothing but data, warnings and errors: no remarks, no progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say how it is done, too; -vv says what libraries do
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The variables of the environment, as help and man page show them.
const ENVIRONMENT: &str = "Environment:
  FARROW_ADDRESS     the agent, where --address does not say it
  FARROW_REGION      the region that export and doctor look at
  FARROW_FAMFS       the famfs program that mkfs runs on a mounted famfs
  FARROW_TOKEN       a token that the agent knows; or FARROW_TOKEN_FILE, the file whose first line it is
  FARROW_TLS_CA      for https://, the file with the CA that signed the agent's certificate
  FARROW_TLS_CERT    and FARROW_TLS_KEY, this client's own certificate and its key
  NO_COLOR           no colours";

fn after_help() -> String {
    format!("{ENVIRONMENT}\n\n{}", exit::TABLE)
}

/// A prefix of frames, as help says it.
const PREFIX: &str = "Only frames of this prefix: sales is that frame and all below it, sales/ all below it, 'sales/2024*' all whose names \
     begin so; there are no other wildcards";

/// A variable of the environment; one that is empty is none.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_verb_has_an_example_that_is_understood() {
        Args::command().debug_assert();
        for verb in Args::command().get_subcommands() {
            let help = verb.get_after_help().unwrap_or_else(|| panic!("{}", verb.get_name())).to_string();
            let called = format!("farrow {} ", verb.get_name());
            let mut found = 0;
            for line in help.lines().map(|line| format!("{line} ")).filter(|line| line.contains(&called)) {
                let (_, args) = line.split_once("farrow ").unwrap();
                let args = args.split(['|', '>', ')']).next().unwrap().split_whitespace();
                let args = args.map(|word| word.trim_matches('\''));
                Args::try_parse_from(["farrow"].into_iter().chain(args)).unwrap();
                found += 1;
            }
            assert!(found > 0, "{}", verb.get_name());
        }
    }

    #[test]
    fn usages_do_not_tell_what_the_environment_says() {
        for verb in Args::command().get_subcommands() {
            let named = verb.get_arguments().find(|option| option.get_env().is_some());
            assert!(named.is_none(), "{} {named:?}", verb.get_name());
        }
        assert!(Args::command().get_arguments().all(|option| option.get_env().is_none()));
    }

    #[test]
    fn global_options_stand_before_the_verb_or_behind_it() {
        for line in ["farrow --address a -q ls", "farrow ls --address a -q", "farrow --address a ls -q"] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert_eq!((args.agent.address.as_deref(), args.remarks.quiet), (Some("a"), true), "{line}");
        }
        assert_eq!(Args::try_parse_from(["farrow", "-v", "mkfs", "x", "-v"]).unwrap().remarks.verbose, 1);
        assert_eq!(Args::try_parse_from(["farrow", "mkfs", "-vv", "x"]).unwrap().remarks.verbose, 2);
    }
}
