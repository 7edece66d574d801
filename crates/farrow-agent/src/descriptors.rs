//! File descriptors: how many the limits may need, and how many the system lets the agent have.

use farrow_region::counted;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::Limits;

/// Of the region and its pool files.
const OF_REGION: u64 = 256;

/// Of processes that hold leases without a connection: as many at least.
const OF_PROCESSES: u64 = 256;

/// The most of those where the system sets no limit.
const MOST_PROCESSES: u64 = 1 << 20;

/// Of the map socket, whose connections need a process and a descriptor to pass, and of health and metrics.
const OTHER_SOCKETS: u64 = 3 * 272 + 64;

/// Returns what is wrong with the limits, if the system does not let the agent have as many descriptors as they may
/// need.
pub(crate) fn check(limits: &Limits, over_tcp: bool) -> Result<(), String> {
    let needed = needed(limits, over_tcp);
    match getrlimit(Resource::Nofile).maximum {
        Some(may_have) if may_have < needed => Err(format!(
            "{} may need {needed} file descriptors, and the system lets this process have {may_have}: \
             take fewer connections, or have more descriptors (LimitNOFILE= of a systemd unit, ulimit -Hn)",
            counted(limits.connections, "connection")
        )),
        _ => Ok(()),
    }
}

/// Returns how many processes may hold leases or reservations: each takes a descriptor, and those that connections may
/// need are not among these.
pub(crate) fn processes(limits: &Limits, over_tcp: bool) -> u64 {
    let others = needed(limits, over_tcp) - OF_PROCESSES;
    let left = getrlimit(Resource::Nofile).current.map(|current| current.saturating_sub(others));
    left.unwrap_or(MOST_PROCESSES).clamp(OF_PROCESSES, MOST_PROCESSES)
}

/// Lets the agent have as many descriptors as the system allows it.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, ?current, ?maximum, "the limit of file descriptors could not be raised");
    }
}

fn needed(limits: &Limits, over_tcp: bool) -> u64 {
    let connections = limits.connections as u64;
    // Each over the unix socket has one for its process as well.
    let over_unix = 2 * connections;
    over_unix + if over_tcp { connections + 256 } else { 0 } + OTHER_SOCKETS + OF_REGION + OF_PROCESSES
}
