//! Where an agent is found.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use farrow_proto::{SOCKET_NAME, SYSTEM_DIRECTORY};

use crate::error::ClientError;

/// Environment variable that names the agent's address.
const VARIABLE: &str = "FARROW_ADDRESS";

/// Where an agent is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The path of its unix socket: frames can be mapped and published.
    Unix(PathBuf),
    /// `http://HOST:PORT`, or `https://HOST:PORT` for TLS: rows are streamed.
    Tcp(String),
}

impl Address {
    /// `explicit` if given, else `$FARROW_ADDRESS`, else the socket of this user's own agent if there is one (see
    /// [`farrow_proto::own_directory`]), else the host's, `/run/farrow/agent.sock`.
    pub fn find(explicit: Option<&str>) -> Result<Self, ClientError> {
        if let Some(address) = explicit {
            return address.parse();
        }
        if let Ok(address) = std::env::var(VARIABLE) {
            return address.parse();
        }
        // An agent is believed when it says that bytes are validated: not one that another user put in our way.
        let own = farrow_proto::own_directory();
        let ours = farrow_proto::is_ours(&own).unwrap_or(false) && own.join(SOCKET_NAME).exists();
        let directory = if ours { &own } else { Path::new(SYSTEM_DIRECTORY) };
        Ok(Self::Unix(directory.join(SOCKET_NAME)))
    }
}

impl Address {
    /// Whether the agent speaks TLS there.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp(uri) if uri.starts_with("https://"))
    }

    /// Whether what is sent there could be read on the way.
    pub(crate) fn is_exposed(&self) -> bool {
        let Self::Tcp(uri) = self else { return false };
        let Some(host) = uri.strip_prefix("http://") else { return false };
        let host = host.split('/').next().unwrap_or(host);
        match host.parse::<SocketAddr>() {
            Ok(address) => !address.ip().to_canonical().is_loopback(),
            Err(_) => host.strip_prefix("localhost:").is_none_or(|port| port.parse::<u16>().is_err()),
        }
    }
}

impl FromStr for Address {
    type Err = ClientError;

    /// A path, `unix:PATH`, `grpc+unix://PATH`, `http://HOST:PORT`, `grpc://HOST:PORT` or `grpc+tcp://HOST:PORT`;
    /// over TLS `https://HOST:PORT` or `grpc+tls://HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let invalid = || ClientError::Address { found: text.to_owned() };
        let after = |schemes: &[&str]| schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
        if let Some(path) = after(&["grpc+unix://", "unix://", "unix:"]) {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(invalid()) };
        }
        if let Some(host) = after(&["http://", "grpc://", "grpc+tcp://"]) {
            return if host.contains(':') { Ok(Self::Tcp(format!("http://{host}"))) } else { Err(invalid()) };
        }
        if let Some(host) = after(&["https://", "grpc+tls://"]) {
            return if host.contains(':') {
                Ok(Self::Tcp(format!("https://{host}")))
            } else {
                Err(invalid())
            };
        }
        if text.is_empty() || text.contains("://") { Err(invalid()) } else { Ok(Self::Unix(text.into())) }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(uri) => uri.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_uris_are_told_apart() {
        let unix = |path: &str| Address::Unix(path.into());
        let tcp = |uri: &str| Address::Tcp(uri.into());
        for (text, expected) in [
            ("/run/a.sock", unix("/run/a.sock")),
            ("a.sock", unix("a.sock")),
            ("unix:/run/a.sock", unix("/run/a.sock")),
            ("grpc+unix:///run/a.sock", unix("/run/a.sock")),
            ("http://127.0.0.1:1", tcp("http://127.0.0.1:1")),
            ("grpc://[::1]:5", tcp("http://[::1]:5")),
            ("https://a.example:1", tcp("https://a.example:1")),
            ("grpc+tls://a.example:1", tcp("https://a.example:1")),
        ] {
            assert_eq!(text.parse::<Address>().unwrap(), expected, "{text}");
        }
        for text in ["", "unix:relative", "ftp://x:1", "http://noport", "https://noport"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_tcp_without_tls_beyond_this_host_is_exposed() {
        for (text, exposed) in [
            ("/run/a.sock", false),
            ("http://127.0.0.1:1", false),
            ("http://[::1]:1", false),
            ("http://localhost:1", false),
            ("http://localhost.example:1", true),
            ("http://192.0.2.1:1", true),
            ("http://127.0.0.1:1@example.org:1", true),
            ("http://localhost:1@example.org:1", true),
            ("https://192.0.2.1:1", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_exposed(), exposed, "{text}");
        }
    }
}
