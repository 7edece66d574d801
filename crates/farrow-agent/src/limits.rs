//! How much of the agent one client, or all of them, may take.

use std::time::Duration;

use serde::Deserialize;

use crate::config::quantity;

/// `[limits]` of the configuration; `agent.toml` says what each is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Connections over all sockets at a time.
    pub connections: usize,
    /// Requests and streams at a time on one connection.
    pub streams_per_connection: u32,
    /// Bytes of the largest request.
    #[serde(deserialize_with = "quantity::message_bytes")]
    pub request_bytes: usize,
    /// Bytes of the largest message of a DoPut.
    #[serde(deserialize_with = "quantity::message_bytes")]
    pub put_message_bytes: usize,
    /// DoPut streams at a time.
    pub puts: usize,
    /// Reservations of one process at a time.
    pub reservations_per_process: usize,
    /// Bytes in versions and reservations of one unix user; `None`: as many as there are.
    #[serde(deserialize_with = "quantity::bytes_or_unlimited")]
    pub bytes_per_user: Option<u64>,
    /// How long a stream's client may take or send nothing.
    #[serde(deserialize_with = "quantity::duration")]
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams_per_connection: 256,
            request_bytes: 1 << 20,
            put_message_bytes: 256 << 20,
            puts: 8,
            reservations_per_process: 64,
            bytes_per_user: None,
            stall: Duration::from_secs(5 * 60),
        }
    }
}
