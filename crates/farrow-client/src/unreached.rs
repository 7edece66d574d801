//! Reasons why an agent could not be reached, with advice.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt as _;

use farrow_region::denial::{Permission, denial};
use farrow_region::shell::word;

use crate::address::Address;
use crate::error::ClientError;

/// The error of a connection that could not be made.
pub(crate) fn unreached(address: &Address, source: Box<dyn Error + Send + Sync>) -> ClientError {
    let system = source.downcast_ref::<io::Error>();
    if let Some(socket) = address.socket()
        && system.is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
    {
        let problem = denial(socket, Permission::Write);
        return ClientError::SocketClosed { socket: socket.to_owned(), problem };
    }
    let what = system.map_or_else(|| source.to_string(), |error| told(address, error));
    ClientError::NoAgent {
        address: address.to_string(),
        passed_over: passed_over(address),
        what,
        advice: advice(address),
        cause: source,
    }
}

/// Explains the system's reason.
fn told(address: &Address, error: &io::Error) -> String {
    let Some(socket) = address.socket() else { return error.to_string() };
    let kind = std::fs::metadata(socket).map(|found| found.file_type());
    match (error.kind(), kind) {
        (ErrorKind::NotFound, _) => match socket.parent() {
            Some(directory) if !directory.as_os_str().is_empty() && !directory.exists() => {
                format!("there is no directory {}", directory.display())
            }
            _ => "there is no socket".to_owned(),
        },
        (_, Ok(kind)) if kind.is_dir() => "it is a directory, not a socket".to_owned(),
        (_, Ok(kind)) if !kind.is_socket() => "it is no socket".to_owned(),
        (ErrorKind::ConnectionRefused, Ok(_)) => {
            "nobody serves on the socket, which an agent that ended has left".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Says where else an agent would have been taken, and why it was not: with a comma before it.
fn passed_over(address: &Address) -> String {
    let passed: Vec<String> =
        address.passed_over().into_iter().map(|place| format!(", nor at {place}")).collect();
    passed.concat()
}

fn advice(address: &Address) -> String {
    let start = match address {
        Address::Default(_) => "`farrow-agent --region PATH`".to_owned(),
        Address::Unix(path) => format!("`farrow-agent --region PATH --socket {}`", word(path.display())),
        Address::Tcp(uri) => {
            let host = uri.split_once("://").map_or(&**uri, |(_, host)| host);
            return format!(
                "See that the name is right, and that an agent listens there (tcp.listen in its agent.toml, or \
                 `farrow-agent --region PATH --listen {}`)",
                word(host.trim_end_matches('/'))
            );
        }
    };
    format!("Start one: {start}; or name another address, by $FARROW_ADDRESS for example")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn told_of(address: &Address, error: ErrorKind) -> String {
        unreached(address, Box::new(io::Error::from(error))).to_string()
    }

    #[test]
    fn what_is_there_is_told_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        drop(UnixListener::bind(at("left")).unwrap());
        std::fs::write(at("file"), "").unwrap();
        for (name, error, told) in [
            ("none", ErrorKind::NotFound, "there is no socket".to_owned()),
            ("no/socket", ErrorKind::NotFound, format!("there is no directory {}", at("no").display())),
            ("left", ErrorKind::ConnectionRefused, "nobody serves on the socket".to_owned()),
            ("file", ErrorKind::ConnectionRefused, "it is no socket".to_owned()),
            ("", ErrorKind::ConnectionRefused, "it is a directory".to_owned()),
        ] {
            let path = at(name);
            let unreached = unreached(&Address::Unix(path.clone()), Box::new(io::Error::from(error)));
            let text = crate::chain(&unreached);
            assert!(
                text.ends_with("by $FARROW_ADDRESS for example"),
                "nothing stands behind the advice: {text}"
            );
            assert!(text.starts_with(&format!("no agent at {}: {told}", path.display())), "{text}");
            assert!(
                text.contains(&format!("`farrow-agent --region PATH --socket {}`", path.display())),
                "{text}"
            );
        }
        let text = told_of(&"127.0.0.1:1".parse().unwrap(), ErrorKind::ConnectionRefused);
        assert!(text.ends_with("`farrow-agent --region PATH --listen 127.0.0.1:1`)"), "{text}");
    }
}
