//! What is wrong with a configuration that can be read.

use std::path::Path;

use tracing_subscriber::EnvFilter;

use super::document::Document;
use super::{Config, Problem};
use crate::access::Access;

/// Bytes that any request, and any batch of a table that is not very wide, fits into.
const LEAST_MESSAGE: usize = 64 << 10;

/// A message is held in memory whole, and gRPC has no more than 4 GiB in one.
const MOST_MESSAGE: usize = 1 << 30;

/// What could not work, whatever is on this host.
pub(super) fn settings(config: &Config, document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |key: &str, text: String| problems.push(document.problem(key, text));

    if config.region.is_none() {
        wrong("region", "not given: say which region to serve, here or by --region".to_owned());
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
        ("limits.puts", limits.puts),
        ("limits.reservations-per-process", limits.reservations_per_process),
    ] {
        if found < 1 {
            wrong(key, "0: the least is 1".to_owned());
        }
    }
    for (key, found) in [
        ("limits.request-bytes", limits.request_bytes),
        ("limits.put-message-bytes", limits.put_message_bytes),
    ] {
        if !(LEAST_MESSAGE..=MOST_MESSAGE).contains(&found) {
            wrong(key, format!("{found} bytes: the least is 64 KiB ({LEAST_MESSAGE}), the most 1 GiB"));
        }
    }
    if limits.stall.as_secs() < 1 {
        wrong("limits.stall", format!("{:?}: the least is 1s", limits.stall));
    }
    problems
}

/// What is not there, or not so, on this host now.
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
    if let Err(faults) = Access::load(config) {
        problems.extend(faults.into_iter().map(|fault| document.fault(fault)));
    }
    problems
}
