//! Sockets: where requests come from, and who sent them.

mod authority;
mod peer;
mod tcp;
mod unix;

pub(crate) use authority::AuthorityRepair;
pub(crate) use peer::Peer;
pub(crate) use tcp::TcpConnections;
pub(crate) use unix::{SocketFile, UnixConnections, map_socket_name};
