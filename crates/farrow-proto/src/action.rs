//! The actions of DoAction.

/// An action that the agent offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `farrow.Reserve`
    Reserve,
    /// `farrow.Commit`
    Commit,
    /// `farrow.Abort`
    Abort,
    /// `farrow.Release`
    Release,
    /// `farrow.Drop`
    Drop,
    /// `farrow.Retain`
    Retain,
    /// `farrow.Retentions`
    Retentions,
    /// `farrow.Expire`
    Expire,
    /// `farrow.List`
    List,
    /// `farrow.Stat`
    Stat,
    /// `farrow.Versions`
    Versions,
    /// `farrow.Verify`
    Verify,
    /// `farrow.Grow`
    Grow,
    /// `farrow.Leases`
    Leases,
    /// `farrow.Usage`
    Usage,
    /// `farrow.Health`
    Health,
    /// `farrow.Map`
    Map,
    /// `RenewFlightEndpoint`, of Flight itself
    RenewFlightEndpoint,
    /// `CancelFlightInfo`, of Flight itself
    CancelFlightInfo,
}

impl Action {
    /// Every action, in the order of `proto/README.md`.
    pub const ALL: [Self; 19] = [
        Self::Reserve,
        Self::Commit,
        Self::Abort,
        Self::Release,
        Self::Drop,
        Self::Retain,
        Self::Retentions,
        Self::Expire,
        Self::List,
        Self::Stat,
        Self::Versions,
        Self::Verify,
        Self::Grow,
        Self::Leases,
        Self::Usage,
        Self::Health,
        Self::Map,
        Self::RenewFlightEndpoint,
        Self::CancelFlightInfo,
    ];

    /// The action's type on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "farrow.Reserve",
            Self::Commit => "farrow.Commit",
            Self::Abort => "farrow.Abort",
            Self::Release => "farrow.Release",
            Self::Drop => "farrow.Drop",
            Self::Retain => "farrow.Retain",
            Self::Retentions => "farrow.Retentions",
            Self::Expire => "farrow.Expire",
            Self::List => "farrow.List",
            Self::Stat => "farrow.Stat",
            Self::Versions => "farrow.Versions",
            Self::Verify => "farrow.Verify",
            Self::Grow => "farrow.Grow",
            Self::Leases => "farrow.Leases",
            Self::Usage => "farrow.Usage",
            Self::Health => "farrow.Health",
            Self::Map => "farrow.Map",
            Self::RenewFlightEndpoint => "RenewFlightEndpoint",
            Self::CancelFlightInfo => "CancelFlightInfo",
        }
    }

    /// One line for ListActions.
    pub fn description(self) -> &'static str {
        match self {
            Self::Reserve => "ReserveRequest -> Reservation: space to write a version in place (unix socket)",
            Self::Commit => "CommitRequest -> FrameInfo: check what was written and publish it",
            Self::Abort => "AbortRequest -> nothing: give a reservation back",
            Self::Release => "ReleaseRequest -> ReleaseResult: mapped bytes are no longer used",
            Self::Drop => "DropRequest -> DropResult: remove a version, a frame, or frames by prefix",
            Self::Retain => "RetainRequest -> DropResult: say which versions a frame or a prefix keeps",
            Self::Retentions => "RetentionsRequest -> RetentionRule...: what frames and prefixes keep",
            Self::Expire => "ExpireRequest -> DropResult: remove versions by age",
            Self::List => "ListRequest -> FrameInfo...: the latest version of each frame, by name",
            Self::Stat => "StatRequest -> FrameInfo: one version of a frame",
            Self::Versions => "VersionsRequest -> VersionInfo...: the versions that a frame has",
            Self::Verify => "VerifyRequest -> VerifyProgress...: compare a version with its checksums",
            Self::Grow => "GrowRequest -> GrowResult: one more pool file",
            Self::Leases => "nothing -> LeaseInfo...: who maps what, since when",
            Self::Usage => "nothing -> Usage: free, used, held and reserved bytes, catalog and log room",
            Self::Health => "nothing -> HealthInfo: whether the agent serves, or why not",
            Self::Map => "MapRequest -> MapResult...: where many versions lie, under leases (unix socket)",
            Self::RenewFlightEndpoint => {
                "RenewFlightEndpointRequest -> FlightEndpoint: whether a lease or ticket is still good"
            }
            Self::CancelFlightInfo => "CancelFlightInfoRequest -> CancelFlightInfoResult: end its leases",
        }
    }

    /// True if it may be asked for again when its answer is lost: it changes nothing, or nothing more the second time.
    pub fn is_idempotent(self) -> bool {
        match self {
            Self::Abort
            | Self::Release
            | Self::List
            | Self::Stat
            | Self::Retentions
            | Self::Versions
            | Self::Verify
            | Self::Leases
            | Self::Usage
            | Self::Health
            | Self::Map
            | Self::RenewFlightEndpoint => true,
            Self::Reserve
            | Self::Commit
            | Self::Drop
            | Self::Retain
            | Self::Expire
            | Self::Grow
            | Self::CancelFlightInfo => false,
        }
    }

    /// The action of that type.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_names_its_action() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        assert_eq!(Action::parse("farrow.Unknown"), None);
    }
}
