//! What the agent answers, as the tuples that `python/farrow/_answers.py` names.

use farrow_client::{Dropped, Health, Info, LeaseInfo, Usage, Validation, Verified};

/// Name, version, rows, bytes, foreign, why, segments, microseconds of the commit, validation, retention.
pub(crate) type InfoTuple =
    (String, u64, Option<u64>, u64, bool, Option<String>, u32, i64, &'static str, u64);

/// Versions, bytes freed, bytes held, frames.
pub(crate) type DroppedTuple = (u64, u64, u64, u64);

/// Process, name, version, bytes, seconds, user, number.
pub(crate) type LeaseTuple = (u32, String, u64, u64, f64, u32, u64);

/// Name, version, bytes, batches, segments without checksums.
pub(crate) type VerifiedTuple = (String, u64, u64, u64, u32);

pub(crate) fn info(info: Info) -> InfoTuple {
    let validation = match info.validation {
        Validation::None => "none",
        Validation::Structure => "structure",
        Validation::Values => "values",
    };
    (
        info.name,
        info.version,
        info.rows,
        info.bytes,
        info.foreign,
        info.why,
        info.segments,
        info.committed_at_micros,
        validation,
        info.retention,
    )
}

pub(crate) fn dropped(dropped: Dropped) -> DroppedTuple {
    (dropped.versions, dropped.bytes_freed, dropped.bytes_held, dropped.frames)
}

pub(crate) fn lease(lease: LeaseInfo) -> LeaseTuple {
    (lease.pid, lease.name, lease.version, lease.bytes, lease.age.as_secs_f64(), lease.uid, lease.lease)
}

pub(crate) fn verified(verified: Verified) -> VerifiedTuple {
    (verified.name, verified.version, verified.bytes, verified.batches, verified.without_checksums)
}

/// Serving, why not, release, region's UUID, seconds since it began to serve.
pub(crate) fn health(health: Health) -> (bool, Option<String>, String, String, f64) {
    (health.serving, health.why, health.version, health.region, health.uptime.as_secs_f64())
}

/// In the order of `farrow.Usage`.
pub(crate) fn usage(usage: &Usage) -> Vec<u64> {
    vec![
        usage.pool_bytes,
        usage.used,
        usage.held,
        usage.reserved,
        usage.free,
        usage.largest_free,
        usage.frames,
        usage.versions,
        usage.leases,
        usage.catalog_bytes,
        usage.catalog_committed,
        usage.log_entries,
        usage.log_capacity,
    ]
}
