//! Faults of a path.

use crate::geometry::PATH_FIELD_LEN;

/// The reasons why a path cannot stand in a famfs log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// No bytes before the first NUL.
    #[error("path is empty")]
    Empty,
    /// Too long for the field; the real tools cut such a path silently.
    #[error("path of {found} bytes, at most {} fit", PATH_FIELD_LEN - 1)]
    TooLong {
        /// Bytes of the path.
        found: usize,
    },
    /// Not UTF-8.
    #[error("path is not UTF-8 from byte {valid_up_to} on")]
    NotUtf8 {
        /// The number of valid bytes before it.
        valid_up_to: usize,
    },
    /// A NUL inside the path, which would end it on the device.
    #[error("path has a NUL at byte {at}")]
    Nul {
        /// Its place.
        at: usize,
    },
    /// The path starts with a slash.
    #[error("path is absolute, but famfs paths are relative to the mount")]
    Absolute,
    /// An empty, `.` or `..` component.
    #[error("path has an empty, `.` or `..` component at byte {at}")]
    Component {
        /// The place where the component begins.
        at: usize,
    },
}
