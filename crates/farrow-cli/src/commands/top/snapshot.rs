//! The agent's state at one moment.

use std::collections::{BTreeMap, BTreeSet};

use farrow_client::blocking::Client;
use farrow_client::{LeaseInfo, Usage};
use serde::Serialize;

use crate::output;

#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    pub(super) pool_bytes: u64,
    pub(super) used: u64,
    pub(super) held: u64,
    pub(super) reserved: u64,
    pub(super) free: u64,
    pub(super) largest_free: u64,
    pub(super) frames: u64,
    pub(super) versions: u64,
    pub(super) leases: u64,
    pub(super) catalog_bytes: u64,
    pub(super) catalog_committed: u64,
    pub(super) catalog_live: u64,
    pub(super) log_entries: u64,
    pub(super) log_capacity: u64,
    pub(super) growable: u64,
    /// The mapped versions, the largest first.
    pub(super) mapped: Vec<Mapped>,
}

/// A version that somebody maps.
#[derive(Debug, Serialize)]
pub(super) struct Mapped {
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) bytes: u64,
    pub(super) leases: u64,
    pub(super) processes: BTreeSet<u32>,
    /// Of the oldest lease.
    pub(super) age_seconds: f64,
}

/// A table of what is mapped.
pub(super) const HEADING: [&str; 5] = ["mapped", "bytes", "leases", "processes", "oldest"];
pub(super) const RIGHT: [bool; 5] = [false, true, true, true, true];

impl Snapshot {
    pub(super) fn take(client: &Client) -> anyhow::Result<Self> {
        Ok(Self::of(&client.usage()?, &client.leases()?))
    }

    fn of(usage: &Usage, leases: &[LeaseInfo]) -> Self {
        let mut mapped: BTreeMap<(&str, u64), Mapped> = BTreeMap::new();
        for lease in leases {
            let found = mapped.entry((&lease.name, lease.version)).or_insert_with(|| Mapped {
                name: lease.name.clone(),
                version: lease.version,
                bytes: lease.bytes,
                leases: 0,
                processes: BTreeSet::new(),
                age_seconds: 0.0,
            });
            found.leases += 1;
            found.processes.insert(lease.pid);
            found.age_seconds = found.age_seconds.max(lease.age.as_secs_f64());
        }
        let mut mapped: Vec<Mapped> = mapped.into_values().collect();
        mapped.sort_by_key(|mapped| std::cmp::Reverse(mapped.bytes));
        Self {
            pool_bytes: usage.pool_bytes,
            used: usage.used,
            held: usage.held,
            reserved: usage.reserved,
            free: usage.free,
            largest_free: usage.largest_free,
            frames: usage.frames,
            versions: usage.versions,
            leases: usage.leases,
            catalog_bytes: usage.catalog_bytes,
            catalog_committed: usage.catalog_committed,
            catalog_live: usage.catalog_live,
            log_entries: usage.log_entries,
            log_capacity: usage.log_capacity,
            growable: usage.growable,
            mapped,
        }
    }

    /// Returns what holds the pool, in two lines.
    pub(super) fn lines(&self) -> [String; 2] {
        let size = output::size;
        [
            format!(
                "pool {}: used {}, held {}, reserved {}, free {} (largest extent {})",
                size(self.pool_bytes),
                size(self.used),
                size(self.held),
                size(self.reserved),
                size(self.free),
                size(self.largest_free)
            ),
            format!(
                "{}, {}, {}; catalog {} of {}, famfs log {} of {} entries",
                output::counted(self.frames, "frame"),
                output::counted(self.versions, "version"),
                output::counted(self.leases, "lease"),
                size(self.catalog_live),
                size(self.catalog_bytes),
                self.log_entries,
                self.log_capacity
            ),
        ]
    }

    /// As text on stdout.
    pub(super) fn tell(&self) -> anyhow::Result<()> {
        for line in self.lines() {
            output::line(line)?;
        }
        let rows: Vec<[String; 5]> = self.mapped.iter().map(Mapped::cells).collect();
        Ok(output::table(HEADING, RIGHT, &rows)?)
    }
}

impl Mapped {
    pub(super) fn cells(&self) -> [String; 5] {
        [
            format!("{}@{}", self.name, self.version),
            output::size(self.bytes),
            self.leases.to_string(),
            self.processes.len().to_string(),
            output::age(std::time::Duration::from_secs_f64(self.age_seconds)),
        ]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    pub(in super::super) fn snapshot() -> Snapshot {
        let lease = |lease, pid, name: &str, bytes, age| LeaseInfo {
            lease,
            pid,
            uid: 0,
            name: name.to_owned(),
            version: 1,
            bytes,
            age: Duration::from_secs(age),
            inherited: false,
        };
        let usage = Usage {
            pool_bytes: 100,
            used: 40,
            held: 10,
            reserved: 0,
            free: 50,
            largest_free: 30,
            frames: 2,
            versions: 3,
            leases: 4,
            catalog_bytes: 9,
            catalog_committed: 5,
            catalog_live: 1,
            log_entries: 5,
            log_capacity: 9,
            growable: 0,
        };
        let leases = [
            lease(1, 7, "a", 10, 3),
            lease(2, 7, "a", 10, 90),
            lease(3, 8, "b", 30, 1),
            lease(4, 9, "a", 10, 1),
        ];
        Snapshot::of(&usage, &leases)
    }

    #[test]
    fn leases_of_one_version_are_one_line() {
        let snapshot = snapshot();
        let cells: Vec<_> = snapshot.mapped.iter().map(Mapped::cells).collect();
        assert_eq!(cells[0], ["b@1", "30 B", "1", "1", "1s"]);
        assert_eq!(cells[1], ["a@1", "10 B", "3", "2", "1m 30s"]);
        assert!(snapshot.lines()[0].contains("free 50 B (largest extent 30 B)"));
        assert!(snapshot.lines()[1].contains("catalog 1 B of 9 B"));
    }
}
