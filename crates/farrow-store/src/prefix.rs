//! Prefixes of frame names, of whole path components.

use std::fmt;

use crate::error::{Result, StoreError};
use crate::name::{FrameName, MAX_NAME_LEN, NameFault};

/// Frames whose names begin alike: `sales` is the frame of that name and all frames below it (but not
/// `salesforce/leads`), `sales/` is all frames below it, and the empty prefix is every frame.
///
/// A [pattern](Self::pattern) may also end with `*`: `sales/2024*` is all frames whose names begin with `sales/2024`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The names begin with this text.
    start: String,
    /// `start` ends with `/`, and the frame whose name is the text before that is meant, too.
    itself: bool,
}

/// A part of a listing that is in one piece in the order of names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The names begin with this text.
    pub start: String,
    /// Only the frame whose name is `start` is meant.
    pub exact: bool,
}

impl Prefix {
    /// The prefix of every name.
    pub fn all() -> Self {
        Self { start: String::new(), itself: false }
    }

    /// Reads whole path components.
    ///
    /// # Errors
    /// [`StoreError::BadPrefix`] for what no name can begin with.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::all());
        }
        begins_names(text, text)?;
        Ok(match text.ends_with('/') {
            true => Self { start: text.to_owned(), itself: false },
            false => Self { start: format!("{text}/"), itself: true },
        })
    }

    /// As [`parse`](Self::parse); a `*` at the end stands for any text. No component is empty in what stands before it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and [`StoreError::BadPattern`] for a `*` elsewhere or a `?`: a shell's pattern, which
    /// would mean no frame.
    pub fn pattern(text: &str) -> Result<Self> {
        let start = text.strip_suffix('*').unwrap_or(text);
        if !start.is_empty() {
            begins_names(text, start)?;
        }
        if let Some(at) = start.find(['*', '?']) {
            return Err(StoreError::BadPattern { pattern: text.to_owned(), start: start[..at].to_owned() });
        }
        if start.len() < text.len() {
            Ok(Self { start: start.to_owned(), itself: false })
        } else {
            Self::parse(text)
        }
    }

    /// All frames whose names begin with a text, which need not be the beginning of a possible name.
    pub(crate) fn starting(text: &str) -> Self {
        Self { start: text.to_owned(), itself: false }
    }

    /// The text that the names begin with, but for [`itself`](Self::itself).
    pub(crate) fn start(&self) -> &str {
        &self.start
    }

    /// The name that is in it although it does not begin with [`start`](Self::start).
    pub(crate) fn itself(&self) -> Option<&str> {
        self.start.strip_suffix('/').filter(|_| self.itself)
    }

    /// As [`parse`](Self::parse) reads it, if it [is of components](Self::is_of_components).
    pub(crate) fn text(&self) -> &str {
        self.itself().unwrap_or(&self.start)
    }

    /// True unless a component of the names goes on behind its text.
    pub(crate) fn is_of_components(&self) -> bool {
        self.start.is_empty() || self.start.ends_with('/')
    }

    /// True if a frame of that name is in it.
    pub fn covers(&self, name: &FrameName) -> bool {
        name.as_str().starts_with(&self.start) || self.itself() == Some(name.as_str())
    }

    /// True if every frame that `other` has is in it.
    pub fn covers_all(&self, other: &Self) -> bool {
        self.within(other).as_ref() == Some(other)
    }

    /// True if a frame can be in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.within(other).is_some()
    }

    /// The frames of both.
    fn within(&self, other: &Self) -> Option<Self> {
        if self.start == other.start {
            return Some(Self { start: self.start.clone(), itself: self.itself && other.itself });
        }
        // The name of the longer one itself is below the shorter one, or at it.
        let (longer, shorter) =
            if self.start.len() > other.start.len() { (self, other) } else { (other, self) };
        longer.start.starts_with(&shorter.start).then(|| longer.clone())
    }

    /// All frames that it means, in words.
    pub fn in_words(&self) -> String {
        match self.itself() {
            Some(name) => format!("frame {name:?} and all frames below it"),
            None if self.start.is_empty() => "every frame".to_owned(),
            None if self.start.ends_with('/') => format!("all frames below {:?}", self.start),
            None => format!("all frames whose names begin with {:?}", self.start),
        }
    }

    /// Its frames in the order of their names.
    pub fn scopes(&self) -> Vec<Scope> {
        let itself = self.itself().map(|name| Scope { start: name.to_owned(), exact: true });
        itself.into_iter().chain([Scope { start: self.start.clone(), exact: false }]).collect()
    }

    /// The frames that are in `wanted` and in any of `prefixes`, in the order of their names, each once.
    pub fn scopes_in<'a>(prefixes: impl IntoIterator<Item = &'a Self>, wanted: &Self) -> Vec<Scope> {
        let within = prefixes.into_iter().filter_map(|prefix| prefix.within(wanted));
        let mut scopes: Vec<Scope> = within.flat_map(|prefix| prefix.scopes()).collect();
        // Of two that begin alike the wider one comes first, and what it holds is left out.
        scopes.sort();
        scopes.dedup_by(|later, kept| later == kept || (!kept.exact && later.start.starts_with(&kept.start)));
        scopes
    }
}

/// As [`Prefix::pattern`] reads it.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.itself() {
            Some(name) => f.write_str(name),
            None if self.start.is_empty() || self.start.ends_with('/') => f.write_str(&self.start),
            None => write!(f, "{}*", self.start),
        }
    }
}

/// Checks that names can begin with the text of a prefix before its star.
fn begins_names(prefix: &str, start: &str) -> Result<()> {
    match FrameName::parse(start.strip_suffix('/').unwrap_or(start)) {
        Err(StoreError::BadName { fault, .. }) => {
            // Of `/` alone nothing is left.
            let fault = if fault == NameFault::Empty { NameFault::EmptyComponent } else { fault };
            Err(StoreError::BadPrefix { prefix: prefix.chars().take(MAX_NAME_LEN).collect(), fault })
        }
        found => found.map(drop),
    }
}

#[cfg(test)]
mod tests;
