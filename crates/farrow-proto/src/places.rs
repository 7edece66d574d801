//! Where an agent's socket is found if nobody says.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The socket's name in a [`own_directory`] or [`SYSTEM_DIRECTORY`].
pub const SOCKET_NAME: &str = "agent.sock";

/// Where the host's own agent keeps its socket and state.
pub const SYSTEM_DIRECTORY: &str = "/run/farrow";

/// Where an agent of this process's user keeps its socket and state: [`SYSTEM_DIRECTORY`] for root, else `farrow` in
/// `$XDG_RUNTIME_DIR`, else `farrow-UID` in the directory for temporary files.
pub fn own_directory() -> PathBuf {
    let uid = own_uid();
    match (uid, std::env::var_os("XDG_RUNTIME_DIR")) {
        (0, _) => SYSTEM_DIRECTORY.into(),
        (_, Some(directory)) => PathBuf::from(directory).join("farrow"),
        (uid, None) => std::env::temp_dir().join(format!("farrow-{uid}")),
    }
}

/// Whether `directory` is this user's or root's, so that no other user has put a socket there for us to believe.
///
/// # Errors
/// What the system says, if there is no such directory for one.
pub fn is_ours(directory: &Path) -> std::io::Result<bool> {
    let owner = std::fs::metadata(directory)?.uid();
    Ok(owner == 0 || owner == own_uid())
}

/// The owner of /proc/self is the effective user of this process (proc(5)).
fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |metadata| metadata.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_another_user_is_not_ours() {
        let directory = tempfile::tempdir().unwrap();
        assert!(is_ours(directory.path()).unwrap());
        assert!(is_ours(Path::new("/")).unwrap(), "root's");
        assert!(is_ours(&directory.path().join("none")).is_err());
        match std::os::unix::fs::chown(directory.path(), Some(65_534), None) {
            Ok(()) => assert!(!is_ours(directory.path()).unwrap() || own_uid() == 65_534),
            Err(error) => println!("skipped: a directory of another user: {error}"),
        }
    }
}
