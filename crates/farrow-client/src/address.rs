//! The address of an agent.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use farrow_proto::{SOCKET_NAME, SYSTEM_DIRECTORY};
use farrow_region::trust::check_directory;

use crate::error::ClientError;

/// Environment variable that names the agent's address.
const VARIABLE: &str = "FARROW_ADDRESS";

/// The address of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The path of its unix socket: frames can be mapped and published.
    Unix(PathBuf),
    /// The same, where agents are looked for if nobody says. One of another user is not believed there: it must run as
    /// this user, as root, or as the owner of the socket's directory.
    Default(PathBuf),
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
        if let Some(address) = std::env::var(VARIABLE).ok().filter(|address| !address.is_empty()) {
            return address.parse();
        }
        Self::found(&farrow_proto::own_directory(), Path::new(SYSTEM_DIRECTORY))
    }

    /// The path of the unix socket, if it is one.
    pub fn socket(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) | Self::Default(path) => Some(path),
            Self::Tcp(_) => None,
        }
    }

    /// The socket in one of two directories: an agent is told tokens, and believed when it says that bytes are validated, so
    /// not one that another user put in our way.
    fn found(own: &Path, system: &Path) -> Result<Self, ClientError> {
        let (socket, of_system) = (own.join(SOCKET_NAME), system.join(SOCKET_NAME));
        let distrusted = match check_directory(own) {
            _ if own == system || !socket.exists() => None,
            Ok(()) => return Ok(Self::Default(socket)),
            Err(distrust) => Some(distrust),
        };
        if !of_system.exists() {
            return distrusted.map_or(Ok(Self::Default(of_system)), |distrust| Err(distrust.into()));
        }
        // It may be any user's whom root has given it to.
        if let Some(above) = system.parent() {
            check_directory(above)?;
        }
        Ok(Self::Default(of_system))
    }

    /// The places where an agent would have been taken before this address, and the reasons why it was not, if nobody has
    /// named this one.
    pub(crate) fn passed_over(&self) -> Vec<String> {
        let Self::Default(taken) = self else { return Vec::new() };
        let own = farrow_proto::own_directory();
        let socket = own.join(SOCKET_NAME);
        let mut passed: Vec<String> = farrow_proto::runtime_directory_fault().into_iter().collect();
        if socket != *taken {
            let why = match (std::fs::symlink_metadata(&socket), check_directory(&own)) {
                (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => {
                    "there is no socket".into()
                }
                (Err(error), _) => error.to_string(),
                (Ok(_), Err(distrust)) => distrust.to_string(),
                (Ok(_), Ok(())) => "it has come since".into(),
            };
            passed.push(format!("{}: {why}", socket.display()));
        }
        passed
    }

    /// True if the agent speaks TLS there.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp(uri) if uri.starts_with("https://"))
    }

    /// True if others on the network could read what is sent there: another host, without TLS.
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

    /// A path (one without `/` has no colon, and is neither `localhost` nor an IP address), `unix:PATH`, `grpc+unix://PATH`, `HOST:PORT`, `http://HOST:PORT`, `grpc://HOST:PORT` or
    /// `grpc+tcp://HOST:PORT`; over TLS `https://HOST:PORT` or `grpc+tls://HOST:PORT`. A file of the name `HOST:PORT` is
    /// `./HOST:PORT`.
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
        if text.is_empty() || text.contains("://") {
            return Err(invalid());
        }
        if let Some(host) = host_alone(text) {
            return Err(ClientError::NoPort { found: text.to_owned(), host });
        }
        if is_host_and_port(text) {
            return Ok(Self::Tcp(format!("http://{text}")));
        }
        // It may be meant as a host, a scheme or a name: of a path there is no doubt.
        if text.contains(':') && !text.contains('/') {
            return Err(invalid());
        }
        Ok(Self::Unix(text.into()))
    }
}

/// A host that cannot be meant as a path, as it stands before a port.
fn host_alone(text: &str) -> Option<String> {
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match address.parse() {
        Ok(IpAddr::V6(address)) => Some(format!("[{address}]")),
        Ok(IpAddr::V4(address)) => Some(address.to_string()),
        Err(_) => text.eq_ignore_ascii_case("localhost").then(|| text.to_owned()),
    }
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.ends_with(']'),
        None => !host.is_empty() && !host.contains([':', '/']),
    };
    is_host && !port.starts_with('+') && port.parse::<u16>().is_ok()
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) | Self::Default(path) => path.display().fmt(f),
            Self::Tcp(uri) => uri.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

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
            ("grpc+tcp://a.example:1", tcp("http://a.example:1")),
            ("127.0.0.1:8815", tcp("http://127.0.0.1:8815")),
            ("localhost:8815", tcp("http://localhost:8815")),
            ("[::1]:8815", tcp("http://[::1]:8815")),
            ("./localhost:8815", unix("./localhost:8815")),
            ("/tmp/a:8815", unix("/tmp/a:8815")),
            ("./localhost:88150", unix("./localhost:88150")),
            ("./127.0.0.1", unix("./127.0.0.1")),
            ("./a:", unix("./a:")),
        ] {
            assert_eq!(text.parse::<Address>().unwrap(), expected, "{text}");
        }
        for text in ["", "unix:relative", "ftp://x:1", "http://noport", "https://noport"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        for text in ["foo:bar:baz", "a:", "localhost:88150", "grpc:a"] {
            let told = text.parse::<Address>().map_err(|error| error.to_string());
            let name = format!("; a socket of that name is ./{text}");
            assert!(told.clone().is_err_and(|told| told.ends_with(&name)), "{told:?}");
        }
        for (text, host) in
            [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]"), ("localhost", "localhost")]
        {
            let told = text.parse::<Address>().unwrap_err().to_string();
            assert!(told.contains(&format!("without a port. Try: {host}:PORT, or ./{text} ")), "{told}");
        }
    }

    #[test]
    fn a_socket_is_found_only_where_nobody_else_could_have_put_it() {
        let place = tempfile::tempdir().unwrap();
        let directory = |name: &str, socket: bool| {
            let path = place.path().canonicalize().unwrap().join(name);
            fs::create_dir_all(&path).unwrap();
            if socket {
                fs::write(path.join(SOCKET_NAME), "").unwrap();
            }
            path
        };
        let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let socket = |directory: &Path| Address::Default(directory.join(SOCKET_NAME));
        let (own, system) = (directory("own", true), directory("run/farrow", true));
        let (empty, run) = (directory("empty", false), directory("run", false));
        assert_eq!(Address::found(&own, &system).unwrap(), socket(&own));
        assert_eq!(Address::found(&empty, &system).unwrap(), socket(&system));
        // One that others may write is passed over, if there is the host's.
        open(&own, 0o777);
        assert_eq!(Address::found(&own, &system).unwrap(), socket(&system));
        let refused = Address::found(&own, &empty).unwrap_err().to_string();
        assert!(refused.contains("its mode 0777"), "{refused}");
        // That may be anybody's to whom root has given it, but not made by just anybody.
        open(&system, 0o777);
        assert_eq!(Address::found(&empty, &system).unwrap(), socket(&system));
        open(&run, 0o777);
        let refused = Address::found(&empty, &system).unwrap_err().to_string();
        assert!(refused.contains(&format!("{}: its mode 0777", run.display())), "{refused}");
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
            ("192.0.2.1:1", true),
            ("127.0.0.1:1", false),
            ("http://127.0.0.1:1@example.org:1", true),
            ("http://localhost:1@example.org:1", true),
            ("https://192.0.2.1:1", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_exposed(), exposed, "{text}");
        }
    }
}
