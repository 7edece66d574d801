//! Asking an agent for a descriptor of its medium. The messages are in `proto/farrow/v1/map_socket.proto`.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use farrow_proto::{FramingError, map_socket, v1};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, send, socket_with,
};

/// The time that an agent may take. It answers within a tenth of a millisecond.
const PATIENCE: Duration = Duration::from_secs(5);

/// Descriptors that are looked for: one more than there may be.
const DESCRIPTORS: usize = 2;

/// The reason why there is no descriptor.
#[derive(Debug, thiserror::Error)]
#[error("map socket {}: {source}", path.display())]
pub struct MapSocketError {
    /// The place where it was looked for.
    path: PathBuf,
    source: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    /// It cannot be reached, or does not answer.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The agent refused.
    #[error("{text} ({reason})")]
    Refused { reason: String, text: String },
    /// It is no map socket.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The answer is longer than one may be.
    #[error("an answer of {len} bytes, it has at most {most}: not made by farrow")]
    Answer { len: usize, most: usize },
    /// The answer said that a descriptor came with it.
    #[error("{count} descriptors came with the answer, not one{}", if *truncated { ", and some were cut off" } else { "" })]
    Descriptors { count: usize, truncated: bool },
    /// It gave a file of the medium.
    #[error("the agent knows of no pages: it is older than this client")]
    NoPages,
}

/// A descriptor of what `request` names, from the agent whose map socket is at `path`. It is open for reading only.
///
/// Waits for the agent, for ten seconds if it does not answer.
pub(crate) fn descriptor(path: &Path, request: &v1::MapSocketRequest) -> Result<File, MapSocketError> {
    let (file, _) = ask(path, request).map_err(|source| MapSocketError { path: path.to_owned(), source })?;
    Ok(file)
}

/// A page for this process, as [`descriptor`] gets its files, and its number.
pub(crate) fn page(path: &Path, region: &Bytes) -> Result<(File, u64), MapSocketError> {
    let request = v1::MapSocketRequest { region_uuid: region.clone(), page: true, ..Default::default() };
    let given = ask(path, &request).and_then(|(file, page)| match page {
        0 => Err(Fault::NoPages),
        _ => Ok((file, page)),
    });
    given.map_err(|source| MapSocketError { path: path.to_owned(), source })
}

/// Returns what came, and the number of the page that it is.
fn ask(path: &Path, request: &v1::MapSocketRequest) -> Result<(File, u64), Fault> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(io::Error::from)?;
    // Also the wait for an agent that accepts nothing.
    for which in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, which, Some(PATIENCE)).map_err(io::Error::from)?;
    }
    let address = SocketAddrUnix::new(path).map_err(io::Error::from)?;
    retry_on_intr(|| connect(&socket, &address)).map_err(timed_out)?;
    // All of it fits at once. An agent that has closed already has said why before.
    let request = map_socket::encode_request(request);
    let sent = retry_on_intr(|| send(&socket, &request, SendFlags::NOSIGNAL));
    match (answer(&socket), sent) {
        (Err(Fault::Io(_)), Err(error)) => Err(timed_out(error).into()),
        (answer, _) => answer,
    }
}

fn answer(socket: &OwnedFd) -> Result<(File, u64), Fault> {
    let mut incoming = Incoming { socket, descriptors: Vec::new(), truncated: false };
    let (mut len, mut message) = ([0; map_socket::LEN], [0; map_socket::MAX_ANSWER]);
    incoming.read(&mut len)?;
    let (len, most) = (map_socket::message_len(len), message.len());
    let message = message.get_mut(..len).ok_or(Fault::Answer { len, most })?;
    incoming.read(message)?;
    let v1::MapSocketAnswer { reason, text, page } = map_socket::decode_answer(message)?;
    if !reason.is_empty() {
        return Err(Fault::Refused { reason, text });
    }
    let Incoming { mut descriptors, truncated, .. } = incoming;
    let count = descriptors.len();
    match descriptors.pop() {
        Some(descriptor) if count == 1 && !truncated => Ok((descriptor.into(), page)),
        _ => Err(Fault::Descriptors { count, truncated }),
    }
}

/// The data that comes over a socket.
struct Incoming<'a> {
    socket: &'a OwnedFd,
    descriptors: Vec<OwnedFd>,
    /// True if there were more than were looked for.
    truncated: bool,
}

impl Incoming<'_> {
    /// Fills `out`, and takes the descriptors that come with it.
    fn read(&mut self, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let received = retry_on_intr(|| {
                let into = &mut [IoSliceMut::new(out)];
                recvmsg(self.socket, into, &mut control, RecvFlags::CMSG_CLOEXEC)
            });
            let received = received.map_err(timed_out)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    self.descriptors.extend(descriptors);
                }
            }
            self.truncated |= received.flags.contains(ReturnFlags::CTRUNC);
            if received.bytes == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the agent closed the connection before its answer was complete",
                ));
            }
            out = out.get_mut(received.bytes..).unwrap_or_default();
        }
        Ok(())
    }
}

/// An error of a socket that waits for so long and no longer.
fn timed_out(error: Errno) -> io::Error {
    if error == Errno::AGAIN {
        return io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the agent did nothing for {} s", PATIENCE.as_secs()),
        );
    }
    error.into()
}
