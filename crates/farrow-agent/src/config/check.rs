//! Faults of a configuration that can be read.

use std::path::Path;

use farrow_region::trust::check_directory;
use tracing_subscriber::EnvFilter;

use super::document::Document;
use super::{Config, Problem, SYSTEM_FILE};
use crate::access::Access;
use crate::descriptors;
use crate::listen::check_place;

/// Bytes that any request, and any batch of a table that is not very wide, fits into.
const LEAST_MESSAGE: usize = 64 << 10;

/// A few messages of rows.
const LEAST_STREAM_BYTES: u64 = 4 << 20;

/// Of connections, streams and the like. More is a mistake: each takes memory.
const MOST: usize = 1_000_000;

/// Of leases, each of which takes a few hundred bytes.
const MOST_LEASES: usize = 100 * MOST;

/// A message is held in memory whole, and gRPC has no more than 4 GiB in one.
const MOST_MESSAGE: usize = 1 << 30;

/// Finds settings that could not work, whatever is on this host.
pub(super) fn settings(config: &Config, document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |key: &str, text: String| problems.push(document.problem(key, text));

    if config.region.is_none() {
        wrong("region", no_region(document));
    }
    let tcp = &config.tcp;
    match tcp.listen {
        Some(address) if tcp.certificate.is_none() && !address.ip().to_canonical().is_loopback() => wrong(
            "tcp.listen",
            format!(
                "{address} is not a loopback address, and without TLS anybody on the way could read and change what \
                 is sent: give tcp.certificate and tcp.key, or use 127.0.0.1 or [::1]"
            ),
        ),
        _ => {}
    }
    match (&tcp.certificate, &tcp.key, &tcp.client_ca) {
        (Some(_), None, _) => wrong("tcp.certificate", "its private key is missing: give tcp.key".to_owned()),
        (None, Some(_), _) => wrong("tcp.key", "its certificate is missing: give tcp.certificate".to_owned()),
        (None, None, Some(_)) => {
            wrong("tcp.client-ca", "only over TLS: give tcp.certificate and tcp.key".to_owned());
        }
        _ => {}
    }
    if let Err(fault) = EnvFilter::try_new(&config.log.level) {
        wrong("log.level", format!("{:?}: {fault}", config.log.level));
    }

    let limits = &config.limits;
    for (key, found) in [
        ("limits.connections", limits.connections),
        (
            "limits.streams-per-connection",
            usize::try_from(limits.streams_per_connection).unwrap_or(usize::MAX),
        ),
        ("limits.streams", limits.streams),
        ("limits.puts", limits.puts),
        ("limits.reservations-per-process", limits.reservations_per_process),
    ] {
        if !(1..=MOST).contains(&found) {
            wrong(key, format!("{found}: the least is 1, the most {MOST}"));
        }
    }
    if !(1..=MOST_LEASES).contains(&limits.leases) {
        wrong("limits.leases", format!("{}: the least is 1, the most {MOST_LEASES}", limits.leases));
    }
    for (key, found) in [
        ("limits.request-bytes", limits.request_bytes),
        ("limits.put-message-bytes", limits.put_message_bytes),
    ] {
        if !(LEAST_MESSAGE..=MOST_MESSAGE).contains(&found) {
            wrong(key, format!("{found} bytes: the least is 64 KiB ({LEAST_MESSAGE}), the most 1 GiB"));
        }
    }
    if limits.stream_bytes < LEAST_STREAM_BYTES {
        let found = limits.stream_bytes;
        wrong("limits.stream-bytes", format!("{found} bytes: the least is 4 MiB ({LEAST_STREAM_BYTES})"));
    }
    // The dictionaries of a stream, and a message beside them, in a half of what is left.
    let least = 3 * limits.put_message_bytes as u64;
    if limits.put_bytes < least {
        let found = limits.put_bytes;
        wrong(
            "limits.put-bytes",
            format!("{found} bytes: the least is 3 * limits.put-message-bytes ({least})"),
        );
    }
    if let Err(problem) = descriptors::check(limits, tcp.listen.is_some()) {
        wrong("limits.connections", problem);
    }
    if limits.stall.as_secs() < 1 {
        wrong("limits.stall", format!("{:?}: the least is 1s", limits.stall));
    }
    problems
}

/// No region is named, and where one was looked for.
fn no_region(document: &Document) -> String {
    let file = match document.path() {
        Some(file) => format!("{}, which names none", file.display()),
        None => format!("a file (--config FILE; {SYSTEM_FILE} is not there)"),
    };
    format!(
        "which one to serve is not said. Name it by --region PATH, $FARROW_REGION, or region = \"PATH\" in {file}"
    )
}

/// Finds paths that are not there, or not as they should be, on this host now.
pub(super) fn paths(config: &Config, document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |key: &str, path: Option<&Path>| {
        if let Some(path) = path
            && let Err(error) = std::fs::metadata(path)
        {
            problems.push(document.problem(key, format!("{}: {error}", path.display())));
        }
    };
    check("region", config.region.as_deref());
    check("system-uuid-file", config.system_uuid_file.as_deref());
    if let Some(socket) = &config.socket
        && let Err(problem) = check_place(socket)
    {
        problems.push(document.problem("socket", problem));
    }
    // One that is not there is made, and is this user's own.
    let state = config.state_dir();
    if state.exists()
        && let Err(distrust) = check_directory(&state)
    {
        problems.push(document.problem("state-dir", distrust.to_string()));
    }
    if let Err(faults) = Access::load(config) {
        problems.extend(faults.into_iter().map(|fault| document.fault(fault)));
    }
    problems
}
