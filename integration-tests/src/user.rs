//! Other users than the one who runs the tests.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::{copy_program, program, skipped};

/// A user without any rights, who can run the programs.
pub struct User {
    uid: u32,
    /// Copies of those that only the tests' own user can reach.
    programs: TempDir,
}

impl User {
    /// A user of that number, which no account needs to have. Says so if this process may not become somebody else:
    /// `what` is skipped then.
    ///
    /// # Panics
    /// If no directory can be made.
    pub fn new(uid: u32, what: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped(&format!("{what} (needs root, to become somebody else)"));
            return None;
        }
        let programs = TempDir::with_prefix("farrow-it-").expect("a directory can be made");
        fs::set_permissions(programs.path(), Permissions::from_mode(0o755)).expect("its owner may");
        Some(Self { uid, programs })
    }

    /// The user's number, and that of a group.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// A program of the workspace, run as this user.
    ///
    /// # Panics
    /// If it cannot be copied.
    pub fn command(&self, name: &str) -> Command {
        let built = program(name);
        let others_may = |path: &Path| fs::metadata(path).is_ok_and(|found| found.mode() & 0o001 != 0);
        let path = if built.ancestors().all(others_may) {
            built
        } else {
            let copy = self.programs.path().join(name);
            if !copy.exists() {
                copy_program(&built, &copy);
            }
            copy
        };
        let mut command = Command::new(path);
        command.uid(self.uid).gid(self.uid).current_dir("/");
        command
    }
}
