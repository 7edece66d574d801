//! The session's name and version.

/// The command in the descriptor of a DoExchange that is a session.
pub const SESSION_COMMAND: &str = "farrow.session.v1";

/// The version of the session's protocol that this release speaks: see `Hello` in `session.proto`.
pub const SESSION_VERSION: u32 = 1;
