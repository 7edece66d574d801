//! A frame whose old versions take space.

use std::fmt;

use farrow_region::counted;
use farrow_region::shell::operand;

use crate::name::FrameName;
use crate::size::Size;

/// The space that the versions of a frame before its latest hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldVersions {
    /// The frame.
    pub name: FrameName,
    /// The number of versions before its latest.
    pub versions: u64,
    /// Bytes of extents that the latest version does not have.
    pub bytes: u64,
}

/// The command that frees this space, quoted for a shell.
impl fmt::Display for OldVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, versions, bytes } = self;
        let hold = if *versions == 1 { "holds" } else { "hold" };
        let versions = counted(*versions, "old version");
        write!(f, "`farrow retain --last 1 {}` (its {versions} {hold} {})", operand(name), Size(*bytes))
    }
}
