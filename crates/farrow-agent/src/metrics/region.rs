//! Metrics of region and leases, read at the time of a scrape.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::health::Health;
use crate::leases::Leases;
use crate::region::Region;

/// The place where an age belongs: the first whose limit it is below.
const AGES: [(&str, Duration); 4] = [
    ("1m", Duration::from_secs(60)),
    ("1h", Duration::from_secs(60 * 60)),
    ("1d", Duration::from_secs(24 * 60 * 60)),
    ("older", Duration::MAX),
];

/// Asks for figures at each scrape.
pub(super) struct RegionFigures {
    pub(super) region: Arc<Region>,
    pub(super) leases: Arc<Leases>,
    pub(super) health: Arc<Health>,
}

impl Collector for RegionFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let usage = self.region.view().usage();
        let mut out = Out(&mut encoder);
        out.gauge("serving", "1 if requests are served", None, u64::from(self.health.why_not().is_none()))?;
        out.gauge("frames", "Frames with at least one version", None, usage.frames)?;
        out.gauge("versions", "Versions of all frames", None, usage.versions)?;
        let damaged = self.region.damaged_segments() as u64;
        out.gauge("segments_damaged", "Published segments found to be changed since", None, damaged)?;
        let states =
            [("used", usage.used), ("held", usage.held), ("reserved", usage.reserved), ("free", usage.free)];
        let help = "Bytes of pool files: of versions, of dropped ones that wait, of reservations, free";
        out.gauges("pool", help, Some(&Unit::Bytes), "state", states)?;
        out.gauge("largest_free", "The longest free extent", Some(&Unit::Bytes), usage.largest_free)?;
        out.gauges(
            "leases",
            "Leases, by age",
            None,
            "age",
            by_age(self.leases.list().map(|lease| lease.granted.elapsed())),
        )?;
        out.gauges(
            "reservations",
            "Reservations, by age",
            None,
            "age",
            by_age(self.leases.reservation_ages()),
        )?;
        out.gauge("catalog", "Bytes of a half of the catalog", Some(&Unit::Bytes), usage.catalog_bytes)?;
        let (committed, live) = (usage.catalog_committed, usage.catalog_live);
        out.gauge("catalog_committed", "Bytes of it that are written", Some(&Unit::Bytes), committed)?;
        out.gauge("catalog_live", "Bytes of it that compaction leaves", Some(&Unit::Bytes), live)?;
        out.gauge("log_entries", "Entries of the famfs log", None, usage.log_entries)?;
        out.gauge("log_capacity_entries", "Entries that the famfs log can hold", None, usage.log_capacity)
    }
}

/// Returns how many of `ages` are in each class.
fn by_age(ages: impl IntoIterator<Item = Duration>) -> [(&'static str, u64); 4] {
    let mut counts = AGES.map(|(name, _)| (name, 0));
    for age in ages {
        let class = AGES.iter().position(|(_, limit)| age < *limit).unwrap_or(AGES.len() - 1);
        if let Some((_, count)) = counts.get_mut(class) {
            *count += 1;
        }
    }
    counts
}

struct Out<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Out<'_, '_> {
    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        let gauge = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        ConstGauge::new(value).encode(gauge)
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        label: &str,
        values: [(&str, u64); N],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (value, count) in values {
            ConstGauge::new(count).encode(family.encode_family(&[(label, value)])?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RegionFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionFigures").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_classed_below_their_limits() {
        let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400, u64::MAX].map(Duration::from_secs);
        let counts = by_age(ages);
        assert_eq!(counts, [("1m", 2), ("1h", 2), ("1d", 2), ("older", 2)]);
    }
}
