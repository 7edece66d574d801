//! Exit codes: why a verb failed, for scripts.

use std::fmt;

use farrow_client::{ClientError, Reason};
use farrow_region::RegionError;
use farrow_store::StoreError;
use tonic::Code;

use crate::input::InputError;

/// The table, as help and man page show it.
pub(crate) const TABLE: &str = "Exit codes:
  0  done
  1  failed for a reason that is none of these (fsck, log, doctor: problems found)
  2  the command line, an address or a name cannot be understood (fsck, log: cannot be read)
  3  not found: no such frame, version or region
  4  unavailable: no agent serves there, it is busy or stopping, or the connection broke
  5  denied: by the agent's rules, by the system, or for want of a token it knows
  6  full: no room in the region, its catalog or its log, or the caller's quota is used up
  7  corrupt: stored bytes are damaged, or are no region
  8  bad input: a file for put or append is not there, is not what it claims, or cannot be stored
  9  conflict: the frame's latest version is not the one that --if-version says";

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Unavailable = 4,
    Denied = 5,
    Full = 6,
    Corrupt = 7,
    Input = 8,
    Conflict = 9,
}

/// A failure of this program itself that has an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: String) -> Self {
        Self { exit, message }
    }

    /// A request that makes no sense, though clap could parse it.
    pub(crate) fn usage(message: String) -> Self {
        Self { exit: Exit::Usage, message }
    }

    pub(crate) fn not_found(message: String) -> Self {
        Self { exit: Exit::NotFound, message }
    }

    /// A medium that is no region, or a damaged one.
    pub(crate) fn corrupt(message: String) -> Self {
        Self { exit: Exit::Corrupt, message }
    }

    pub(crate) fn denied(message: String) -> Self {
        Self { exit: Exit::Denied, message }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Exit {
    /// The exit code of an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        // A client that reads a damaged input wraps its error.
        if error.chain().any(|cause| cause.is::<InputError>()) {
            return Self::Input;
        }
        error.chain().find_map(of_cause).unwrap_or(Self::Failed)
    }

    /// The code that several failures share, else that of any failure. `None` if there are none.
    pub(crate) fn of_several(exits: &[Self]) -> Option<Self> {
        let first = exits.first()?;
        Some(if exits.iter().all(|exit| exit == first) { *first } else { Self::Failed })
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.exit);
    }
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return of_client(error);
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return of_store(error);
    }
    of_region(cause.downcast_ref::<RegionError>()?)
}

fn of_client(error: &ClientError) -> Option<Exit> {
    Some(match error {
        ClientError::Refused { reason, code, .. } => of_refusal(*reason, *code),
        ClientError::Address { .. } | ClientError::NoPort { .. } | ClientError::NoColumn { .. } => {
            Exit::Usage
        }
        ClientError::NoAgent { .. } | ClientError::Tls { .. } | ClientError::Unavailable { .. } => {
            Exit::Unavailable
        }
        ClientError::SocketClosed { .. }
        | ClientError::Credentials { .. }
        | ClientError::TokenExposed { .. } => Exit::Denied,
        ClientError::NotYet { .. } => Exit::NotFound,
        ClientError::OtherBytes { .. } | ClientError::OtherRegion { .. } | ClientError::Ipc(_) => {
            Exit::Corrupt
        }
        // The cause says more.
        _ => return None,
    })
}

fn of_refusal(reason: Option<Reason>, code: Code) -> Exit {
    match reason {
        Some(Reason::NotFound) => Exit::NotFound,
        Some(Reason::InvalidName) => Exit::Usage,
        Some(Reason::InvalidData) => Exit::Input,
        Some(Reason::RegionFull | Reason::Quota) => Exit::Full,
        Some(Reason::Stalled | Reason::Busy | Reason::CutOff | Reason::Fenced) => Exit::Unavailable,
        Some(Reason::ReadOnly | Reason::Denied | Reason::Unauthenticated) => Exit::Denied,
        Some(Reason::Corrupt) => Exit::Corrupt,
        Some(Reason::VersionConflict) => Exit::Conflict,
        Some(Reason::NotHeld | Reason::NeedsUnixSocket | Reason::Failed | Reason::Unimplemented) => {
            Exit::Failed
        }
        // A later agent may give a reason that is not known here: its code is.
        None => match code {
            Code::NotFound => Exit::NotFound,
            Code::Unavailable => Exit::Unavailable,
            Code::PermissionDenied | Code::Unauthenticated => Exit::Denied,
            Code::ResourceExhausted => Exit::Full,
            Code::DataLoss => Exit::Corrupt,
            _ => Exit::Failed,
        },
    }
}

fn of_store(error: &StoreError) -> Option<Exit> {
    Some(match error {
        StoreError::BadName { .. }
        | StoreError::BadPrefix { .. }
        | StoreError::BadPattern { .. }
        | StoreError::CatalogLen { .. } => Exit::Usage,
        StoreError::FrameNotFound { .. } | StoreError::VersionGone { .. } | StoreError::NoFrames { .. } => {
            Exit::NotFound
        }
        StoreError::RegionFull { .. }
        | StoreError::CatalogFull { .. }
        | StoreError::NoSpaceToExport { .. }
        | StoreError::NoSpaceToGrow { .. } => Exit::Full,
        StoreError::NotFarrow { .. } | StoreError::Catalog(_) | StoreError::Famfs(_) => Exit::Corrupt,
        // The cause says more.
        _ => return None,
    })
}

fn of_region(error: &RegionError) -> Option<Exit> {
    Some(match error {
        RegionError::Missing { .. } => Exit::NotFound,
        RegionError::NoPermission { .. } => Exit::Denied,
        RegionError::InUse { .. } => Exit::Unavailable,
        RegionError::Shrunk { .. } | RegionError::Lost { .. } => Exit::Corrupt,
        _ => return None,
    })
}
