//! The bytes of the map socket, as `proto/farrow/v1/map_socket.proto` draws them: a length in two bytes, then a framed
//! message.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::framing::{FramingError, PREFIX, decode, encode};
use crate::v1::{MapSocketAnswer, MapSocketRequest};

/// Bytes of the length before each message.
pub const LEN: usize = 2;
/// Bytes of the longest request, without its length.
pub const MAX_REQUEST: usize = 64;
/// Bytes of the longest answer, without its length.
pub const MAX_ANSWER: usize = 1024;

const REQUEST: &[u8; 4] = b"FRRQ";
const ANSWER: &[u8; 4] = b"FRRA";

/// The name of the map socket beside the agent's socket of that name.
pub fn name(socket_name: &str) -> String {
    format!("{socket_name}.map")
}

/// Returns how many bytes of a message follow its length.
pub fn message_len(bytes: [u8; LEN]) -> usize {
    u16::from_le_bytes(bytes).into()
}

/// A request with its length, as it is sent.
pub fn encode_request(request: &MapSocketRequest) -> Bytes {
    with_len(&encode(REQUEST, request))
}

/// The request in the bytes after its length.
///
/// # Errors
/// [`FramingError`] if they are no such request.
pub fn decode_request(bytes: &[u8]) -> Result<MapSocketRequest, FramingError> {
    decode("request to the map socket", REQUEST, "FRRQ", bytes)
}

/// An answer with its length, as it is sent. A text that is too long is cut off.
pub fn encode_answer(answer: &MapSocketAnswer) -> Bytes {
    let mut answer = answer.clone();
    let over = (PREFIX + answer.encoded_len()).saturating_sub(MAX_ANSWER);
    if over > 0 {
        let mut keep = answer.text.len().saturating_sub(over);
        while !answer.text.is_char_boundary(keep) {
            keep -= 1;
        }
        answer.text.truncate(keep);
    }
    with_len(&encode(ANSWER, &answer))
}

/// The answer in the bytes after its length.
///
/// # Errors
/// [`FramingError`] if they are no such answer.
pub fn decode_answer(bytes: &[u8]) -> Result<MapSocketAnswer, FramingError> {
    decode("answer of the map socket", ANSWER, "FRRA", bytes)
}

fn with_len(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(LEN + message.len());
    // Both messages have their limits far below: a request is of fixed size, an answer was cut.
    out.put_u16_le(u16::try_from(message.len()).unwrap_or(u16::MAX));
    out.put_slice(message);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_len(bytes: &[u8]) -> &[u8] {
        let (len, message) = bytes.split_first_chunk().unwrap();
        assert_eq!(message_len(*len), message.len());
        message
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let request = MapSocketRequest { region_uuid: vec![7; 16].into(), pool: 3, ..Default::default() };
        let bytes = encode_request(&request);
        let uuid = [[0x0a, 16].as_slice(), &[7; 16]].concat();
        assert_eq!(bytes, [b"\x19\0FRRQ\x01".as_slice(), &uuid, &[0x10, 3]].concat());
        assert_eq!(decode_request(after_len(&bytes)).unwrap(), request);
        let good = encode_answer(&MapSocketAnswer::default());
        assert_eq!(&good[..], b"\x05\0FRRA\x01");
        assert!(matches!(decode_request(after_len(&good)), Err(FramingError::Magic { .. })));
    }

    #[test]
    fn no_message_is_longer_than_its_limit() {
        let longest = MapSocketRequest {
            region_uuid: vec![255; 16].into(),
            pool: u32::MAX,
            superblock: true,
            page: true,
        };
        assert!(after_len(&encode_request(&longest)).len() <= MAX_REQUEST);
        for len in 900..1200 {
            let answer = MapSocketAnswer { reason: "failed".into(), text: "é".repeat(len / 2), page: 0 };
            let sent = encode_answer(&answer);
            let told = decode_answer(after_len(&sent)).unwrap();
            assert!(sent.len() <= LEN + MAX_ANSWER && told.reason == answer.reason);
            assert!(answer.text.starts_with(&told.text) && told.text.len() > 890, "{}", told.text.len());
        }
    }
}
