//! Limits of one client, and of all of them.

use std::time::Duration;

use serde::Deserialize;

use crate::config::quantity;

/// `[limits]` of the configuration; `agent.toml` says what each is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Connections of one listener at a time.
    pub connections: usize,
    /// Requests and streams at a time on one connection.
    pub streams_per_connection: u32,
    /// Streams to clients at a time.
    pub streams: usize,
    /// Bytes of messages that streams have in memory.
    #[serde(deserialize_with = "quantity::bytes")]
    pub stream_bytes: u64,
    /// Bytes of the largest request.
    #[serde(deserialize_with = "quantity::message_bytes")]
    pub request_bytes: usize,
    /// Bytes of the largest message of a DoPut.
    #[serde(deserialize_with = "quantity::message_bytes")]
    pub put_message_bytes: usize,
    /// Bytes of messages that DoPuts have in memory.
    #[serde(deserialize_with = "quantity::bytes")]
    pub put_bytes: u64,
    /// DoPut streams at a time.
    pub puts: usize,
    /// Leases at a time.
    pub leases: usize,
    /// Reservations of one process at a time.
    pub reservations_per_process: usize,
    /// Bytes in versions and reservations of one unix user; `None`: as many as there are.
    #[serde(deserialize_with = "quantity::bytes_or_unlimited")]
    pub bytes_per_user: Option<u64>,
    /// The time for which a stream's client may take or send nothing.
    #[serde(deserialize_with = "quantity::duration")]
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams_per_connection: 256,
            streams: 2048,
            stream_bytes: 64 << 20,
            request_bytes: 1 << 20,
            put_message_bytes: 256 << 20,
            put_bytes: 768 << 20,
            puts: 16,
            leases: 1 << 20,
            reservations_per_process: 64,
            bytes_per_user: None,
            stall: Duration::from_secs(5 * 60),
        }
    }
}
