//! Counters. `README.md` of this crate has the table of all names; a test holds it and a scrape together.

mod region;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::health::Health;
use crate::leases::Leases;
use crate::region::Region;
use region::RegionFigures;

/// Counters that grow as things happen. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<Ended, Counter>,
    seconds: Family<Verb, Histogram>,
    /// Streams of rows that have not ended.
    pub(crate) streams: Gauge,
    /// Streams that were ended because their client took or sent nothing.
    pub(crate) stalled: Counter,
    /// Bytes of rows in messages to clients.
    pub(crate) streamed: Counter,
    connections: Family<Listener, Gauge>,
    refused: Family<Listener, Counter>,
}

/// The outcomes of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    verb: &'static str,
    /// gRPC's name.
    code: &'static str,
    /// farrow's word, empty where there is none.
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verb {
    verb: &'static str,
}

/// The place where a connection came in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listener {
    listener: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        // From 50 us, a look-up, to 50 s, a commit of many gigabytes.
        let seconds = || Histogram::new(exponential_buckets(50e-6, 4.0, 11));
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            streams: Gauge::default(),
            stalled: Counter::default(),
            streamed: Counter::default(),
            connections: Family::default(),
            refused: Family::default(),
        }
    }

    /// A request has ended.
    pub(crate) fn ended(&self, verb: &'static str, code: &'static str, reason: &str, took: Duration) {
        self.requests.get_or_create(&Ended { verb, code, reason: reason.to_owned() }).inc();
        self.seconds.get_or_create(&Verb { verb }).observe(took.as_secs_f64());
    }

    /// Connections that are open at a listener.
    pub(crate) fn connections(&self, listener: &'static str) -> Gauge {
        self.connections.get_or_create_owned(&Listener { listener })
    }

    /// Connections that a listener refused.
    pub(crate) fn refused(&self, listener: &'static str) -> Counter {
        self.refused.get_or_create_owned(&Listener { listener })
    }
}

/// All that can be scraped.
pub(crate) struct Exposition(Registry);

impl Exposition {
    /// `metrics`, and what `region` and `leases` say at the time of a scrape.
    pub(crate) fn new(
        metrics: &Metrics,
        region: Arc<Region>,
        leases: Arc<Leases>,
        health: Arc<Health>,
    ) -> Self {
        let mut root = Registry::default();
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        root.register_with_unit(
            "process_start_time",
            "When the agent began to serve, since the Unix epoch",
            Unit::Seconds,
            ConstGauge::new(start.as_secs_f64()),
        );
        let farrow = root.sub_registry_with_prefix("farrow");
        let build = Build { version: env!("CARGO_PKG_VERSION") };
        farrow.register("build", "Which farrow this is", Info::new(build));
        farrow.register("requests", "Requests that have ended, by verb and result", metrics.requests.clone());
        farrow.register_with_unit(
            "request",
            "Time from a request to the end of its answer, streams included",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        farrow.register("streams", "Streams of rows that have not ended", metrics.streams.clone());
        farrow.register("streams_stalled", "Streams ended for limits.stall", metrics.stalled.clone());
        farrow.register_with_unit("streamed", "Rows sent to clients", Unit::Bytes, metrics.streamed.clone());
        farrow.register("connections", "Connections that are open", metrics.connections.clone());
        farrow.register(
            "connections_refused",
            "Connections closed for limits.connections",
            metrics.refused.clone(),
        );
        let commits = region.commits();
        farrow.register_with_unit(
            "published",
            "Bytes of versions committed",
            Unit::Bytes,
            commits.bytes.clone(),
        );
        farrow.register_with_unit(
            "validation",
            "Time to check what was written, for each commit",
            Unit::Seconds,
            commits.validation.clone(),
        );
        farrow.register_collector(Box::new(RegionFigures { region, leases, health }));
        Self(root)
    }

    /// In the text format of OpenMetrics. Looks at the region: not for a thread that must not wait.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.0).is_err() {
            // Writing to a String does not fail.
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}
