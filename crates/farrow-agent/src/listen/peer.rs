//! Who is at the other end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::caller::{CertificateNames, Identity, UnixUser};
use crate::process::Process;

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
    /// What rules can know it by.
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
