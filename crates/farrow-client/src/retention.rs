//! The versions that frames keep, and their time.

use std::time::Duration;

use farrow_proto::v1;
use farrow_proto::v1::retention_rule::Target;

/// The versions that a frame keeps; the latest one in any case.
///
/// ```
/// # farrow_integration_tests::Example::new().run(async |client| {
/// use std::time::Duration;
///
/// use farrow_client::Retention;
///
/// // All frames below sales/ keep their last three versions, and none but the latest for longer than a week.
/// let week = Duration::from_secs(7 * 24 * 60 * 60);
/// client.retain_prefix("sales/", Retention::last(3).max_age(week)).await?;
/// let info = client.stat("sales/orders").await?;
/// assert_eq!((info.retention, info.max_age), (3, Some(week)));
/// # Ok(()) });
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "nothing is kept or removed before a frame or prefix has it"]
pub struct Retention {
    /// The number of latest versions; 0: all.
    pub last: u64,
    /// The time of each version but the latest, since its commit; `None`: for ever.
    pub max_age: Option<Duration>,
}

impl Retention {
    /// All versions: of one frame, whatever is said of a prefix.
    pub fn all() -> Self {
        Self::default()
    }

    /// The latest versions, as many as these; 0: all.
    pub fn last(count: u64) -> Self {
        Self { last: count, max_age: None }
    }

    /// Versions but the latest only so long, in whole seconds, of which the last one counts as a whole.
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age: Some(age), ..self }
    }

    /// As the protocol has it, which counts seconds and takes 0 for none.
    fn max_age_seconds(self) -> u64 {
        let seconds = |age: Duration| age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0));
        self.max_age.map_or(0, |age| seconds(age).max(1))
    }
}

/// The frames for which a retention is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetentionTarget {
    /// All frames of this prefix that no longer prefix and none of their own keeps from it; the empty one is the region.
    Prefix(String),
    /// The frame of this name, or the next one that there is.
    Frame(String),
}

/// A retention as it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// For which frames.
    pub target: RetentionTarget,
    /// The versions that they keep.
    pub retention: Retention,
    /// The user who set it, as the agent's host numbers users; 65534 for one over TCP.
    pub uid: u32,
}

/// A request to set it for a target, or with `None` to take back what is set.
pub(crate) fn request(target: RetentionTarget, retention: Option<Retention>) -> v1::RetainRequest {
    let (name, prefix) = match target {
        RetentionTarget::Frame(name) => (name, None),
        RetentionTarget::Prefix(prefix) => (String::new(), Some(prefix)),
    };
    let Retention { last, .. } = retention.unwrap_or_default();
    let max_age_seconds = retention.map_or(0, Retention::max_age_seconds);
    v1::RetainRequest { name, last, prefix, max_age_seconds, unset: retention.is_none() }
}

/// The age in seconds that a message has, in which 0 is none.
pub(crate) fn max_age(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

impl From<v1::RetentionRule> for RetentionRule {
    fn from(rule: v1::RetentionRule) -> Self {
        let v1::RetentionRule { target, last, max_age_seconds, uid } = rule;
        let target = match target {
            Some(Target::Name(name)) => RetentionTarget::Frame(name),
            Some(Target::Prefix(prefix)) => RetentionTarget::Prefix(prefix),
            // No agent sends a rule without.
            None => RetentionTarget::Frame(String::new()),
        };
        Self { target, retention: Retention { last, max_age: max_age(max_age_seconds) }, uid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_in_whole_seconds_and_never_none() {
        let seconds = |age| {
            request(RetentionTarget::Frame("a".into()), Some(Retention::all().max_age(age))).max_age_seconds
        };
        for (age, expected) in [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(7), 7),
            (Duration::new(7, 1), 8),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(seconds(age), expected, "{age:?}");
        }
        assert_eq!(request(RetentionTarget::Prefix(String::new()), None).prefix.as_deref(), Some(""));
    }
}
