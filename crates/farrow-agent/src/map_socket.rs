//! The map socket: read-only descriptors of the medium for applications that have no right on it. Its messages,
//! byte by byte, are in `proto/farrow/v1/map_socket.proto`.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use farrow_proto::{map_socket, v1};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tonic::metadata::MetadataMap;

use crate::access::Access;
use crate::caller::Caller;
use crate::error::{AgentError, chain};
use crate::leases::Leases;
use crate::listen::{Accept, Peer, peer_of};
use crate::places::{Place, Places, Room};
use crate::region::Region;
use crate::status;
use crate::user::User;

/// The time that a client may take for its request. It has sent it before the agent looks, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that are served at a time, which users share. One that has asked for nothing yet gives way.
const CONNECTIONS: usize = 256;

/// Connections of root and the agent's own user beyond those.
const RESERVE: usize = 16;

/// The server of the map socket.
#[derive(Clone)]
pub(crate) struct MapSocket {
    region: Arc<Region>,
    access: Arc<Access>,
    leases: Arc<Leases>,
    places: Arc<Places>,
}

impl MapSocket {
    /// Gives out descriptors of `region`, to whom `access` lets, and pages to every process.
    pub(crate) fn new(region: Arc<Region>, access: Arc<Access>, leases: Arc<Leases>) -> Self {
        Self { region, access, leases, places: Places::new(Duration::ZERO) }
    }

    /// Serves for as long as it is polled.
    pub(crate) async fn serve(&self, listener: UnixListener) -> Infallible {
        let mut accept = Accept::new();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    accept.succeeded();
                    let (socket, entered) = (self.clone(), self.enter(&stream));
                    tokio::spawn(async move {
                        let served = tokio::time::timeout(PATIENCE, socket.converse(stream, entered)).await;
                        if let Err(error) = served.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                            tracing::debug!(%error, "a client of the map socket went without an answer");
                        }
                    });
                }
                Err(error) => {
                    self.places.oust_any();
                    accept.failed("map", &error).await;
                }
            }
        }
    }

    /// A place for a connection, or how many its user has.
    fn enter(&self, stream: &UnixStream) -> Result<Place, usize> {
        let user = stream.peer_cred().map_or(User::Anonymous, |peer| User::Unix(peer.uid()));
        let reserve = if user.is_administrator() { RESERVE } else { 0 };
        let entered = self.places.enter(&user, Room { total: CONNECTIONS, reserve });
        entered.map(|(place, _)| place).map_err(|full| full.has)
    }

    /// One request, one answer. An error is one of the connection.
    async fn converse(&self, mut stream: UnixStream, entered: Result<Place, usize>) -> io::Result<()> {
        let peer = stream.peer_cred()?;
        let given = match &entered {
            Ok(place) => tokio::select! {
                given = self.descriptor(&mut stream) => given?,
                () = place.ousted() => return Err(io::ErrorKind::ConnectionAborted.into()),
            },
            Err(count) => Err(AgentError::MapConnections { count: *count, uid: peer.uid() }),
        };
        let refusal = match given {
            Ok((descriptor, page)) => {
                let answer = v1::MapSocketAnswer { page, ..Default::default() };
                match send(&stream, &answer, Some(&descriptor)).await {
                    // More than the agent may have on their way: taken by clients who then do not read them.
                    Err(error)
                        if error.raw_os_error() == Some(rustix::io::Errno::TOOMANYREFS.raw_os_error()) =>
                    {
                        AgentError::Pass(error)
                    }
                    sent => return sent,
                }
            }
            Err(refusal) => refusal,
        };
        let (reason, text) = (status::reason(&refusal).as_str().to_owned(), chain(&refusal));
        tracing::debug!(uid = peer.uid(), pid = peer.pid(), error = text, "no descriptor given");
        send(&stream, &v1::MapSocketAnswer { reason, text, page: 0 }, None).await
    }

    /// Returns what a client asks for, and the number of the page that it is (0: none).
    async fn descriptor(&self, stream: &mut UnixStream) -> io::Result<Result<(OwnedFd, u64), AgentError>> {
        let mut len = [0; map_socket::LEN];
        stream.read_exact(&mut len).await?;
        let mut request = [0; map_socket::MAX_REQUEST];
        let (len, most) = (map_socket::message_len(len), request.len());
        let Some(request) = request.get_mut(..len) else {
            return Ok(Err(AgentError::MapRequest { len, most }));
        };
        stream.read_exact(request).await?;
        let peer = match peer_of(stream) {
            Ok(peer) => peer,
            Err(error) => return Ok(Err(AgentError::Pass(error))),
        };
        let given = || {
            let request = map_socket::decode_request(request)?;
            if request.page {
                // It opens nothing: everybody may have one.
                return match &peer {
                    Peer::Process { process, .. } => self.leases.page(process),
                    _ => Err(AgentError::NeedsUnixSocket { verb: "a page", address: None }),
                };
            }
            let caller =
                Caller::of(Some(&peer), &MetadataMap::new(), self.access.rights(), "the map socket")?;
            caller.may_map()?;
            Ok((self.region.descriptor(&request)?, 0))
        };
        Ok(given())
    }
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
