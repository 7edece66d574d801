//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::process::Process;

/// The other end of a connection, as the kernel tells it.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// A process of this host, on the unix socket: it may hold leases and reservations.
    Process(Arc<Process>),
    /// A connection whose process is not known: over TCP, or from another pid namespace, or already gone.
    Unknown {
        /// Its network address, over TCP.
        address: Option<SocketAddr>,
    },
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process(process) => write!(f, "pid {}", process.id().pid),
            Self::Unknown { address: Some(address) } => write!(f, "{address}"),
            Self::Unknown { address: None } => f.write_str("a process that the kernel does not name"),
        }
    }
}
