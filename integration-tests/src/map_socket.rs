//! The map socket, byte by byte.

use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use farrow_proto::{map_socket as bytes_of, v1};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// The answer over a map socket.
pub struct Answer {
    /// All of it.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// The map socket of the agent whose socket this is.
pub fn map_socket(socket: &str) -> PathBuf {
    format!("{socket}.map").into()
}

/// The bytes that ask for a file of a region.
pub fn map_request(region_uuid: &[u8], pool: u32, superblock: bool) -> Bytes {
    let region_uuid = Bytes::copy_from_slice(region_uuid);
    bytes_of::encode_request(&v1::MapSocketRequest { region_uuid, pool, superblock, page: false })
}

/// Sends `request` and reads until the agent closes.
///
/// # Errors
/// The system's error of the connection.
pub fn exchange(socket: &Path, request: &[u8]) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(request)?;
    let mut answer = Answer { bytes: Vec::new(), descriptors: Vec::new() };
    loop {
        let mut part = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut part)];
        let received = match recvmsg(&stream, into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            // The agent has closed without reading all of the request.
            Err(Errno::CONNRESET) if !answer.bytes.is_empty() => return Ok(answer),
            received => received?,
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                answer.descriptors.extend(descriptors);
            }
        }
        match part.get(..received.bytes) {
            Some([]) | None => return Ok(answer),
            Some(part) => answer.bytes.extend_from_slice(part),
        }
    }
}

impl Answer {
    /// The message in it.
    ///
    /// # Panics
    /// If it is none.
    pub fn message(&self) -> v1::MapSocketAnswer {
        let (len, message) = self.bytes.split_first_chunk().expect("a length");
        assert_eq!(bytes_of::message_len(*len), message.len());
        bytes_of::decode_answer(message).expect("an answer")
    }
}
