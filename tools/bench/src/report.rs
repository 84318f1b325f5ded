//! Figures, and the table of them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use flotilla_tests::Flavour;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::load::Seen;
use crate::processes::Processes;

/// Named figures of one load in one round.
#[derive(Debug, Serialize)]
pub(crate) struct Figures(BTreeMap<&'static str, f64>);

impl Figures {
    pub(crate) fn of_publishing(seen: &[Seen], used: Processes, length: Duration) -> Result<Self> {
        let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        let (mut stored, mut refused) = (0, 0);
        for seen in seen {
            latencies.add(&seen.latencies)?;
            stored += seen.stored;
            refused += seen.refused;
        }
        let microseconds = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        let messages = stored.max(1) as f64;
        Ok(Self(BTreeMap::from([
            ("messages/s", stored as f64 / length.as_secs_f64()),
            ("p50 us", microseconds(0.5)),
            ("p99 us", microseconds(0.99)),
            ("p99.9 us", microseconds(0.999)),
            ("server CPU us/message", used.cpu_seconds * 1e6 / messages),
            ("bytes to disk/message", used.written as f64 / messages),
            ("resident MB, largest", used.largest_resident as f64 / 1e6),
            ("refused", refused as f64),
        ])))
    }

    pub(crate) fn of_rest(
        groups: usize,
        creating: Duration,
        used: Processes,
        empty: &Processes,
        watch: Duration,
        servers: usize,
    ) -> Self {
        let resident = used.largest_resident as f64;
        Self(BTreeMap::from([
            ("created/s", groups as f64 / creating.as_secs_f64()),
            ("% of a core, each", used.cpu_seconds / watch.as_secs_f64() / servers as f64 * 100.0),
            ("resident MB, largest", resident / 1e6),
            ("MB beyond empty, largest", (resident - empty.largest_resident as f64) / 1e6),
        ]))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(formatter, "{separator}{} {name}", short(*value))?;
        }
        Ok(())
    }
}

/// The rounds of one figure, of both servers.
#[derive(Debug, Default, Serialize)]
struct Rounds {
    flotilla: Vec<f64>,
    nats_server: Vec<f64>,
}

/// All figures of a run: load, figure, rounds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report(Vec<(String, BTreeMap<&'static str, Rounds>)>);

impl Report {
    pub(crate) fn add(&mut self, load: &str, flavour: Flavour, figures: Figures) {
        let known = self.0.iter().position(|(name, _)| name == load);
        let place = known.unwrap_or_else(|| {
            self.0.push((load.to_owned(), BTreeMap::new()));
            self.0.len() - 1
        });
        for (name, value) in figures.0 {
            let rounds = self.0[place].1.entry(name).or_default();
            match flavour {
                Flavour::Flotilla => rounds.flotilla.push(value),
                Flavour::NatsServer => rounds.nats_server.push(value),
            }
        }
    }

    /// Medians with smallest and largest, and the ratio of the medians.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.set_header(["load", "figure", "Flotilla", "nats-server", "ratio"]);
        for (load, figures) in &self.0 {
            for (index, (name, rounds)) in figures.iter().enumerate() {
                let (ours, theirs) = (median(&rounds.flotilla), median(&rounds.nats_server));
                let ratio = match (ours, theirs) {
                    (Some(ours), Some(theirs)) if theirs != 0.0 => format!("{:.2}", ours / theirs),
                    _ => String::new(),
                };
                let load = if index == 0 { load.as_str() } else { "" };
                table.add_row([
                    load,
                    name,
                    &spread(&rounds.flotilla),
                    &spread(&rounds.nats_server),
                    &ratio,
                ]);
            }
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// The middle value, or what lies between the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(lower.midpoint(*upper))
}

fn spread(values: &[f64]) -> String {
    let Some(median) = median(values) else { return String::new() };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} ({}-{})", short(median), short(least), short(most))
}

/// Three digits that matter, no more than whole numbers from a hundred on.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
