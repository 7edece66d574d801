//! The agent's answers, as the tuples that `python/farrow/_answers.py` names.

use farrow_client::{
    Dropped, Health, Info, LeaseInfo, RetentionRule, RetentionTarget, Usage, Validation, Verified,
    VersionInfo,
};

/// Name, version, rows, bytes, foreign, why, segments, microseconds of the commit, validation, retention, seconds of the
/// age.
pub(crate) type InfoTuple =
    (String, u64, Option<u64>, u64, bool, Option<String>, u32, i64, &'static str, u64, Option<u64>);

/// Name, prefix, versions, seconds, user.
pub(crate) type RetentionTuple = (Option<String>, Option<String>, u64, Option<u64>, u32);

/// Info, bytes of its own, user, leases.
pub(crate) type VersionTuple = (InfoTuple, u64, u32, u64);

/// Versions, bytes freed, bytes held, frames.
pub(crate) type DroppedTuple = (u64, u64, u64, u64);

/// Process, name, version, bytes, seconds, user, number, whether children have it.
pub(crate) type LeaseTuple = (u32, String, u64, u64, f64, u32, u64, bool);

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
        info.max_age.map(|age| age.as_secs()),
    )
}

pub(crate) fn retention(rule: RetentionRule) -> RetentionTuple {
    let (name, prefix) = match rule.target {
        RetentionTarget::Frame(name) => (Some(name), None),
        RetentionTarget::Prefix(prefix) => (None, Some(prefix)),
    };
    (name, prefix, rule.retention.last, rule.retention.max_age.map(|age| age.as_secs()), rule.uid)
}

pub(crate) fn version(version: VersionInfo) -> VersionTuple {
    let VersionInfo { info: of, own_bytes, uid, leases } = version;
    (info(of), own_bytes, uid, leases)
}

pub(crate) fn dropped(dropped: Dropped) -> DroppedTuple {
    (dropped.versions, dropped.bytes_freed, dropped.bytes_held, dropped.frames)
}

pub(crate) fn lease(lease: LeaseInfo) -> LeaseTuple {
    let LeaseInfo { lease, pid, uid, name, version, bytes, age, inherited } = lease;
    (pid, name, version, bytes, age.as_secs_f64(), uid, lease, inherited)
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
        usage.growable,
        usage.catalog_live,
    ]
}
