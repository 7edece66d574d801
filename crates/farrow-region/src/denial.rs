//! Reasons why the system does not let this process at a path: whose it is, who is let in, and what to do.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgroups};
use rustix::fs::{AtFlags, CWD, accessat};

use crate::shell::{operand, word};

/// Access to a file that a process asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Read it.
    Read,
    /// Write it, which is also what connecting to a socket takes.
    Write,
    /// Read and write it.
    ReadWrite,
}

/// Says why this process may not do that with the file at `path`, in words; a file that is not there is to be made. To
/// be asked once the system has refused it.
pub fn denial(path: &Path, wanted: Permission) -> String {
    Denial::find(path, wanted).map_or_else(
        || {
            "the modes of file and directories allow it: another rule of the system does not (an access control list, \
             SELinux, AppArmor)"
                .to_owned()
        },
        |denial| denial.to_string(),
    )
}

/// A file that is closed to this process, or a directory on the way to it.
struct Denial {
    path: PathBuf,
    /// In the three bits of the owner, the group or others.
    needs: u32,
    is_directory: bool,
    mode: u32,
    owner: u32,
    group: u32,
}

const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
const SEARCH: u32 = 0o1;

impl Denial {
    fn find(path: &Path, wanted: Permission) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let mut directories: Vec<&Path> = path.ancestors().skip(1).collect();
        directories.reverse();
        if let Some(directory) = directories.iter().find(|directory| is_closed(directory, SEARCH)) {
            return Self::at(directory, SEARCH);
        }
        let needs = match wanted {
            Permission::Read => READ,
            Permission::Write => WRITE,
            Permission::ReadWrite => READ | WRITE,
        };
        if path.symlink_metadata().is_ok() {
            return if is_closed(&path, needs) { Self::at(&path, needs) } else { None };
        }
        let directory = path.parent()?;
        if is_closed(directory, WRITE | SEARCH) { Self::at(directory, WRITE | SEARCH) } else { None }
    }

    fn at(path: &Path, needs: u32) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        let (mode, owner, group) = (found.mode() & 0o7777, found.uid(), found.gid());
        Some(Self { path: path.to_owned(), needs, is_directory: found.is_dir(), mode, owner, group })
    }
}

/// True if this process lacks one of these permissions, by its effective user and groups.
fn is_closed(path: &Path, needs: u32) -> bool {
    let access = rustix::fs::Access::from_bits_truncate(needs);
    accessat(CWD, path, access, AtFlags::EACCESS).is_err()
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, needs, is_directory, mode, owner, group } = self;
        let what = if *is_directory { format!("the directory {}", path.display()) } else { "it".to_owned() };
        let (user, group_name) = (geteuid(), group_name(*group));
        write!(
            f,
            "{what} belongs to {} and group {group_name} with mode {mode:04o}, and this process runs as {}",
            user_name(*owner),
            user_name(user.as_raw())
        )?;
        let gid = Gid::from_raw(*group);
        let member = getegid() == gid || getgroups().is_ok_and(|groups| groups.contains(&gid));
        if mode >> 3 & needs != *needs || member {
            return write!(f, ". Run as {}, or have it opened to a group", user_name(*owner));
        }
        let name = User::from_uid(user).ok().flatten().map_or_else(|| "USER".to_owned(), |user| user.name);
        let (group_name, name) = (word(group_name), operand(name));
        write!(
            f,
            ". Members of the group are let in: root adds one by `usermod --append --groups {group_name} {name}`, which \
             takes a new login"
        )
    }
}

/// `user alice (1000)`, or by the number alone.
fn user_name(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("user {} ({uid})", user.name),
        _ => format!("user {uid}"),
    }
}

fn group_name(gid: u32) -> String {
    match Group::from_gid(Gid::from_raw(gid)) {
        Ok(Some(group)) => group.name,
        _ => gid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_is_told_where_this_process_may_not() {
        let told = |mode, needs, is_directory| {
            let path = "/run/farrow".into();
            Denial { path, needs, is_directory, mode, owner: 4_000_001, group: 4_000_000 }.to_string()
        };
        let directory = told(0o750, SEARCH, true);
        let expected =
            "the directory /run/farrow belongs to user 4000001 and group 4000000 with mode 0750, and";
        assert!(directory.starts_with(expected), "{directory}");
        assert!(directory.contains("`usermod --append --groups 4000000 "), "{directory}");
        assert!(told(0o660, WRITE, false).contains("`usermod "));
        assert!(told(0o640, READ, false).contains("`usermod "));
        // What its group may do with it is of no use.
        for told in [
            told(0o740, SEARCH, true),
            told(0o755, WRITE, false),
            told(0o640, READ | WRITE, false),
            told(0o600, READ, false),
        ] {
            assert!(told.contains("Run as user 4000001") && !told.contains("usermod"), "{told}");
        }
    }
}
