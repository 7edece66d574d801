//! The meaning of each error for a caller: one table from error to reason, one from reason to gRPC code.
//!
//! The only place that makes a [`Status`] (clippy.toml forbids it elsewhere). No table of farrow's own errors has a catch-all: a new error does not compile
//! before somebody has decided what it means. What fails below, in the system, is one reason.

use farrow_ipc::IpcError;
use farrow_proto::{ADVICE_HEADER, Advice, REASON_HEADER, Reason, v1};
use farrow_region::RegionError;
use farrow_store::{MountFault, StoreError};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::error::{AgentError, chain};

impl From<AgentError> for Status {
    fn from(error: AgentError) -> Self {
        let reason = log(&error);
        #[expect(clippy::disallowed_methods, reason = "the one place that makes a status")]
        let mut status = Status::new(code(reason), chain(&error));
        status.metadata_mut().insert(REASON_HEADER, MetadataValue::from_static(reason.as_str()));
        if let Some(advice) = advice(&error) {
            status.metadata_mut().insert(ADVICE_HEADER, MetadataValue::from_static(advice.as_str()));
        }
        status
    }
}

/// The error of one part of a request, where the other parts are answered.
pub(crate) fn refusal(error: &AgentError) -> v1::Refusal {
    let reason = log(error);
    v1::Refusal {
        reason: reason.as_str().to_owned(),
        message: chain(error),
        code: code(reason).into(),
        advice: advice(error).map_or("", Advice::as_str).to_owned(),
    }
}

/// The remedy that has a name in each language.
fn advice(error: &AgentError) -> Option<Advice> {
    if let AgentError::OtherSchema { advice, .. } = error { *advice } else { None }
}

/// Says in the agent's own log what a caller is told.
fn log(error: &AgentError) -> Reason {
    let reason = reason(error);
    // A damaged segment is told of once, by the region.
    let told = matches!(error, AgentError::Damaged { .. });
    if matches!(code(reason), Code::Internal | Code::DataLoss) && !told {
        tracing::error!(error = %chain(error), "request failed");
    } else {
        tracing::debug!(error = %chain(error), "request refused");
    }
    reason
}

/// The reason, for programs.
pub(crate) fn reason(error: &AgentError) -> Reason {
    match error {
        AgentError::Store(error) => store_reason(error),
        AgentError::Foreign { source: IpcError::Read { .. }, .. } => Reason::Failed,
        AgentError::Ipc(IpcError::LargeMessage { .. })
        | AgentError::Foreign { source: IpcError::LargeMessage { .. }, .. } => Reason::Unimplemented,
        AgentError::Ipc(_)
        | AgentError::Foreign { .. }
        | AgentError::BeingWritten { .. }
        | AgentError::Framing(_)
        | AgentError::Body { .. }
        | AgentError::ForeignTicket { .. }
        | AgentError::OtherRegion { .. }
        | AgentError::MapRequest { .. }
        | AgentError::CommittedTwofold { .. }
        | AgentError::SameReservation { .. }
        | AgentError::MixedSchemas { .. }
        | AgentError::OtherSchema { .. }
        | AgentError::PutHeader { .. }
        | AgentError::Command { .. }
        | AgentError::Rows { .. }
        | AgentError::NoColumn { .. }
        | AgentError::NoTicket
        | AgentError::TooMany { .. }
        | AgentError::LongAnswer { .. }
        | AgentError::UnsetAndSet { .. }
        | AgentError::Session { .. }
        | AgentError::Stream(_)
        | AgentError::LongerThanReserved { .. } => Reason::InvalidData,
        AgentError::Descriptor { .. } | AgentError::PutVersion { .. } | AgentError::NameAndPrefix { .. } => {
            Reason::InvalidName
        }
        AgentError::Busy { .. }
        | AgentError::BeingCommitted { .. }
        | AgentError::ManyStreams { .. }
        | AgentError::ManyOpen { .. }
        | AgentError::ManyOf { .. } => Reason::Busy,
        AgentError::ManyLeases { .. } | AgentError::ManyProcesses { .. } => Reason::Quota,
        AgentError::CutOff | AgentError::GivenUp | AgentError::Abandoned => Reason::CutOff,
        AgentError::NothingSent { .. }
        | AgentError::Incomplete { .. }
        | AgentError::Stalled { .. }
        | AgentError::GaveWay => Reason::Stalled,
        AgentError::Received(status) => received_reason(status),
        AgentError::PutMessage { .. } => Reason::InvalidData,
        AgentError::StaleTicket { .. } | AgentError::NoSuchFile { .. } => Reason::NotFound,
        AgentError::NeedsUnixSocket { .. } => Reason::NeedsUnixSocket,
        AgentError::Denied { .. } => Reason::Denied,
        AgentError::BadToken { .. } => Reason::Unauthenticated,
        AgentError::NotHeld { .. } => Reason::NotHeld,
        AgentError::NoSegments | AgentError::Differs { .. } | AgentError::Damaged { .. } => Reason::Corrupt,
        AgentError::Region(error) => region_reason(error),
        AgentError::UnknownAction { .. }
        | AgentError::Unimplemented { .. }
        | AgentError::NoSession { .. }
        | AgentError::SessionVersions { .. }
        | AgentError::UnknownRequest { .. }
        | AgentError::NothingRecorded { .. } => Reason::Unimplemented,
        AgentError::Medium { .. }
        | AgentError::SeveralFiles { .. }
        | AgentError::Arrow(_)
        | AgentError::Holders(_)
        | AgentError::Watch(_)
        | AgentError::MapConnections { .. }
        | AgentError::NoPages { .. }
        | AgentError::Pass(_)
        | AgentError::Panicked { .. }
        | AgentError::Interrupted(_) => Reason::Failed,
    }
}

fn store_reason(error: &StoreError) -> Reason {
    match error {
        StoreError::Mount(MountFault::ToolsGrow { .. }) => Reason::Unimplemented,
        StoreError::BadName { .. }
        | StoreError::BadPrefix { .. }
        | StoreError::BadPattern { .. }
        | StoreError::RetentionWithin { .. } => Reason::InvalidName,
        StoreError::FrameNotFound { .. } | StoreError::VersionGone { .. } | StoreError::NoFrames { .. } => {
            Reason::NotFound
        }
        StoreError::NoReservation { .. } | StoreError::NotHeld { .. } => Reason::NotHeld,
        StoreError::ReservationBusy { .. } => Reason::Busy,
        StoreError::NoLength
        | StoreError::OtherOwner { .. }
        | StoreError::TooLong { .. }
        | StoreError::Checksums { .. }
        | StoreError::RecordTooLong { .. }
        | StoreError::SchemaMismatch { .. } => Reason::InvalidData,
        StoreError::Foreign { .. } => Reason::ReadOnly,
        StoreError::VersionConflict { .. } => Reason::VersionConflict,
        StoreError::RegionFull { .. } | StoreError::CatalogFull { .. } | StoreError::NoSpaceToGrow { .. } => {
            Reason::RegionFull
        }
        StoreError::Quota { .. }
        | StoreError::HoldsDropped { .. }
        | StoreError::ManyReservations { .. }
        | StoreError::ManyRetentions { .. } => Reason::Quota,
        StoreError::Fenced { .. } | StoreError::NotMaster { .. } => Reason::Fenced,
        StoreError::Catalog(_)
        | StoreError::Famfs(_)
        | StoreError::Replaced { .. }
        | StoreError::NoSuchExtent { .. }
        | StoreError::NotFarrow { .. } => Reason::Corrupt,
        StoreError::Stopped
        | StoreError::PastEnd { .. }
        | StoreError::Unreadable { .. }
        | StoreError::Internal { .. }
        | StoreError::HostId { .. }
        | StoreError::Occupied { .. }
        | StoreError::OccupiedUnreadable { .. }
        | StoreError::MediaTooSmall { .. }
        | StoreError::CatalogLen { .. }
        | StoreError::HostsLen { .. }
        | StoreError::ManySegments { .. }
        | StoreError::ExportPath { .. }
        | StoreError::NoSpaceToExport { .. }
        | StoreError::Overtaken { .. }
        | StoreError::Mount(_) => Reason::Failed,
        StoreError::Media(error) => region_reason(error),
    }
}

/// Of what tonic says of a message that it could not receive: too long, or no protobuf; else the connection failed.
fn received_reason(status: &Status) -> Reason {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument | Code::Internal => {
            Reason::InvalidData
        }
        _ => Reason::CutOff,
    }
}

fn region_reason(error: &RegionError) -> Reason {
    match error {
        RegionError::Lost { .. } | RegionError::Shrunk { .. } => Reason::Corrupt,
        _ => Reason::Failed,
    }
}

fn code(reason: Reason) -> Code {
    match reason {
        Reason::NotFound => Code::NotFound,
        Reason::InvalidName | Reason::InvalidData => Code::InvalidArgument,
        Reason::RegionFull | Reason::Quota | Reason::Busy => Code::ResourceExhausted,
        Reason::VersionConflict | Reason::CutOff | Reason::Stalled => Code::Aborted,
        Reason::NotHeld | Reason::ReadOnly | Reason::NeedsUnixSocket | Reason::Fenced => {
            Code::FailedPrecondition
        }
        Reason::Denied => Code::PermissionDenied,
        Reason::Unauthenticated => Code::Unauthenticated,
        Reason::Corrupt => Code::DataLoss,
        Reason::Failed => Code::Internal,
        Reason::Unimplemented => Code::Unimplemented,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_page_has_the_same_codes() {
        let page = include_str!("../../../proto/README.md");
        for reason in Reason::ALL {
            let row = page.lines().find_map(|line| line.strip_prefix(&format!("| `{}` | ", reason.as_str())));
            let told = row.and_then(|row| row.split(" | ").next()).expect("a row of the table");
            let code = format!("{:?}", code(reason));
            assert_eq!(told.replace('_', "").to_lowercase(), code.to_lowercase(), "{reason:?}");
        }
    }
}
