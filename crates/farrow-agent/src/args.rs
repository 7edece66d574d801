//! The agent's command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::bail;
use clap::Parser;

use crate::region::CommitCheck;

/// Serves the data frames of one region to the processes of this host, and to Flight clients.
#[derive(Debug, Parser)]
#[command(name = "farrow-agent", version, args_override_self = true)]
pub struct Args {
    /// The region: a file or device that `farrow mkfs` has made one, or the mount point of a famfs with farrow's files
    #[arg(long, value_name = "PATH", env = "FARROW_REGION")]
    pub region: PathBuf,

    /// The unix socket on which processes of this host reserve, publish and map [default: agent.sock in /run/farrow
    /// for root, in $XDG_RUNTIME_DIR/farrow or /tmp/farrow-UID for others]
    #[arg(long, value_name = "PATH", env = "FARROW_SOCKET")]
    pub socket: Option<PathBuf>,

    /// Also serve rows over TCP, on a loopback address; port 0 takes a free one, which the log tells
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Where to remember, over a restart of the agent, which processes may still map the region. Must be the same
    /// for every agent that serves this region on this host [default: the directory of the default socket]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// File with this host's system UUID, as famfs keeps it in /opt/famfs/system_uuid [default: that file, or an id
    /// derived from /etc/machine-id]
    #[arg(long, value_name = "FILE")]
    pub system_uuid_file: Option<PathBuf>,

    /// How far a frame is checked before it is published; what is not checked here, every reader checks
    #[arg(long, value_enum, default_value = "values")]
    pub validate: CommitCheck,
}

impl Args {
    /// What would fail later on, said at once.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(address) = self.listen
            && !address.ip().is_loopback()
        {
            bail!(
                "--listen {address}: not a loopback address, and without TLS anybody on the network could read and \
                 drop frames: use 127.0.0.1 or [::1]"
            );
        }
        Ok(())
    }

    /// The unix socket's path.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| farrow_proto::own_directory().join(farrow_proto::SOCKET_NAME))
    }

    /// Where host-local state is kept.
    pub fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(farrow_proto::own_directory)
    }
}
