//! The map socket: read-only descriptors of the medium for applications that have no right on it. What is said on it,
//! byte by byte: `proto/farrow/v1/map_socket.proto`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farrow_proto::{map_socket, v1};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;

use crate::access::Access;
use crate::caller::Caller;
use crate::error::{AgentError, chain};
use crate::listen::peer_of;
use crate::region::Region;
use crate::status;

/// How long a client may take for its request. It has sent it before the agent looks, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that are served at a time. The next wait to be accepted.
const CONNECTIONS: usize = 256;

/// Connections of one user that are served at a time, so that nobody keeps others waiting. The next are refused.
const CONNECTIONS_OF_USER: usize = 64;

/// Before connections are accepted again when the system had no descriptor for one.
const PAUSE: Duration = Duration::from_millis(100);

/// What answers on the map socket.
pub(crate) struct MapSocket {
    region: Arc<Region>,
    access: Arc<Access>,
    /// Connections that are being served, by user.
    users: Arc<Mutex<HashMap<u32, usize>>>,
}

impl MapSocket {
    /// Gives out descriptors of `region`, to whom `access` lets.
    pub(crate) fn new(region: Arc<Region>, access: Arc<Access>) -> Self {
        Self { region, access, users: Arc::default() }
    }

    /// Serves for as long as it is polled.
    pub(crate) async fn serve(&self, listener: UnixListener) -> Infallible {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // Nobody closes the semaphore: without a permit there is only no limit.
            let permit = connections.clone().acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (region, access) = (self.region.clone(), self.access.clone());
                    let users = self.users.clone();
                    tokio::spawn(async move {
                        let _permit = permit;
                        let served =
                            tokio::time::timeout(PATIENCE, converse(stream, &region, &access, &users)).await;
                        if let Err(error) = served.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                            tracing::debug!(%error, "a client of the map socket went without an answer");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the map socket could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// One request, one answer. An error is one of the connection.
async fn converse(
    mut stream: UnixStream,
    region: &Region,
    access: &Access,
    users: &Arc<Mutex<HashMap<u32, usize>>>,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let entered = Entered::enter(users, peer.uid());
    let given = match &entered {
        Ok(_) => descriptor(&mut stream, region, access).await?,
        Err(count) => Err(AgentError::MapConnections { count: *count, uid: peer.uid() }),
    };
    let refusal = match given {
        Ok(descriptor) => match send(&stream, &v1::MapSocketAnswer::default(), Some(&descriptor)).await {
            // More than the agent may have on their way: taken by clients who then do not read them.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::TOOMANYREFS.raw_os_error()) => {
                AgentError::Pass(error)
            }
            sent => return sent,
        },
        Err(refusal) => refusal,
    };
    let (reason, text) = (status::reason(&refusal).as_str().to_owned(), chain(&refusal));
    tracing::debug!(uid = peer.uid(), pid = peer.pid(), error = text, "no descriptor given");
    send(&stream, &v1::MapSocketAnswer { reason, text }, None).await
}

/// What a client asks for.
async fn descriptor(
    stream: &mut UnixStream,
    region: &Region,
    access: &Access,
) -> io::Result<Result<OwnedFd, AgentError>> {
    let mut len = [0; map_socket::LEN];
    stream.read_exact(&mut len).await?;
    let mut request = [0; map_socket::MAX_REQUEST];
    let (len, most) = (map_socket::message_len(len), request.len());
    let Some(request) = request.get_mut(..len) else {
        return Ok(Err(AgentError::MapRequest { len, most }));
    };
    stream.read_exact(request).await?;
    let peer = peer_of(stream);
    let given = || {
        let request = map_socket::decode_request(request)?;
        Caller::of(Some(&peer), &MetadataMap::new(), access.rights(), "the map socket")?.may_map()?;
        region.descriptor(&request)
    };
    Ok(given())
}

/// Sends an answer, all of it at once: it is far shorter than what a socket takes.
async fn send(
    stream: &UnixStream,
    answer: &v1::MapSocketAnswer,
    descriptor: Option<&OwnedFd>,
) -> io::Result<()> {
    let bytes = map_socket::encode_answer(answer);
    let sent = stream.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = descriptor.into_iter().map(AsFd::as_fd).collect();
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("no room for a descriptor"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(sendmsg(stream, &[IoSlice::new(&bytes)], &mut control, flags)?)
    });
    if sent.await? == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// A connection that is counted for its user; dropping it ends that.
struct Entered {
    users: Arc<Mutex<HashMap<u32, usize>>>,
    uid: u32,
}

impl Entered {
    /// One connection more of a user, or how many there are if that would be too many.
    fn enter(users: &Arc<Mutex<HashMap<u32, usize>>>, uid: u32) -> Result<Self, usize> {
        let mut counts = users.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(uid).or_default();
        if *count >= CONNECTIONS_OF_USER {
            return Err(*count);
        }
        *count += 1;
        Ok(Self { users: users.clone(), uid })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut counts = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}
