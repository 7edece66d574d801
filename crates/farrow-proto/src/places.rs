//! The places where an agent's socket is looked for if none is named.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// The socket's name in a [`own_directory`] or [`SYSTEM_DIRECTORY`].
pub const SOCKET_NAME: &str = "agent.sock";

/// The place where the host's own agent keeps its socket and state.
pub const SYSTEM_DIRECTORY: &str = "/run/farrow";

/// Returns where an agent of this process's user keeps its socket and state: [`SYSTEM_DIRECTORY`] for root, else
/// `farrow` in `$XDG_RUNTIME_DIR` if that is this user's, else `farrow-UID` in the directory for temporary files. A
/// program that finds something there has to check whose it is.
pub fn own_directory() -> PathBuf {
    directory_of(own_uid(), std::env::var_os("XDG_RUNTIME_DIR"))
}

/// Returns why `$XDG_RUNTIME_DIR` is passed over in [`own_directory`], if it is although it is set.
pub fn runtime_directory_fault() -> Option<String> {
    let (uid, runtime) = (own_uid(), PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?));
    if uid == 0 || own_directory().starts_with(&runtime) {
        return None;
    }
    let why = match runtime.metadata() {
        _ if !runtime.is_absolute() => "its path is not absolute".to_owned(),
        Ok(found) => format!("it is user {}'s, and this process runs as user {uid}", found.uid()),
        Err(error) => error.to_string(),
    };
    Some(format!("$XDG_RUNTIME_DIR ({}): {why}", runtime.display()))
}

fn directory_of(uid: u32, runtime: Option<OsString>) -> PathBuf {
    if uid == 0 {
        return SYSTEM_DIRECTORY.into();
    }
    // The XDG Base Directory Specification: absolute, and the user's own. After su it may be another one's.
    let own = |path: &PathBuf| path.is_absolute() && path.metadata().is_ok_and(|found| found.uid() == uid);
    match runtime.map(PathBuf::from).filter(own) {
        Some(runtime) => runtime.join("farrow"),
        None => std::env::temp_dir().join(format!("farrow-{uid}")),
    }
}

/// The owner of /proc/self is the effective user of this process (proc(5)).
fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |metadata| metadata.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_users_runtime_directory_is_not_taken() {
        let runtime = tempfile::tempdir().unwrap();
        let owner = runtime.path().metadata().unwrap().uid();
        let told = |uid, path: &str| directory_of(uid, Some(path.into()));
        let path = runtime.path().to_str().unwrap();
        let stranger = owner + 1;
        let temporary = std::env::temp_dir().join(format!("farrow-{stranger}"));
        assert_eq!(told(stranger, path), temporary);
        assert_eq!(told(stranger, "."), temporary);
        assert_eq!(told(stranger, "/none"), temporary);
        assert_eq!(directory_of(stranger, None), temporary);
        let expected = if owner == 0 { SYSTEM_DIRECTORY.into() } else { runtime.path().join("farrow") };
        assert_eq!(told(owner, path), expected);
    }
}
