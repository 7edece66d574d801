//! The command line.

mod agent;
mod medium;
mod rows;

use clap::{Args as Group, Parser, Subcommand};
use farrow_client::blocking::Client;
use farrow_client::{Address, ClientError};

use crate::exit;

pub(crate) use self::agent::{
    Completions, Doctor, Expire, Leases, Ls, Man, Retain, Rm, Stat, Top, Verify, Watch,
};
pub(crate) use self::medium::{Cat, Df, Export, Fsck, Grow, Log, Mkfs};
pub(crate) use self::rows::{Append, Csv, Get, Head, Put, Schema, Source};

/// Data frames in memory that processes and hosts share.
#[derive(Debug, Parser)]
#[command(name = "farrow", version, arg_required_else_help = true, after_help = exit::TABLE)]
pub(crate) struct Args {
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
  farrow export --file sales/orders days/orders.arrow /dev/shm/farrow")]
    Export(Export),
    /// Publish the rows of a Parquet, CSV or Arrow IPC file as the next version of a frame
    ///
    /// The rows are read piece by piece: the memory it takes does not grow with the file. Nobody sees any of them
    /// before all of them are there.
    #[command(after_help = "Examples:
  farrow put sales/orders orders.parquet
  farrow put sales/orders --delimiter ';' orders.csv
  zcat orders.csv.gz | farrow put sales/orders - --format csv")]
    Put(Put),
    /// Publish a version that is the latest one's rows, which are not copied, and those of a file behind them
    #[command(after_help = "Examples:
  farrow append sales/orders monday.parquet
  farrow get sales/orders@7 | farrow append sales/all -")]
    Append(Append),
    /// Write a frame's rows as Arrow IPC, Parquet or CSV, to stdout or into a file
    ///
    /// A file is there complete or not at all: the rows are written beside it, and it is replaced at the end.
    #[command(after_help = "Examples:
  farrow get sales/orders -o orders.parquet
  farrow get sales/orders@7 --format csv | cut -d, -f1
  farrow get sales/orders | python -c 'import sys, pyarrow as pa; print(pa.ipc.open_stream(sys.stdin.buffer).read_all())'")]
    Get(Get),
    /// Show a frame's first rows as a table, or as CSV
    #[command(after_help = "Examples:
  farrow head sales/orders
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
  farrow ls --json | jq 'select(.bytes > 1e9) | .name'")]
    Ls(Ls),
    /// Compare every batch of a frame with the checksum recorded at its commit. Exit 0: as committed, 7: not
    #[command(after_help = "Example:
  farrow verify sales/orders@7")]
    Verify(Verify),
    /// Remove a frame, one version of it, or all frames whose names begin alike; who has them mapped keeps them
    #[command(after_help = "Examples:
  farrow rm sales/orders@7
  farrow rm --dry-run --prefix sales/
  farrow rm --prefix sales/")]
    Rm(Rm),
    /// Keep the last versions of a frame from now on, and remove older ones
    #[command(after_help = "Example:
  farrow retain sales/orders --last 3")]
    Retain(Retain),
    /// Remove versions that are older than something
    #[command(after_help = "Example:
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
  farrow leases --json | jq 'select(.age_seconds > 3600) | .pid'")]
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
    /// Write what makes a shell complete this command's verbs and options to stdout
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

#[derive(Debug, Group)]
pub(crate) struct Agent {
    /// The agent: path of its unix socket, http://HOST:PORT, or https://HOST:PORT for TLS. A token is taken from
    /// $FARROW_TOKEN or the file $FARROW_TOKEN_FILE; for TLS, $FARROW_TLS_CA is the file with the agent's CA,
    /// $FARROW_TLS_CERT and $FARROW_TLS_KEY are this client's certificate [default: this user's agent, else this host's]
    #[arg(long, value_name = "ADDRESS", env = "FARROW_ADDRESS")]
    address: Option<String>,
}

impl Agent {
    /// Where the agent is looked for.
    pub(crate) fn address(&self) -> Result<Address, ClientError> {
        Address::find(self.address.as_deref())
    }

    pub(crate) fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(self.address()?)
    }
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
}
