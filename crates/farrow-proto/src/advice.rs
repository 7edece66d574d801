//! Remedies that every language has a name of its own for.

/// Name of the response header (trailer) that carries an [`Advice`] beside the reason.
pub const ADVICE_HEADER: &str = "x-farrow-advice";

/// A remedy for a refused request. The text of the refusal says it without the name of an option or argument:
/// each client adds the name that its users know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// The rows fit once their columns are matched by name.
    ByName,
}

impl Advice {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByName => crate::PUT_APPEND_BY_NAME,
        }
    }

    /// The advice that a word stands for; `None` for a word of a later release.
    pub fn parse(word: &str) -> Option<Self> {
        (word == Self::ByName.as_str()).then_some(Self::ByName)
    }
}
