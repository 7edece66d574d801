//! Where an agent's socket is found if nobody says.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// The socket's name in a [`own_directory`] or [`SYSTEM_DIRECTORY`].
pub const SOCKET_NAME: &str = "agent.sock";

/// Where the host's own agent keeps its socket and state.
pub const SYSTEM_DIRECTORY: &str = "/run/farrow";

/// Where an agent of this process's user keeps its socket and state: [`SYSTEM_DIRECTORY`] for root, else `farrow` in
/// `$XDG_RUNTIME_DIR`, else `farrow-UID` in the directory for temporary files.
pub fn own_directory() -> PathBuf {
    // The owner of /proc/self is the effective user of this process (proc(5)).
    let uid = std::fs::metadata("/proc/self").map_or(u32::MAX, |metadata| metadata.uid());
    match (uid, std::env::var_os("XDG_RUNTIME_DIR")) {
        (0, _) => SYSTEM_DIRECTORY.into(),
        (_, Some(directory)) => PathBuf::from(directory).join("farrow"),
        (uid, None) => std::env::temp_dir().join(format!("farrow-{uid}")),
    }
}
