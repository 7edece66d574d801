//! The command line.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use famfs_format::FormatVersion;
use farrow_client::blocking::Client;
use farrow_client::{Address, ClientError};

use crate::age::Age;
use farrow_proto::Size;

/// Data frames in memory that processes and hosts share.
#[derive(Debug, Parser)]
#[command(name = "farrow", version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a region: a famfs file system with farrow's files in it, or farrow's files on a mounted famfs
    Mkfs(Mkfs),
    /// Check a region or famfs image; nothing is written. Exit 0: clean, 1: problems found, 2: cannot be read
    Fsck(Fsck),
    /// Show superblock and log of a region or famfs image. Exit 0: all read, 1: problems found, 2: cannot be read
    Log(Log),
    /// Write a file of a region or famfs image to stdout
    Cat(Cat),
    /// Copy a version of a frame into a famfs file of its own, for programs that know nothing of farrow
    Export(Export),
    /// Publish an Arrow IPC file or stream as the next version of a frame
    Put(Put),
    /// Write a frame out as an Arrow IPC stream, or a file
    Get(Get),
    /// List frames: the latest version of each
    Ls(Ls),
    /// Compare every batch of a frame with the checksum recorded at its commit. Exit 0: as committed, 1: not
    Verify(Verify),
    /// Remove a frame, one version of it, or all frames whose names begin alike; who has them mapped keeps them
    Rm(Rm),
    /// Keep the last versions of a frame from now on, and remove older ones
    Retain(Retain),
    /// Remove versions that are older than something
    Expire(Expire),
    /// Add a pool file, out of space that mkfs --reserve left outside the pool; it is never given back
    Grow(Grow),
    /// Show who maps what
    Leases(Leases),
    /// Tell what is committed and dropped from now on, a line each, until it is interrupted
    Watch(Watch),
    /// Show what holds the region's space: by the agent, or by a region or famfs image itself
    Df(Df),
    /// Write what makes a shell complete this command's verbs and options to stdout
    Completions(Completions),
    /// Write a man page for this command and each of its verbs, for packages
    #[command(hide = true)]
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
    pub(crate) fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(Address::find(self.address.as_deref())?)
    }
}

#[derive(Debug, Group)]
pub(crate) struct Mkfs {
    /// Where: a file, made or replaced (in a tmpfs such as /dev/shm it is memory), a device, or the mount point of a
    /// famfs, where farrow's files are made by the famfs program
    pub(crate) path: PathBuf,
    /// Bytes of the region: 4G, 64MiB; K, M, G and T are powers of 1024. famfs's own tools take no device under 4G,
    /// farrow does [default: the file's size, if it is there]. On a mounted famfs bytes of the pool [default: all that
    /// is free]
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<Size>,
    /// Bytes of the famfs log: a power of two of at least 8M, which has room for 15420 files [default: 8M]
    #[arg(long, value_name = "SIZE")]
    pub(crate) log_len: Option<Size>,
    /// Version of the famfs format; a famfs tool reads exactly the one that it was built for [default: 2.2]
    #[arg(long, value_enum)]
    pub(crate) omf: Option<Omf>,
    /// Bytes left outside the pool, for other programs' famfs files for farrow export, and for farrow grow
    #[arg(long, value_name = "SIZE", default_value = "0")]
    pub(crate) reserve: Size,
    /// The famfs program, which makes the files on a mounted famfs
    #[arg(long, value_name = "PROGRAM", env = "FARROW_FAMFS", default_value = "famfs")]
    pub(crate) famfs: PathBuf,
    /// File with this host's system UUID [default: /opt/famfs/system_uuid, or derived from /etc/machine-id]
    #[arg(long, value_name = "FILE")]
    pub(crate) system_uuid_file: Option<PathBuf>,
    /// Replace a file system that is there, with everything in it; on a mounted famfs, empty the region
    #[arg(long)]
    pub(crate) force: bool,
}

/// The famfs on-media format, by the numbers in the superblock.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Omf {
    /// Version 48: famfs from commit 5d0919f on
    #[value(name = "2.2")]
    V48,
    /// Version 47: famfs before it
    #[value(name = "2.1")]
    V47,
}

impl From<Omf> for FormatVersion {
    fn from(omf: Omf) -> Self {
        match omf {
            Omf::V48 => Self::V48,
            Omf::V47 => Self::V47,
        }
    }
}

#[derive(Debug, Group)]
pub(crate) struct Fsck {
    /// The region, an image that the famfs tools made, or the mount point of a famfs
    pub(crate) path: PathBuf,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Log {
    /// The region, an image that the famfs tools made, or the mount point of a famfs; a damaged one is read as far as
    /// it can be
    pub(crate) path: PathBuf,
    /// As JSON: superblock, entries, problems
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Cat {
    /// The region, an image that the famfs tools made, or the mount point of a famfs
    pub(crate) path: PathBuf,
    /// The file in it, relative to the mount: dir/file
    #[arg(value_name = "FAMFS-PATH")]
    pub(crate) file: String,
}

/// No agent may have the region open. The file takes space that mkfs --reserve left outside the pool, and famfs
/// never gives it back.
#[derive(Debug, Group)]
pub(crate) struct Export {
    /// The frame's name, or name@version
    #[arg(long, value_name = "NAME", required = true)]
    pub(crate) file: String,
    /// The file to make, relative to the mount: dir/file.arrow. Missing directories are made
    #[arg(value_name = "FAMFS-PATH")]
    pub(crate) famfs_path: String,
    /// The region
    #[arg(value_name = "PATH", env = "FARROW_REGION")]
    pub(crate) path: PathBuf,
    /// File with this host's system UUID [default: /opt/famfs/system_uuid, or derived from /etc/machine-id]
    #[arg(long, value_name = "FILE")]
    pub(crate) system_uuid_file: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Put {
    /// The frame's name: a path such as sales/orders
    pub(crate) name: String,
    /// Arrow IPC file or stream; - is stdin
    pub(crate) file: PathBuf,
    /// The next version is the latest one's rows, which are not copied, and these behind them; of the same schema
    #[arg(long)]
    pub(crate) append: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Group)]
pub(crate) struct Get {
    /// The frame's name, or name@version
    pub(crate) name: String,
    /// Write an Arrow IPC file here, instead of a stream to stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

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
    /// Only list the frames that would be removed
    #[arg(long, requires = "prefix", conflicts_with = "name")]
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
pub(crate) struct Grow {
    /// A region to grow itself, which no agent has open, instead of asking an agent
    pub(crate) path: Option<PathBuf>,
    /// Bytes of the pool file, rounded up to units of 2 MiB [default: the largest range that is in no file]
    #[arg(long, value_name = "SIZE")]
    pub(crate) by: Option<Size>,
    /// File with this host's system UUID [default: /opt/famfs/system_uuid, or derived from /etc/machine-id]
    #[arg(long, value_name = "FILE", requires = "path")]
    pub(crate) system_uuid_file: Option<PathBuf>,
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
pub(crate) struct Df {
    /// A region, famfs image or mount point of a famfs to look at itself, instead of asking an agent
    pub(crate) path: Option<PathBuf>,
    /// As JSON
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
