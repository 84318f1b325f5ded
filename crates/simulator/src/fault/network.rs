//! Faults of the network.

use flotilla_raft::StoreId;

use super::FaultKind;
use super::carry_out::{Faults, MOST_STEPS, timer_of};
use crate::world::{LinkFaults, World};

impl Faults {
    /// Network faults. Returns whether it was one.
    pub(super) fn network(
        &mut self,
        fault: usize,
        step: u64,
        kind: &FaultKind,
        world: &mut World,
    ) -> bool {
        let all = world.stores();
        let next = timer_of(fault, step + 1);
        let (change, lasting) = match kind {
            FaultKind::Partition { these, lasting } => (cut(these, &all, true), *lasting),
            FaultKind::OneWay { these, lasting } => (cut(these, &all, false), *lasting),
            FaultKind::Ring { lasting } => (ring(&all), *lasting),
            FaultKind::Flapping { these, times, each } => {
                let change = if step.is_multiple_of(2) {
                    cut(these, &all, true)
                } else {
                    LinkFaults::default()
                };
                if step + 1 < times * 2 {
                    world.at(world.now + each, next);
                }
                self.fired.insert(fault);
                self.set_links(fault, change, world);
                return true;
            }
            FaultKind::BadLinks { often, most, lasting } => {
                let (slow, lossy) = (Some((*often, *most)), Some(*often));
                (LinkFaults { cut: Vec::new(), slow, lossy }, *lasting)
            }
            FaultKind::BrokenLinks { times, each } => {
                let a = all[crate::plan::index(world.random.below(all.len() as u64))];
                let b = all[crate::plan::index(world.random.below(all.len() as u64))];
                if a != b && world.break_link(a, b) {
                    self.fired.insert(fault);
                }
                let enough = step + 1 >= *times && self.fired.contains(&fault);
                if !enough && step + 1 < MOST_STEPS {
                    world.at(world.now + each, next);
                }
                return true;
            }
            _ => return false,
        };
        if step == 0 {
            self.fired.insert(fault);
            world.at(world.now + lasting, next);
            self.set_links(fault, change, world);
        } else {
            self.set_links(fault, LinkFaults::default(), world);
        }
        true
    }

    pub(super) fn set_links(&mut self, fault: usize, change: LinkFaults, world: &mut World) {
        self.links.insert(fault, change);
        let mut all = LinkFaults::default();
        for faults in self.links.values() {
            all.cut.extend(&faults.cut);
            all.slow = all.slow.or(faults.slow);
            all.lossy = all.lossy.or(faults.lossy);
        }
        all.cut.sort_unstable();
        all.cut.dedup();
        world.set_links(all);
    }
}

pub(super) fn cut(these: &[StoreId], all: &[StoreId], both: bool) -> LinkFaults {
    let mut cut = Vec::new();
    for a in these {
        for b in all.iter().filter(|b| !these.contains(b)) {
            cut.push((*a, *b));
            if both {
                cut.push((*b, *a));
            }
        }
    }
    LinkFaults { cut, ..LinkFaults::default() }
}

fn ring(all: &[StoreId]) -> LinkFaults {
    let n = all.len();
    let mut cut = Vec::new();
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            let apart = (i + n - j) % n;
            if apart > 1 && apart < n - 1 {
                cut.push((*a, *b));
            }
        }
    }
    LinkFaults { cut, ..LinkFaults::default() }
}
