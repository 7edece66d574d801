//! Names of frames and references to their versions.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::error::{Result, StoreError};

/// The longest name of a frame, in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// The name of a frame: UTF-8 components joined by `/`, 1 to 255 bytes.
///
/// No component is empty, `.` or `..`; there are no control characters and no `@`, which begins a version.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameName(Arc<str>);

impl FrameName {
    /// Checks a name. Nothing is normalised: two spellings are two frames.
    ///
    /// # Errors
    /// [`StoreError::BadName`] with what is wrong with it.
    pub fn parse(name: &str) -> Result<Self> {
        match fault(name) {
            None => Ok(Self(name.into())),
            // The message shows the name, so its length is bounded here.
            Some(fault) => {
                Err(StoreError::BadName { name: name.chars().take(MAX_NAME_LEN).collect(), fault })
            }
        }
    }

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for FrameName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FrameName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FrameName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl std::str::FromStr for FrameName {
    type Err = StoreError;

    fn from_str(name: &str) -> Result<Self> {
        Self::parse(name)
    }
}

/// A frame, or one version of it: `sales/orders` or `sales/orders@7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrameRef {
    /// The frame.
    pub name: FrameName,
    /// The version, counted from 1; `None` is the latest.
    pub version: Option<u64>,
}

impl FrameRef {
    /// Reads `name` or `name@version`.
    ///
    /// # Errors
    /// [`StoreError::BadName`] if the name is not one or the version is not a decimal number from 1.
    pub fn parse(reference: &str) -> Result<Self> {
        let Some((name, digits)) = reference.split_once('@') else {
            return Ok(Self { name: FrameName::parse(reference)?, version: None });
        };
        let name = FrameName::parse(name)?;
        // `parse` alone would take "+7" and "007", which would make two spellings of one version.
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        match digits.parse() {
            Ok(number) if plain => Ok(Self { name, version: Some(number) }),
            _ => {
                let name = reference.chars().take(MAX_NAME_LEN + 21).collect();
                Err(StoreError::BadName { name, fault: NameFault::Version })
            }
        }
    }
}

impl fmt::Display for FrameRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(number) => write!(f, "{}@{number}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

impl std::str::FromStr for FrameRef {
    type Err = StoreError;

    fn from_str(reference: &str) -> Result<Self> {
        Self::parse(reference)
    }
}

/// The reasons why a text is not the name of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameFault {
    /// The name has no bytes.
    #[error("it is empty")]
    Empty,
    /// The name has more than 255 bytes.
    #[error("it has {len} bytes, the longest name has {MAX_NAME_LEN}")]
    TooLong {
        /// Bytes of the name.
        len: usize,
    },
    /// Two `/` follow each other, or one stands at an end.
    #[error("it has an empty path component")]
    EmptyComponent,
    /// A path component is `.` or `..`.
    #[error("it has a path component `.` or `..`")]
    DotComponent,
    /// A control character, NUL included.
    #[error("it has the control character U+{:04X}", u32::from(*character))]
    Control {
        /// The first one.
        character: char,
    },
    /// `@` in a name of a frame, where no version is expected.
    #[error("it has an `@`, which begins a version")]
    At,
    /// What follows the `@` is not a version.
    #[error("after `@` a version is a decimal number from 1 without leading zeros")]
    Version,
}

fn fault(name: &str) -> Option<NameFault> {
    if name.is_empty() {
        return Some(NameFault::Empty);
    }
    if name.len() > MAX_NAME_LEN {
        return Some(NameFault::TooLong { len: name.len() });
    }
    for character in name.chars() {
        if character.is_control() {
            return Some(NameFault::Control { character });
        }
        if character == '@' {
            return Some(NameFault::At);
        }
    }
    name.split('/').find_map(|component| match component {
        "" => Some(NameFault::EmptyComponent),
        "." | ".." => Some(NameFault::DotComponent),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
