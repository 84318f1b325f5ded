//! A replica stops taking part only for a reason.

use super::{Invariant, Seen};
use crate::history::History;

pub(super) struct HonestStops;

impl Invariant for HonestStops {
    fn name(&self) -> &'static str {
        "I14 honest stops"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Server { store, totals, hurt } = seen else { return Ok(()) };
        // Where a disk was damaged, what is lost is lost; but nothing else may happen there either.
        let lost = |why: &str| why.starts_with("it is lost: ");
        // A log that forgot its end brings back what was deleted.
        let unknown = |why: &str| why.starts_with("the cluster does not know it");
        let excused = |why: &str| *hurt && (lost(why) || unknown(why));
        match totals.ended.iter().find(|(_, why)| !excused(why)) {
            Some((group, why)) => Err(format!("{store}: a replica of group {group} ended: {why}")),
            None => Ok(()),
        }
    }
}
