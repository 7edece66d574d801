//! The peer of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use super::admission::network;
use crate::caller::{CertificateNames, Identity, UnixUser};
use crate::process::Process;
use crate::user::User;

/// The other end of a connection: what the kernel tells of it, and the certificate that it showed.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// A process of this host, on the unix socket: it may hold leases and reservations.
    Process {
        /// The process.
        process: Arc<Process>,
        /// Its user, when it connected.
        user: Arc<UnixUser>,
    },
    /// On the unix socket, but of another pid namespace, or gone before it was known.
    Unnamed {
        /// Its user, when it connected.
        user: Option<Arc<UnixUser>>,
    },
    /// Over TCP: no process is known.
    Remote {
        /// Its network address.
        address: SocketAddr,
        /// Its certificate, if it showed one.
        certificate: Option<Arc<CertificateNames>>,
    },
}

impl Peer {
    /// For whom its connection counts.
    pub(crate) fn user(&self) -> User {
        match self {
            Self::Process { user, .. } | Self::Unnamed { user: Some(user) } => User::Unix(user.uid),
            Self::Unnamed { user: None } => User::Anonymous,
            Self::Remote { address, certificate } => {
                let name = certificate.as_ref().and_then(|certificate| certificate.names.first());
                name.map_or(User::Address(network(address.ip())), |name| {
                    User::Certificate(name.as_str().into())
                })
            }
        }
    }

    /// Returns what rules can know it by.
    pub(crate) fn identity(&self) -> Identity {
        match self {
            Self::Process { user, .. } => {
                Identity { local: true, user: Some(user.clone()), ..Identity::default() }
            }
            Self::Unnamed { user } => Identity { local: true, user: user.clone(), ..Identity::default() },
            Self::Remote { address, certificate } => {
                Identity { address: Some(*address), certificate: certificate.clone(), ..Identity::default() }
            }
        }
    }
}
