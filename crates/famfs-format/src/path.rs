//! Paths as they may stand in a log.

use std::fmt;
use std::str::FromStr;

use crate::error::{FormatError, PathError};
use crate::geometry::PATH_FIELD_LEN;

/// A path relative to the mount: 1 to 79 bytes of UTF-8, its components joined by `/`, none of them
/// empty, `.` or `..`, no NUL.
///
/// famfs itself neither normalises nor restricts paths; whoever joins one of those to a directory can be
/// led out of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(String);

impl RelPath {
    /// Checks `path`.
    ///
    /// # Errors
    /// [`FormatError::Path`] if it is not of the form above.
    pub fn parse(path: &str) -> Result<Self, FormatError> {
        Ok(Self::check(path)?)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory it lies in; `None` if that is the root.
    pub fn parent(&self) -> Option<Self> {
        // A prefix that ends before a slash is of the same form.
        self.0.rfind('/').map(|slash| Self(self.0[..slash].to_owned()))
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rfind('/').map_or(self.as_str(), |slash| &self.0[slash + 1..])
    }

    /// Reads the field of an entry. What follows the first NUL is padding, and for the caller to judge.
    pub(crate) fn from_field(field: &[u8; PATH_FIELD_LEN]) -> Result<Self, PathError> {
        let len = field.iter().position(|&byte| byte == 0).unwrap_or(PATH_FIELD_LEN);
        let text = str::from_utf8(&field[..len])
            .map_err(|error| PathError::NotUtf8 { valid_up_to: error.valid_up_to() })?;
        Self::check(text)
    }

    pub(crate) fn to_field(&self) -> [u8; PATH_FIELD_LEN] {
        let mut field = [0; PATH_FIELD_LEN];
        field[..self.0.len()].copy_from_slice(self.0.as_bytes());
        field
    }

    fn check(path: &str) -> Result<Self, PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.len() >= PATH_FIELD_LEN {
            return Err(PathError::TooLong { found: path.len() });
        }
        if let Some(at) = path.find('\0') {
            return Err(PathError::Nul { at });
        }
        if path.starts_with('/') {
            return Err(PathError::Absolute);
        }
        let mut at = 0;
        for component in path.split('/') {
            if matches!(component, "" | "." | "..") {
                return Err(PathError::Component { at });
            }
            at += component.len() + 1;
        }
        Ok(Self(path.to_owned()))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted and escaped: the bytes come from a device and end up in terminals and logs.
        write!(f, "{:?}", self.0)
    }
}

impl AsRef<str> for RelPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for RelPath {
    type Err = FormatError;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        Self::parse(path)
    }
}
