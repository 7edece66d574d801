//! Sockets: where requests come from, and who sent them.

mod admission;
mod authority;
mod peer;
mod tcp;
mod tls;
mod unix;

pub(crate) use admission::{Admitted, Gate, Guest};
pub(crate) use authority::AuthorityRepair;
pub(crate) use peer::Peer;
pub(crate) use tcp::TcpConnections;
pub(crate) use tls::Tls;
pub use tls::TlsFiles;
pub(crate) use unix::{SocketFile, UnixConnections, map_socket_name, peer_of};
