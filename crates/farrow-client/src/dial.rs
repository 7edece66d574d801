//! Connecting to an agent's unix socket.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use rustix::process::geteuid;
use tokio::net::UnixStream;
use tonic::codegen::Service;
use tonic::transport::Uri;

use crate::address::Address;
use crate::error::ClientError;
use crate::unreached::unreached;

/// Connects to the socket of an address as often as need be. Each time it looks who is at the other end, before anything
/// is sent.
#[derive(Debug, Clone)]
pub(crate) struct Dial(pub(crate) Address);

impl Dial {
    /// A connection, to an agent that may be believed.
    pub(crate) async fn connect(&self) -> Result<UnixStream, ClientError> {
        let no_agent = |source| unreached(&self.0, source);
        let path = self.0.socket().ok_or_else(|| no_agent("it is no unix socket".into()))?;
        let stream = UnixStream::connect(path).await.map_err(|error| no_agent(error.into()))?;
        if matches!(self.0, Address::Default(_)) {
            let peer = stream.peer_cred().map_err(|error| no_agent(error.into()))?.uid();
            let owner = owner_of_directory(path).map_err(|error| no_agent(error.into()))?;
            check(path, peer, owner)?;
        }
        Ok(stream)
    }
}

/// Refuses an agent that runs as `peer` at a default place, unless it is believed there.
fn check(path: &Path, peer: u32, owner: u32) -> Result<(), ClientError> {
    let user = geteuid().as_raw();
    if [0, user, owner].contains(&peer) {
        return Ok(());
    }
    Err(ClientError::Stranger { path: path.to_owned(), peer, owner, user })
}

fn owner_of_directory(socket: &Path) -> std::io::Result<u32> {
    Ok(socket.parent().unwrap_or(Path::new("/")).metadata()?.uid())
}

impl Service<Uri> for Dial {
    type Response = TokioIo<UnixStream>;
    type Error = ClientError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ClientError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move { dial.connect().await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_this_users_roots_or_the_directory_owners() {
        let user = geteuid().as_raw();
        let path = Path::new("/run/farrow/agent.sock");
        for peer in [0, user, 4711] {
            check(path, peer, 4711).unwrap();
        }
        let refused = check(path, user + 1, 4711).unwrap_err().to_string();
        assert!(refused.contains(&format!("runs as user {}", user + 1)), "{refused}");
    }
}
