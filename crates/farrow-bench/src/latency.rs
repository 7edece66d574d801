//! Times of one operation.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// The times that an operation took.
pub(crate) struct Latency {
    /// In nanoseconds, to three digits.
    times: Histogram<u64>,
}

impl Latency {
    /// Does `operation` so many times. What it is done to comes from `prepare`, before the clock starts; what it gives
    /// is dropped after the clock has stopped.
    pub(crate) fn of<S, T>(
        times: u64,
        mut prepare: impl FnMut(u64) -> anyhow::Result<S>,
        mut operation: impl FnMut(S) -> anyhow::Result<T>,
    ) -> anyhow::Result<Self> {
        let mut histogram = Histogram::new(3)?;
        for n in 0..times {
            let subject = prepare(n)?;
            let start = Instant::now();
            let done = operation(subject);
            let time = start.elapsed();
            drop(done?);
            histogram.record(u64::try_from(time.as_nanos())?)?;
        }
        Ok(Self { times: histogram })
    }

    /// Of times that were taken elsewhere.
    pub(crate) fn of_times(times: impl IntoIterator<Item = Duration>) -> anyhow::Result<Self> {
        let mut histogram = Histogram::new(3)?;
        for time in times {
            histogram.record(u64::try_from(time.as_nanos())?)?;
        }
        Ok(Self { times: histogram })
    }

    /// Median and, in brackets, 99th percentile.
    pub(crate) fn text(&self) -> String {
        format!("{} ({})", text(self.median()), text(self.p99()))
    }

    /// So many times as long as `other`, by their medians: `12.3 x`.
    pub(crate) fn against(&self, other: &Self) -> String {
        let times = self.median().as_secs_f64() / other.median().as_secs_f64();
        match times {
            ..10.0 => format!("{times:.2} x"),
            ..100.0 => format!("{times:.1} x"),
            _ => format!("{times:.0} x"),
        }
    }

    /// The median.
    pub(crate) fn median_text(&self) -> String {
        text(self.median())
    }

    /// The longest of all.
    pub(crate) fn longest_text(&self) -> String {
        text(Duration::from_nanos(self.times.max()))
    }

    /// Half of the times are shorter.
    pub(crate) fn median(&self) -> Duration {
        Duration::from_nanos(self.times.value_at_quantile(0.5))
    }

    /// One in a hundred is longer.
    pub(crate) fn p99(&self) -> Duration {
        Duration::from_nanos(self.times.value_at_quantile(0.99))
    }
}

/// Three digits and a unit.
pub(crate) fn text(time: Duration) -> String {
    let nanos = time.as_secs_f64() * 1e9;
    let (value, unit) = match nanos {
        ..1e3 => (nanos, "ns"),
        ..1e6 => (nanos / 1e3, "µs"),
        ..1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let digits = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_counts_once() {
        let latency = Latency::of(1000, |n| Ok(std::hint::black_box(n)), Ok).unwrap();
        assert_eq!(latency.times.len(), 1000);
        assert!(latency.median() <= latency.p99());
    }

    #[test]
    fn a_failed_operation_has_no_time() {
        assert!(Latency::of(2, Ok, |n| if n == 1 { anyhow::bail!("no") } else { Ok(()) }).is_err());
    }

    #[test]
    fn three_digits_and_a_unit() {
        let texts = [0, 999, 1_000, 54_321, 999_000, 1_234_567, 12_345_678_901]
            .map(|n| text(Duration::from_nanos(n)));
        assert_eq!(texts, ["0.00 ns", "999 ns", "1.00 µs", "54.3 µs", "999 µs", "1.23 ms", "12.3 s"]);
    }
}
