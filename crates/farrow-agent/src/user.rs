//! For whom limits count.

use std::net::IpAddr;
use std::sync::Arc;

/// All that limits count as one: the processes of a unix user, the bearers of a token or of a certificate, and all who
/// show nothing of the kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum User {
    /// On the unix socket.
    Unix(u32),
    /// Over TCP with a token, by the token's name.
    Token(Arc<str>),
    /// Over TCP with a certificate, by the first of its names.
    Certificate(Arc<str>),
    /// A connection over TCP, before more is known of it: by its network.
    Address(IpAddr),
    /// Everybody else.
    Anonymous,
}

impl User {
    /// True if this is root or the agent's own user: they can do everything anyway.
    pub(crate) fn is_administrator(&self) -> bool {
        matches!(self, Self::Unix(uid) if *uid == 0 || *uid == rustix::process::geteuid().as_raw())
    }
}
