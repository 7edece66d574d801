//! The agent's command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use clap_complete::Shell;

use crate::config::listen_address;
use crate::region::CommitCheck;

/// Serves the data frames of one region to the processes of this host, and to Flight clients.
///
/// Settings come from a file, `agent.toml`; these options come before it. `--print-config` prints the file with every
/// setting, its meaning and its default.
#[derive(Debug, Clone, Parser)]
#[command(name = "farrow-agent", version, args_override_self = true)]
pub struct Args {
    /// The file of settings [default: $FARROW_AGENT_CONFIG, else /etc/farrow/agent.toml if it is there and no region is
    /// named]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The region: a file or device that `farrow mkfs` has made one, or the mount point of a famfs with farrow's files
    /// [default: $FARROW_REGION, else what the file of settings says]
    #[arg(long, value_name = "PATH")]
    pub region: Option<PathBuf>,

    /// The unix socket on which processes of this host reserve, publish and map; its directory must be there [default:
    /// $FARROW_SOCKET, else what the file of settings says, else agent.sock in /run/farrow for root, in
    /// $XDG_RUNTIME_DIR/farrow or /tmp/farrow-UID for others, which is made]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Also serve rows over TCP; port 0 takes a free one, which the log tells
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,

    /// The directory in which to remember, over a restart of the agent, which processes may still map the region. Must be
    /// the same for every agent that serves this region on this host [default: the directory of the default socket]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// File with this host's system UUID, as famfs keeps it in /opt/famfs/system_uuid [default: that file, or an id
    /// derived from /etc/machine-id]
    #[arg(long, value_name = "FILE")]
    pub system_uuid_file: Option<PathBuf>,

    /// The checks of a frame before it is published; what is not checked here, every reader checks [default:
    /// values]
    #[arg(long, value_enum)]
    pub validate: Option<CommitCheck>,

    /// Say what is wrong with the settings, and end: with 0 if nothing is
    #[arg(long)]
    pub check_config: bool,

    /// Print a file of settings with all defaults, commented, and end
    #[arg(long, conflicts_with = "check_config")]
    pub print_config: bool,

    /// Print what makes a shell complete these options, and end
    #[arg(long, value_name = "SHELL")]
    pub completions: Option<Shell>,

    /// Print the man page, for packages, and end
    #[arg(long, hide = true)]
    pub man_page: bool,
}

impl Args {
    /// The same, with what the environment says where no option does. It is not clap that looks there: usages would show
    /// it as if it had to be given.
    pub fn with_environment(mut self) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        self.config = self.config.or_else(|| variable("FARROW_AGENT_CONFIG"));
        self.region = self.region.or_else(|| variable("FARROW_REGION"));
        self.socket = self.socket.or_else(|| variable("FARROW_SOCKET"));
        self
    }
}
