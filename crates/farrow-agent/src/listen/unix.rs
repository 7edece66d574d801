//! Connections over the unix socket: the kernel names their process.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, anyhow, bail};
use farrow_region::FileIdentity;
use farrow_region::shell::operand;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::server::Connected;

use super::admission::Incoming;
use super::{AuthorityRepair, Peer};
use crate::caller::UnixUser;
use crate::lock_holder::until_the_dying_are_gone;
use crate::process::Process;
use crate::user::User;

/// Bytes of a socket's path that Linux takes (sockaddr_un, without its final NUL).
const MAX_SOCKET_PATH: usize = 107;

/// The file of a bound unix socket; it is removed when this is dropped, unless another is there by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: FileIdentity,
}

impl SocketFile {
    /// Binds a unix socket at `path`, in a directory that is there. A socket that a dead agent left behind is replaced; one
    /// that answers is not.
    pub(crate) fn bind(path: &Path) -> anyhow::Result<(Self, UnixListener)> {
        check_place(path).map_err(|problem| anyhow!("socket {problem}"))?;
        if path.symlink_metadata().is_ok() {
            if !until_the_dying_are_gone(|| server(path)) {
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
        let identity =
            FileIdentity::at(path).with_context(|| format!("socket {}: look at it", path.display()))?;
        Ok((Self { path: path.to_owned(), identity }, listener))
    }

    /// Returns where the socket is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Self { path, identity } = self;
        let removed = FileIdentity::at(path).and_then(|found| match found == *identity {
            true => std::fs::remove_file(&*path),
            false => Err(io::Error::other("another agent's is there by now")),
        });
        if let Err(error) = removed {
            tracing::warn!(socket = %path.display(), %error, "the socket was not removed");
        }
    }
}

/// Returns what is wrong with `path` as the place of a socket.
pub(crate) fn check_place(path: &Path) -> Result<(), String> {
    let (place, len) = (path.display(), path.as_os_str().len());
    if len > MAX_SOCKET_PATH {
        return Err(format!(
            "{place}: the path has {len} bytes, a unix socket takes {MAX_SOCKET_PATH}: choose a shorter one"
        ));
    }
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    if let Some(directory) = directory {
        match directory.metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(format!("{place}: {} is no directory: choose another path", directory.display()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(format!(
                    "{place}: there is no directory {}: make it (`install -d {}`), or choose another path",
                    directory.display(),
                    operand(directory.display())
                ));
            }
            Err(error) => return Err(format!("{}: {error}", directory.display())),
        }
    }
    match path.symlink_metadata() {
        Ok(found) if !found.file_type().is_socket() => {
            Err(format!("{place}: something that is no socket is there: choose another path"))
        }
        _ => Ok(()),
    }
}

/// The process that serves on the socket at `path`; 0 if it is not known which, `None` if none does.
fn server(path: &Path) -> Option<u32> {
    let stream = std::os::unix::net::UnixStream::connect(path).ok()?;
    // Whoever listens is the peer of who connects.
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok();
    Some(peer.and_then(|peer| u32::try_from(peer.pid.as_raw_nonzero().get()).ok()).unwrap_or(0))
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
    pub(super) fn new(stream: UnixStream, peer: Peer) -> Self {
        Self { stream, peer, repair: AuthorityRepair::new() }
    }
}

/// Finds who connected to a unix socket. Its user and groups stay what they were when this was asked.
///
/// # Errors
/// The agent has too few descriptors or too little memory to look: not whoever connected is to have less for it.
pub(crate) fn peer_of(stream: &UnixStream) -> io::Result<Peer> {
    let Ok(credentials) = stream.peer_cred() else { return Ok(Peer::Unnamed { user: None }) };
    let (uid, gid) = (credentials.uid(), credentials.gid());
    let unnamed = || Peer::Unnamed { user: Some(Arc::new(UnixUser { uid, gid, groups: Vec::new() })) };
    // 0 is how a process of another pid namespace looks.
    let Some(pid) = credentials.pid().filter(|pid| *pid > 0) else { return Ok(unnamed()) };
    match Process::of_peer(stream.as_fd(), pid, uid) {
        Ok((process, groups)) => {
            Ok(Peer::Process { process: Arc::new(process), user: Arc::new(UnixUser { uid, gid, groups }) })
        }
        Err(error) if is_want(&error) => Err(error),
        Err(error) => {
            tracing::debug!(pid, %error, "a peer that ended while it connected");
            Ok(unnamed())
        }
    }
}

/// Checks whether the system has too little of something, of which there may be enough later.
fn is_want(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS]
        .map(Errno::raw_os_error)
        .map(Some)
        .contains(&error.raw_os_error())
}

impl Incoming for UnixConnection {
    /// Of HTTP/2's preface (RFC 9113, section 3.4).
    const GREETING_BYTES: usize = 24;

    fn user(&self) -> User {
        self.peer.user()
    }
}

impl Connected for UnixConnection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// Accepts connections over the unix socket, as a stream.
pub(crate) struct UnixConnections {
    listener: UnixListener,
    /// One whose process could not be asked for, yet.
    unknown: Option<UnixStream>,
}

impl UnixConnections {
    /// Takes connections from `listener`.
    pub(crate) fn new(listener: UnixListener) -> Self {
        Self { listener, unknown: None }
    }

    /// The next one. After an error of `peer_of` that is the same again, when it is asked for again.
    fn poll_known(
        &mut self,
        cx: &mut Context<'_>,
        peer_of: impl FnOnce(&UnixStream) -> io::Result<Peer>,
    ) -> Poll<io::Result<UnixConnection>> {
        let stream = match self.unknown.take() {
            Some(stream) => stream,
            None => ready!(self.listener.poll_accept(cx))?.0,
        };
        Poll::Ready(match peer_of(&stream) {
            Ok(peer) => Ok(UnixConnection::new(stream, peer)),
            Err(error) => {
                self.unknown = Some(stream);
                Err(error)
            }
        })
    }
}

impl futures::Stream for UnixConnections {
    type Item = io::Result<UnixConnection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_known(cx, peer_of).map(Some)
    }
}

impl AsyncRead for UnixConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
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
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn who_connected_is_asked_again_where_descriptors_were_wanting() {
        let directory = tempfile::tempdir().unwrap();
        let (file, listener) = SocketFile::bind(&directory.path().join("socket")).unwrap();
        let mut connections = UnixConnections::new(listener);
        let _mine = UnixStream::connect(file.path()).await.unwrap();
        for errno in [Errno::MFILE, Errno::NFILE] {
            let wanting = |_: &UnixStream| Err(errno.into());
            let error = poll_fn(|cx| connections.poll_known(cx, wanting)).await.err().unwrap();
            assert!(is_want(&error), "{error}");
        }
        let known = poll_fn(|cx| connections.poll_known(cx, peer_of)).await.unwrap();
        assert!(matches!(known.peer, Peer::Process { .. }));
        assert!(!is_want(&Errno::SRCH.into()));
    }
}
