//! The words by which an agent tells programs why it refused.

/// Name of the response header (trailer) that carries a [`Reason`] beside the gRPC status.
pub const REASON_HEADER: &str = "x-farrow-reason";

/// The reasons why a request was refused, for programs. `proto/README.md` lists them with their gRPC codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No frame of that name, or no such version of it.
    NotFound,
    /// A name that is no path of plain components, or a version that is no number.
    InvalidName,
    /// Bytes that are not what they claim: no Arrow file, no protobuf message, no ticket of this service.
    InvalidData,
    /// Not enough free space in the region, or no room in its catalog.
    RegionFull,
    /// The caller has as much as it may have: of bytes, or of reservations.
    Quota,
    /// A stream whose client took or sent nothing for too long.
    Stalled,
    /// A reservation or lease that is not the caller's, or no longer exists.
    NotHeld,
    /// The frame is a famfs file of another program, which nobody can replace or remove.
    ReadOnly,
    /// The version was to follow another one than the latest.
    VersionConflict,
    /// Only possible over the unix socket, where the kernel names the calling process.
    NeedsUnixSocket,
    /// No rule lets the caller do that; whether the frame is there is not said.
    Denied,
    /// The token is none that the agent knows.
    Unauthenticated,
    /// Another master writes this region: this agent must not.
    Fenced,
    /// The region's bytes are damaged, or their memory has gone away.
    Corrupt,
    /// The medium or the system failed.
    Failed,
    /// The verb or action is not offered.
    Unimplemented,
    /// The agent is at as many such requests as it takes at a time.
    Busy,
    /// A stream ended before it was complete.
    CutOff,
}

/// The answer whether the same request may succeed when it is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It is refused again, until the request is another.
    No,
    /// Once something has changed that the caller has no part in.
    Later,
    /// At once.
    Yes,
}

impl Reason {
    /// Every reason, in the order of `proto/README.md`.
    pub const ALL: [Self; 18] = [
        Self::NotFound,
        Self::InvalidName,
        Self::InvalidData,
        Self::RegionFull,
        Self::Quota,
        Self::Stalled,
        Self::NotHeld,
        Self::ReadOnly,
        Self::VersionConflict,
        Self::NeedsUnixSocket,
        Self::Denied,
        Self::Unauthenticated,
        Self::Fenced,
        Self::Corrupt,
        Self::Failed,
        Self::Unimplemented,
        Self::Busy,
        Self::CutOff,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::InvalidName => "invalid-name",
            Self::InvalidData => "invalid-data",
            Self::RegionFull => "region-full",
            Self::Quota => "quota",
            Self::Stalled => "stalled",
            Self::NotHeld => "not-held",
            Self::ReadOnly => "read-only",
            Self::VersionConflict => "version-conflict",
            Self::NeedsUnixSocket => "needs-unix-socket",
            Self::Denied => "denied",
            Self::Unauthenticated => "unauthenticated",
            Self::Fenced => "fenced",
            Self::Corrupt => "corrupt",
            Self::Failed => "failed",
            Self::Unimplemented => "unimplemented",
            Self::Busy => "busy",
            Self::CutOff => "cut-off",
        }
    }

    /// Says whether it makes sense to ask again.
    pub fn retry(self) -> Retry {
        match self {
            Self::Stalled | Self::CutOff => Retry::Yes,
            Self::NotFound | Self::RegionFull | Self::Quota | Self::Denied | Self::Failed | Self::Busy => {
                Retry::Later
            }
            Self::InvalidName
            | Self::InvalidData
            | Self::NotHeld
            | Self::ReadOnly
            | Self::VersionConflict
            | Self::NeedsUnixSocket
            | Self::Unauthenticated
            | Self::Fenced
            | Self::Corrupt
            | Self::Unimplemented => Retry::No,
        }
    }

    /// The reason that a word names; `None` for a word of a later release.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page that clients are written by says the same.
    #[test]
    fn the_protocol_page_lists_every_reason_and_whether_to_retry() {
        let page = include_str!("../../../proto/README.md");
        let rows: Vec<Vec<&str>> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
            .map(|row| row.split(" | ").collect())
            .filter(|row: &Vec<&str>| row.len() == 4)
            .collect();
        for reason in Reason::ALL {
            let word = format!("{}`", reason.as_str());
            let found: Vec<&Vec<&str>> = rows.iter().filter(|row| row[0] == word).collect();
            let [row] = found[..] else { panic!("{word} has {} rows in proto/README.md", found.len()) };
            let said = match row[3].split([' ', ',', ';']).next() {
                Some("yes") => Retry::Yes,
                Some("once" | "perhaps" | "later") => Retry::Later,
                _ => Retry::No,
            };
            assert_eq!(said, reason.retry(), "{word}: {:?}", row[3]);
        }
        assert_eq!(rows.len(), Reason::ALL.len(), "{rows:?}");
    }

    #[test]
    fn every_word_names_its_reason() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::parse("no-such-reason"), None);
    }
}
