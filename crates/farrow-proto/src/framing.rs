//! Magic bytes before protobuf bytes that travel in fields of Flight messages.

use bytes::Bytes;
use prost::Message;

use crate::v1::{BatchDescriptor, ListRequest, MapDescriptor, Ticket};

/// Bytes of magic and version before a message.
pub(crate) const PREFIX: usize = 5;

/// Name of the request header by which a client announces that it understands mapping descriptors.
pub const ANNOUNCE_HEADER: &str = "x-farrow";
/// Value of [`ANNOUNCE_HEADER`] for the protocol described by `proto/`.
pub const ANNOUNCE_VALUE: &str = "v=1";

/// Name of the request header that says what a DoPut makes of its rows.
pub const PUT_HEADER: &str = "x-farrow-put";
/// Value of [`PUT_HEADER`]: the next version is the rows, which is also what happens without the header.
pub const PUT_REPLACE: &str = "replace";
/// Value of [`PUT_HEADER`]: the next version is the latest one and the rows behind it.
pub const PUT_APPEND: &str = "append";
/// Value of [`PUT_HEADER`]: the same, and the agent matches columns by name and casts them where nothing is lost.
pub const PUT_APPEND_BY_NAME: &str = "append-by-name";

/// Name of the request header that says how many of its latest versions the frame keeps from a DoPut on; 0: all.
pub const KEEP_HEADER: &str = "x-farrow-keep";
/// Name of the request header that says which version a DoPut's must follow; 0: there must be no such frame.
pub const IF_VERSION_HEADER: &str = "x-farrow-if-version";

const VERSION: u8 = 1;
/// Of a ticket with a selection.
const SELECTING: u8 = 2;
const MAP_DESCRIPTOR: &[u8; 4] = b"FRRW";
const BATCH_DESCRIPTOR: &[u8; 4] = b"FRRB";
const TICKET: &[u8; 4] = b"FRRT";
const LIST_REQUEST: &[u8; 4] = b"FRRL";

/// Bytes that are not the framed message that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// The first four bytes are another protocol's, or there are fewer than five.
    #[error(
        "{what}: expected it to begin with {expected:?}, found {found:02x?} ({len} bytes in all): not made by farrow"
    )]
    Magic {
        /// The message that was expected.
        what: &'static str,
        /// The magic of that message, as text.
        expected: &'static str,
        /// The first bytes found, at most five.
        found: Vec<u8>,
        /// Length of what was given, in bytes.
        len: usize,
    },
    /// The magic fits, the version of the framing does not.
    #[error(
        "{what}: framing version {found}, and this program reads versions up to {newest}: use programs of one release"
    )]
    Version {
        /// The message that was expected.
        what: &'static str,
        /// The version byte found.
        found: u8,
        /// The newest version of this message that is read; all from 1 on are.
        newest: u8,
    },
    /// The protobuf bytes after the magic do not parse.
    #[error("{what}: the {len} bytes after its magic are no protobuf message")]
    Protobuf {
        /// The message that was expected.
        what: &'static str,
        /// Length of the protobuf part, in bytes.
        len: usize,
        /// The decoder's reason.
        #[source]
        source: prost::DecodeError,
    },
}

/// A mapping descriptor as the bytes of `FlightEndpoint.app_metadata`.
pub fn encode_map_descriptor(descriptor: &MapDescriptor) -> Bytes {
    encode(MAP_DESCRIPTOR, descriptor)
}

/// The mapping descriptor in `app_metadata`.
pub fn decode_map_descriptor(bytes: &[u8]) -> Result<MapDescriptor, FramingError> {
    decode("mapping descriptor", MAP_DESCRIPTOR, "FRRW", bytes)
}

/// A batch descriptor as the `app_metadata` of one message of a mapped DoGet.
pub fn encode_batch_descriptor(descriptor: &BatchDescriptor) -> Bytes {
    encode(BATCH_DESCRIPTOR, descriptor)
}

/// The batch descriptor in `app_metadata`.
pub fn decode_batch_descriptor(bytes: &[u8]) -> Result<BatchDescriptor, FramingError> {
    decode("batch descriptor", BATCH_DESCRIPTOR, "FRRB", bytes)
}

/// A ticket's bytes. One with a selection has a framing version of its own: who does not know of selections would take all
/// rows for those that were asked for.
pub fn encode_ticket(ticket: &Ticket) -> Bytes {
    let version = if ticket.selection.is_some() { SELECTING } else { VERSION };
    framed(TICKET, version, ticket)
}

/// The ticket in a Flight ticket's bytes.
pub fn decode_ticket(bytes: &[u8]) -> Result<Ticket, FramingError> {
    unframed("ticket", TICKET, "FRRT", SELECTING, bytes)
}

/// A list request as the expression of ListFlights' criteria: it asks for one page.
pub fn encode_list_request(request: &ListRequest) -> Bytes {
    encode(LIST_REQUEST, request)
}

/// The list request in the expression of ListFlights' criteria. `None` if it does not begin as one: then it is a
/// plain prefix. No name of a frame has the control character in it that follows the magic.
pub fn decode_list_request(bytes: &[u8]) -> Result<Option<ListRequest>, FramingError> {
    let framed = bytes.strip_prefix(LIST_REQUEST).is_some_and(|rest| matches!(rest, [0..=0x1f, ..]));
    framed.then(|| decode("list request", LIST_REQUEST, "FRRL", bytes)).transpose()
}

pub(crate) fn encode(magic: &[u8; 4], message: &impl Message) -> Bytes {
    framed(magic, VERSION, message)
}

fn framed(magic: &[u8; 4], version: u8, message: &impl Message) -> Bytes {
    let mut out = Vec::with_capacity(PREFIX + message.encoded_len());
    out.extend_from_slice(magic);
    out.push(version);
    out.extend_from_slice(&message.encode_to_vec());
    out.into()
}

pub(crate) fn decode<M: Message + Default>(
    what: &'static str,
    magic: &[u8; 4],
    expected: &'static str,
    bytes: &[u8],
) -> Result<M, FramingError> {
    unframed(what, magic, expected, VERSION, bytes)
}

/// Decodes a message of a framing version from 1 up to `newest`.
fn unframed<M: Message + Default>(
    what: &'static str,
    magic: &[u8; 4],
    expected: &'static str,
    newest: u8,
    bytes: &[u8],
) -> Result<M, FramingError> {
    let Some((&[m0, m1, m2, m3, version], body)) = bytes.split_first_chunk::<PREFIX>() else {
        return Err(FramingError::Magic { what, expected, found: bytes.to_vec(), len: bytes.len() });
    };
    if [m0, m1, m2, m3] != *magic {
        return Err(FramingError::Magic {
            what,
            expected,
            found: vec![m0, m1, m2, m3, version],
            len: bytes.len(),
        });
    }
    if !(VERSION..=newest).contains(&version) {
        return Err(FramingError::Version { what, found: version, newest });
    }
    M::decode(body).map_err(|source| FramingError::Protobuf { what, len: body.len(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Columns, Selection};

    #[test]
    fn a_ticket_survives_its_framing_and_no_other() {
        let (region_uuid, name) = (vec![7; 16].into(), "sales/orders".into());
        let ticket = Ticket { region_uuid, name, version: 3, commit: 9, selection: None };
        let bytes = encode_ticket(&ticket);
        assert_eq!(&bytes[..5], b"FRRT\x01");
        assert_eq!(decode_ticket(&bytes).unwrap(), ticket);
        let columns = Some(Columns { indexes: vec![2, 0] });
        let selection = Some(Selection { columns, first_row: 5, end_row: Some(9) });
        let selecting = Ticket { selection, ..ticket };
        let other = encode_ticket(&selecting);
        assert_eq!(&other[..5], b"FRRT\x02", "older agents refuse it");
        assert_eq!(decode_ticket(&other).unwrap(), selecting);
        assert!(matches!(decode_map_descriptor(&bytes), Err(FramingError::Magic { .. })));
    }

    #[test]
    fn foreign_truncated_and_future_bytes_are_refused() {
        assert!(matches!(decode_ticket(b""), Err(FramingError::Magic { len: 0, .. })));
        assert!(matches!(decode_ticket(b"FRRT"), Err(FramingError::Magic { len: 4, .. })));
        let newer = decode_ticket(b"FRRT\x03").unwrap_err();
        assert!(matches!(newer, FramingError::Version { found: 3, newest: 2, .. }));
        assert_eq!(
            newer.to_string(),
            "ticket: framing version 3, and this program reads versions up to 2: use programs of one release"
        );
        assert!(matches!(decode_ticket(b"FRRT\0"), Err(FramingError::Version { found: 0, .. })));
        let newer = decode_map_descriptor(b"FRRW\x02");
        assert!(matches!(newer, Err(FramingError::Version { found: 2, newest: 1, .. })));
        assert!(matches!(decode_ticket(b"FRRT\x01\xff\xff\xff"), Err(FramingError::Protobuf { len: 3, .. })));
    }
}
