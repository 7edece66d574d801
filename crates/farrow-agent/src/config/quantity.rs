//! Sizes, times and addresses as people write them.

use std::net::SocketAddr;
use std::time::Duration;

use farrow_proto::{Period, Size};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a size, such as 4096 or \"8 MiB\"")]
enum Bytes {
    Number(u64),
    Text(String),
}

impl Bytes {
    fn parse<E: Error>(self) -> Result<u64, E> {
        match self {
            Self::Number(bytes) => Ok(bytes),
            Self::Text(text) => {
                let size: Size =
                    text.parse().map_err(|fault| E::custom(format!("size {text:?}: {fault}")))?;
                Ok(size.0)
            }
        }
    }
}

/// Bytes of a message, which is held in memory whole.
pub(crate) fn message_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let bytes = Bytes::deserialize(from)?.parse()?;
    usize::try_from(bytes)
        .map_err(|_| D::Error::custom(format!("size {bytes}: more than memory has addresses")))
}

/// Bytes.
pub(crate) fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Bytes::deserialize(from)?.parse()
}

/// Bytes, or "unlimited".
pub(crate) fn bytes_or_unlimited<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match Bytes::deserialize(from)? {
        Bytes::Text(text) if text == "unlimited" => Ok(None),
        bytes => bytes.parse().map(Some),
    }
}

/// A length of time.
pub(crate) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let period: Period = text.parse().map_err(|fault| D::Error::custom(format!("time {text:?}: {fault}")))?;
    Ok(period.0)
}

/// Returns where to listen.
pub(crate) fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(from)?;
    listen_address(&text).map(Some).map_err(D::Error::custom)
}

/// An address to listen on, without looking a name up.
///
/// # Errors
/// The expected form, with examples.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "address {text:?}: expected an IP address and a port, such as 127.0.0.1:8815, 0.0.0.0:8815 or [::1]:8815; \
             names are not looked up"
        )
    })
}
