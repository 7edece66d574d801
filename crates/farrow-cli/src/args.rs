//! The command line.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args as Group, Parser, Subcommand};
use farrow_client::blocking::Client;
use farrow_client::{Address, ClientError};

/// Data frames in memory that processes and hosts share.
#[derive(Debug, Parser)]
#[command(name = "farrow", version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a region: a famfs file system with farrow's files in it
    Mkfs(Mkfs),
    /// Check a region or famfs image; nothing is written. Exit 0: clean, 1: problems found, 2: cannot be read
    Fsck(Fsck),
    /// Publish an Arrow IPC file or stream as the next version of a frame
    Put(Put),
    /// Write a frame out as an Arrow IPC stream, or a file
    Get(Get),
    /// List frames: the latest version of each
    Ls(Ls),
    /// Remove a frame, or one version of it; who has it mapped keeps it
    Rm(Rm),
    /// Show who maps what
    Leases(Leases),
    /// Show what holds the region's space
    Df(Df),
}

#[derive(Debug, Group)]
pub(crate) struct Agent {
    /// The agent: path of its unix socket, or http://HOST:PORT [default: this user's agent, else this host's]
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
    /// Where: a file, made or replaced. In a tmpfs such as /dev/shm it is memory
    pub(crate) path: PathBuf,
    /// Bytes of the region [default: the file's size, if it is there]
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<ByteSize>,
    /// Bytes of the famfs log: a power of two
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    pub(crate) log_len: ByteSize,
    /// File with this host's system UUID [default: /opt/famfs/system_uuid, or derived from /etc/machine-id]
    #[arg(long, value_name = "FILE")]
    pub(crate) system_uuid_file: Option<PathBuf>,
    /// Replace a file system that is there, with everything in it
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Fsck {
    /// The region
    pub(crate) path: PathBuf,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Put {
    /// The frame's name: a path such as sales/orders
    pub(crate) name: String,
    /// Arrow IPC file or stream; - is stdin
    pub(crate) file: PathBuf,
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
pub(crate) struct Rm {
    /// The frame's name, or name@version
    pub(crate) name: String,
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
pub(crate) struct Df {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}
