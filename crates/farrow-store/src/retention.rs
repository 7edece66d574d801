//! The versions that frames keep, and their time.

use std::fmt;
use std::num::NonZeroU64;

use crate::name::FrameName;
use crate::prefix::Prefix;

/// The most retentions of prefixes, and of names that have no frame yet, in a region. Those of frames are as many as the
/// frames.
pub const MAX_RETENTIONS: usize = 4096;

/// The most of them that one user may set.
pub const MAX_RETENTIONS_OF_USER: usize = 1024;

/// The versions that a frame keeps. It always keeps the latest one; the default keeps all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The number of latest versions; `None`: all.
    pub last: Option<NonZeroU64>,
    /// The time of each version but the latest, in seconds since its commit; `None`: for ever.
    pub max_age_seconds: Option<NonZeroU64>,
}

impl Retention {
    /// Versions committed at the returned time or before are too old at `now_micros` (microseconds since the Unix epoch).
    pub(crate) fn too_old(&self, now_micros: i64) -> Option<i64> {
        let micros = self.max_age_seconds?.get().saturating_mul(1_000_000);
        Some(now_micros.saturating_sub(i64::try_from(micros).unwrap_or(i64::MAX)))
    }
}

/// The frames for which a retention is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetentionTarget {
    /// One frame, or a name that has no frame yet.
    Frame(FrameName),
    /// All frames of a prefix of whole components, as far as no longer prefix and no frame of its own has another one.
    Prefix(Prefix),
}

impl fmt::Display for RetentionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(name) => write!(f, "`{name}`"),
            Self::Prefix(prefix) => f.write_str(&prefix.in_words()),
        }
    }
}

/// A retention as it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// For which frames.
    pub target: RetentionTarget,
    /// The versions that they keep.
    pub retention: Retention,
    /// The user who set it.
    pub uid: u32,
}
