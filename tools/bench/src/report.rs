//! Figures, and the table of them.

use std::collections::BTreeMap;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use flotilla_loads::{Figures, short};
use flotilla_tests::Flavour;
use serde::Serialize;

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
    pub(crate) fn add(&mut self, load: &str, flavour: Flavour, figures: &Figures) {
        let known = self.0.iter().position(|(name, _)| name == load);
        let place = known.unwrap_or_else(|| {
            self.0.push((load.to_owned(), BTreeMap::new()));
            self.0.len() - 1
        });
        for (name, value) in figures.iter() {
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
