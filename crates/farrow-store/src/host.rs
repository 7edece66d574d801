//! The identity of this host.

use std::io;
use std::path::{Path, PathBuf};

use farrow_region::trust::{Distrust, Guard, read_file};
use thiserror::Error;
use uuid::Uuid;

use crate::error::{Result, StoreError};

/// The place where the famfs tools keep the host's UUID.
const FAMFS_SYSTEM_UUID: &str = "/opt/famfs/system_uuid";

const MACHINE_ID: &str = "/etc/machine-id";

/// More than any file with an identity has.
const MAX_FILE: u64 = 4096;

/// The name space of host UUIDs made from machine ids; random, made for farrow. A machine id itself must not
/// be shown to others: machine-id(5).
const NAMESPACE: Uuid = Uuid::from_u128(0x5b0c_7f0e_6f2d_4c58_9d3a_61c1_a7e4_2f90);

/// The identity of a host, as famfs knows it: the system UUID.
#[derive(Debug)]
pub struct HostId;

impl HostId {
    /// This host's UUID: from `explicit_file` if given; else from `/opt/famfs/system_uuid`, which the famfs
    /// tools make; else a UUIDv5 of `/etc/machine-id`.
    ///
    /// # Errors
    /// [`StoreError::HostId`] if the file that counts is not there or does not hold what it should. A file
    /// that is there and unreadable is never passed over: the host would be taken for another one.
    pub fn discover(explicit_file: Option<&Path>) -> Result<Uuid> {
        match explicit_file {
            Some(path) => read_uuid(path),
            None => discover_in(Path::new(FAMFS_SYSTEM_UUID), Path::new(MACHINE_ID)),
        }
    }
}

/// A fault of the source of a host's identity.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostIdFault {
    /// The file cannot be read.
    #[error(
        "cannot be read ({0}). Try: --system-uuid-file with a file that holds a UUID (`uuidgen` makes one)"
    )]
    Io(io::Error),
    /// Another user could have written it, and so make this host the one that may write.
    #[error("is not believed: {0}")]
    Distrusted(Distrust),
    /// The file does not hold a UUID in text.
    #[error("holds {found:?}, expected a UUID of 36 characters")]
    NotUuid {
        /// The beginning of what it holds.
        found: String,
    },
    /// The file does not hold a machine id.
    #[error("does not hold 32 hexadecimal digits. Try: --system-uuid-file with a file that holds a UUID")]
    NotMachineId,
}

fn discover_in(system_uuid: &Path, machine_id: &Path) -> Result<Uuid> {
    match read_uuid(system_uuid) {
        Err(StoreError::HostId { fault: HostIdFault::Io(error), .. })
            if error.kind() == io::ErrorKind::NotFound =>
        {
            from_machine_id(machine_id)
        }
        found => found,
    }
}

fn read_uuid(path: &Path) -> Result<Uuid> {
    let text = read(path)?;
    // Only the form that famfs writes; the nil UUID is what a file system without a master has.
    match Uuid::try_parse(text.trim()) {
        Ok(uuid) if text.trim().len() == 36 && !uuid.is_nil() => Ok(uuid),
        _ => {
            let found = text.chars().take(48).collect();
            Err(StoreError::HostId { path: path.into(), fault: HostIdFault::NotUuid { found } })
        }
    }
}

fn from_machine_id(path: &Path) -> Result<Uuid> {
    let text = read(path)?;
    let id = text.trim();
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(StoreError::HostId { path: path.into(), fault: HostIdFault::NotMachineId });
    }
    Ok(Uuid::new_v5(&NAMESPACE, id.as_bytes()))
}

fn read(path: &Path) -> Result<String> {
    let bytes = read_file(path, MAX_FILE, Guard::Rules).map_err(|problem| {
        let fault = match problem {
            Distrust::Io { source, .. } => HostIdFault::Io(source),
            problem => HostIdFault::Distrusted(problem),
        };
        StoreError::HostId { path: PathBuf::from(path), fault }
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
