//! What a load measured.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart from longer ones.
const LONGEST: u64 = 60_000_000_000;

/// Named figures of one load.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures(BTreeMap<&'static str, f64>);

impl Figures {
    /// Adds a figure.
    pub fn add(&mut self, name: &'static str, value: f64) {
        self.0.insert(name, value);
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.0.iter().map(|(name, value)| (*name, *value))
    }

    /// Percentiles in microseconds.
    pub fn add_latencies(&mut self, latencies: &Latencies) {
        let at = |quantile| latencies.at(quantile).as_secs_f64() * 1e6;
        self.add("p50 us", at(0.5));
        self.add("p99 us", at(0.99));
        self.add("p99.9 us", at(0.999));
    }

    /// The median and the 99th percentile in milliseconds, under these names.
    pub fn add_milliseconds(&mut self, names: [&'static str; 2], latencies: &Latencies) {
        for (name, quantile) in names.into_iter().zip([0.5, 0.99]) {
            self.add(name, latencies.at(quantile).as_secs_f64() * 1e3);
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{} {name}", short(*value))?;
        }
        Ok(())
    }
}

/// Three digits that mean something.
#[must_use]
pub fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Latencies, in nanoseconds.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        // The bounds are right, and three digits are few.
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3);
        Self(histogram.unwrap_or_else(|_| unreachable!("these bounds are valid")))
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// No longer than this takes such a part of them: 0.5 is the median.
    #[must_use]
    pub fn at(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(quantile))
    }

    /// With what a client would have asked that waited for one answer at a time, had it gone on at its median pace.
    pub(crate) fn corrected(&self) -> Self {
        Self(self.0.clone_correct(self.0.value_at_quantile(0.5)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_counts_for_all_that_was_not_asked_meanwhile() {
        let mut latencies = Latencies::new();
        (0..1_000).for_each(|_| latencies.record(Duration::from_micros(100)));
        latencies.record(Duration::from_millis(100));
        let mut figures = Figures::default();
        figures.add_latencies(&latencies);
        assert!(figures.get("p99 us").is_some_and(|p99| p99 < 101.0));
        figures.add_latencies(&latencies.corrected());
        assert!(figures.get("p99 us").is_some_and(|p99| p99 > 90_000.0));
    }
}
