//! Connections over the unix socket: the kernel names their process.

use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::server::Connected;

use super::{AuthorityRepair, Peer};
use crate::caller::UnixUser;
use crate::process::Process;

/// Bytes of a socket's path that Linux takes (sockaddr_un, without its final NUL).
const MAX_SOCKET_PATH: usize = 107;

/// The file of a bound unix socket; it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl SocketFile {
    /// Binds a unix socket at `path`, making its directory if need be. A socket that a dead agent left behind is
    /// replaced; one that answers is not.
    pub(crate) fn bind(path: &Path) -> anyhow::Result<(Self, UnixListener)> {
        let len = path.as_os_str().len();
        if len > MAX_SOCKET_PATH {
            bail!(
                "socket {}: the path has {len} bytes, a unix socket takes {MAX_SOCKET_PATH}: choose a shorter one",
                path.display()
            );
        }
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("socket {}: make its directory", path.display()))?;
        }
        if let Ok(found) = std::fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                bail!("socket {}: something that is no socket is there: choose another path", path.display());
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                bail!(
                    "socket {}: another agent serves there: stop it, or choose another path with --socket",
                    path.display()
                );
            }
            std::fs::remove_file(path).with_context(|| {
                format!("socket {}: remove the one that a dead agent left", path.display())
            })?;
        }
        let listener =
            UnixListener::bind(path).with_context(|| format!("socket {}: bind", path.display()))?;
        Ok((Self(path.to_owned()), listener))
    }

    /// Where the socket is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(socket = %self.0.display(), %error, "the socket could not be removed");
        }
    }
}

/// The name of the map socket beside the agent's socket at `path`.
pub(crate) fn map_socket_name(path: &Path) -> String {
    farrow_proto::map_socket::name(&path.file_name().unwrap_or_default().to_string_lossy())
}

/// One connection over the unix socket.
pub(crate) struct UnixConnection {
    stream: UnixStream,
    peer: Peer,
    repair: AuthorityRepair,
}

impl UnixConnection {
    fn new(stream: UnixStream) -> Self {
        let peer = peer_of(&stream);
        Self { stream, peer, repair: AuthorityRepair::new() }
    }
}

/// Who connected to a unix socket. Its user and groups stay what they were when this was asked.
pub(crate) fn peer_of(stream: &UnixStream) -> Peer {
    let Ok(credentials) = stream.peer_cred() else { return Peer::Unnamed { user: None } };
    let (uid, gid) = (credentials.uid(), credentials.gid());
    // 0 is how a process of another pid namespace looks.
    let process = credentials.pid().filter(|pid| *pid > 0).and_then(|pid| {
        Process::of_peer(stream.as_fd(), pid, uid)
            .inspect_err(|error| tracing::debug!(pid, %error, "a peer that ended while it connected"))
            .ok()
    });
    match process {
        Some((process, groups)) => {
            Peer::Process { process: Arc::new(process), user: Arc::new(UnixUser { uid, gid, groups }) }
        }
        None => Peer::Unnamed { user: Some(Arc::new(UnixUser { uid, gid, groups: Vec::new() })) },
    }
}

impl Connected for UnixConnection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// Accepts connections over the unix socket, as a stream.
pub(crate) struct UnixConnections(UnixListener);

impl UnixConnections {
    /// Takes connections from `listener`.
    pub(crate) fn new(listener: UnixListener) -> Self {
        Self(listener)
    }
}

impl futures::Stream for UnixConnections {
    type Item = std::io::Result<UnixConnection>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_accept(cx).map(|accepted| Some(accepted.map(|(stream, _)| UnixConnection::new(stream))))
    }
}

impl AsyncRead for UnixConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if matches!(read, Poll::Ready(Ok(()))) {
            let filled = buf.filled_mut();
            if let Some(new) = filled.get_mut(before..) {
                this.repair.process(new);
            }
        }
        read
    }
}

impl AsyncWrite for UnixConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
