//! Sockets: where requests come from, and who sent them.

mod admission;
mod authority;
mod peer;
mod tcp;
mod tls;
mod unix;

pub(crate) use admission::{Accept, Admitted, Gate, Guest, Origin, UnderWay};
pub(crate) use authority::AuthorityRepair;
pub(crate) use peer::Peer;
pub(crate) use tcp::TcpConnections;
pub(crate) use tls::Tls;
pub use tls::TlsFiles;
pub(crate) use unix::{SocketFile, UnixConnections, check_place, map_socket_name, peer_of};
