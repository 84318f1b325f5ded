//! Stores on a network that loses, repeats and reorders, on disks that finish late, and with
//! restarts at any time.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

const PATIENCE: Duration = Duration::from_millis(100);

/// A generator of its own, so that one number replays a run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct Store {
    id: StoreId,
    running: Option<Bootstrap>,
    disk: Option<Vec<u8>>,
    /// Writes that the disk has not finished.
    writing: VecDeque<(Ticket, Vec<u8>)>,
    /// What it was told to do in the end, kept beside the bootstrap state as the host does.
    outcome: Option<Effect>,
}

struct Net {
    stores: Vec<Store>,
    expected: usize,
    now: Duration,
    messages: Vec<(StoreId, StoreId, Message)>,
    /// Everything ever announced.
    clusters: BTreeSet<ClusterId>,
    founders: BTreeSet<StoreId>,
    restarts: u64,
}

impl Net {
    fn new(count: u64, expected: usize) -> Self {
        let store = |n| Store {
            id: StoreId(n),
            running: None,
            disk: None,
            writing: VecDeque::new(),
            outcome: None,
        };
        let mut net = Self {
            stores: (1..=count).map(store).collect(),
            expected,
            now: Duration::ZERO,
            messages: vec![],
            clusters: BTreeSet::new(),
            founders: BTreeSet::new(),
            restarts: 0,
        };
        (0..net.stores.len()).for_each(|at| net.start(at));
        net
    }

    fn start(&mut self, at: usize) {
        self.restarts += 1;
        let id = self.stores[at].id;
        let options = BootstrapOptions {
            store: id,
            expected: self.expected,
            // Another candidate after each restart: it may never replace one that was accepted.
            candidate: ClusterId(id.0 * 1_000_000 + self.restarts),
            seed: self.restarts,
            patience: PATIENCE,
        };
        let store = &mut self.stores[at];
        store.running = Some(match &store.disk {
            Some(state) => Bootstrap::restore(options, state).unwrap(),
            None => Bootstrap::new(options),
        });
        self.input(at, Input::Tick);
    }

    /// Unfinished writes are lost, as is everything in memory.
    fn crash(&mut self, at: usize) {
        self.stores[at].running = None;
        self.stores[at].writing.clear();
    }

    fn input(&mut self, at: usize, input: Input) {
        let store = &mut self.stores[at];
        let Some(running) = &mut store.running else { return };
        let mut effects = Vec::new();
        running.step(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Persist { ticket, state } => store.writing.push_back((ticket, state)),
                Effect::Send { to, message } => {
                    let message = Message::decode(&message.encode()).unwrap();
                    self.messages.push((store.id, to, message));
                }
                Effect::Found { cluster_id } => {
                    self.clusters.insert(cluster_id);
                    self.founders.insert(store.id);
                    store.outcome = Some(effect);
                }
                Effect::Join { cluster_id, .. } => {
                    self.clusters.insert(cluster_id);
                    store.outcome = Some(effect);
                }
            }
        }
        assert!(self.clusters.len() <= 1, "two clusters: {:?}", self.clusters);
        assert!(self.founders.len() <= 1, "two founders: {:?}", self.founders);
    }

    fn finish_write(&mut self, at: usize) {
        if let Some((ticket, state)) = self.stores[at].writing.pop_front() {
            self.stores[at].disk = Some(state);
            self.input(at, Input::Persisted(ticket));
        }
    }

    fn see(&mut self, at: usize, other: usize) {
        let cluster_id = match &self.stores[other].outcome {
            Some(Effect::Found { cluster_id } | Effect::Join { cluster_id, .. }) => {
                Some(*cluster_id)
            }
            _ => None,
        };
        let store = self.stores[other].id;
        if at != other {
            self.input(at, Input::PeerSeen { store, cluster_id });
        }
    }

    fn deliver(&mut self, which: usize, keep: bool) {
        let (from, to, message) = self.messages[which];
        if !keep {
            self.messages.swap_remove(which);
        }
        if let Some(at) = self.stores.iter().position(|s| s.id == to) {
            self.input(at, Input::Message { from, message });
        }
    }

    fn chaos(&mut self, dice: &mut Dice) {
        let count = self.stores.len() as u64;
        let (at, other) = (dice.roll(count) as usize, dice.roll(count) as usize);
        match dice.roll(20) {
            0 => self.crash(at),
            1 if self.stores[at].running.is_none() => self.start(at),
            2 => self.input(at, Input::PeerGone { store: self.stores[other].id }),
            3..=6 => self.see(at, other),
            7..=9 => {
                self.now += PATIENCE.mul_f64(dice.roll(100) as f64 / 60.0);
                self.input(at, Input::Tick);
            }
            10..=13 => self.finish_write(at),
            _ if self.messages.is_empty() => {}
            14 => {
                self.messages.swap_remove(dice.roll(self.messages.len() as u64) as usize);
            }
            15 => self.deliver(dice.roll(self.messages.len() as u64) as usize, true),
            _ => self.deliver(dice.roll(self.messages.len() as u64) as usize, false),
        }
    }

    /// No more faults; how many rounds of ticks until everybody knows.
    fn calm(&mut self) -> usize {
        for at in 0..self.stores.len() {
            if self.stores[at].running.is_none() {
                self.start(at);
            }
        }
        for round in 0..200 {
            for at in 0..self.stores.len() {
                (0..self.stores.len()).for_each(|other| self.see(at, other));
                self.input(at, Input::Tick);
                self.settle();
            }
            if self.stores.iter().all(|s| s.outcome.is_some()) {
                return round;
            }
            self.now += PATIENCE / 4;
        }
        panic!("no decision");
    }

    /// Everything on the way arrives.
    fn settle(&mut self) {
        loop {
            for at in 0..self.stores.len() {
                while !self.stores[at].writing.is_empty() {
                    self.finish_write(at);
                }
            }
            if self.messages.is_empty() {
                return;
            }
            self.deliver(0, false);
        }
    }

    fn outcomes(&self) -> BTreeMap<StoreId, Option<Effect>> {
        self.stores.iter().map(|s| (s.id, s.outcome.clone())).collect()
    }
}

#[test]
fn the_lowest_store_founds_and_the_others_join() {
    let mut net = Net::new(3, 3);
    assert_eq!(net.calm(), 0, "nobody waits when all are there");
    assert_eq!(net.founders, [StoreId(1)].into());
    let cluster_id = *net.clusters.first().unwrap();
    let join = Effect::Join { cluster_id, founder: Some(StoreId(1)) };
    assert_eq!(net.outcomes()[&StoreId(2)], Some(join.clone()));
    assert_eq!(net.outcomes()[&StoreId(3)], Some(join));
}

#[test]
fn a_server_without_a_cluster_decides_alone() {
    assert_eq!(BootstrapOptions::expected_stores(None), 1);
    let mut net = Net::new(1, 1);
    assert_eq!(net.stores[0].outcome, None, "not before it is persisted");
    net.settle();
    assert!(matches!(net.stores[0].outcome, Some(Effect::Found { .. })));
    let clusters = net.clusters.clone();
    net.crash(0);
    net.start(0);
    assert_eq!(
        (net.clusters.clone(), net.founders.len()),
        (clusters, 1),
        "said again, and the same"
    );
}

#[test]
fn a_minority_waits() {
    assert_eq!(
        BootstrapOptions::expected_stores(Some(0)),
        2,
        "a cluster block alone expects company"
    );
    assert_eq!(BootstrapOptions::expected_stores(Some(2)), 3);
    let mut net = Net::new(2, 5);
    for _ in 0..50 {
        net.see(0, 1);
        net.see(1, 0);
        net.now += PATIENCE;
        net.input(0, Input::Tick);
        net.input(1, Input::Tick);
        net.settle();
    }
    assert!(net.clusters.is_empty());
    assert!(net.stores.iter().all(|s| s.running.as_ref().unwrap().next_deadline().is_none()));
}

#[test]
fn another_store_founds_when_the_lowest_is_not_heard() {
    let mut net = Net::new(3, 3);
    net.crash(0);
    for _ in 0..20 {
        net.see(1, 2);
        net.see(2, 1);
        net.now += PATIENCE;
        net.input(1, Input::Tick);
        net.input(2, Input::Tick);
        net.settle();
    }
    assert_eq!(net.founders, [StoreId(2)].into());
    net.calm();
    assert!(matches!(net.stores[0].outcome, Some(Effect::Join { .. })), "who comes late joins");
}

#[test]
fn a_store_that_meets_a_cluster_never_founds_one() {
    let mut net = Net::new(3, 2);
    net.input(2, Input::PeerSeen { store: StoreId(77), cluster_id: Some(ClusterId(5)) });
    net.settle();
    net.crash(2);
    net.start(2);
    assert_eq!(
        net.stores[2].outcome,
        Some(Effect::Join { cluster_id: ClusterId(5), founder: None })
    );
    net.calm();
    assert_eq!((net.clusters.clone(), net.founders.len()), ([ClusterId(5)].into(), 0));
}

#[test]
fn a_founder_that_missed_its_decision_founds_when_it_hears_of_it() {
    let mut net = Net::new(3, 3);
    // The first store's proposal is accepted everywhere; it stops before it learns so.
    net.see(0, 1);
    net.finish_write(0);
    net.deliver(0, false);
    net.finish_write(1);
    net.deliver(0, false);
    net.finish_write(0);
    net.deliver(0, false);
    net.finish_write(1);
    net.crash(0);
    net.messages.clear();
    // The others find what was accepted, and decide it.
    for _ in 0..20 {
        net.see(1, 2);
        net.see(2, 1);
        net.now += PATIENCE;
        net.input(1, Input::Tick);
        net.settle();
    }
    assert!(matches!(net.stores[1].outcome, Some(Effect::Join { founder: Some(StoreId(1)), .. })));
    assert!(net.founders.is_empty());
    net.start(0);
    net.see(0, 1);
    net.settle();
    assert_eq!(net.founders, [StoreId(1)].into());
}

#[test]
fn a_majority_is_one_of_the_most_that_anybody_expects() {
    let ballot = Ballot { round: 1, store: StoreId(1) };
    let decision = Decision { cluster_id: ClusterId(1), founder: StoreId(1) };
    let mut proposal = Proposal::new(ballot, 2);
    assert_eq!(proposal.promise(StoreId(1), None, 2, decision), None);
    assert_eq!(proposal.promise(StoreId(2), None, 5, decision), None);
    assert_eq!(proposal.promise(StoreId(2), None, 5, decision), None, "said twice, counted once");
    assert_eq!(proposal.promise(StoreId(3), None, 3, decision), Some(decision));
    assert_eq!(proposal.accepted(StoreId(1)), None);
    assert_eq!(proposal.accepted(StoreId(2)), None);
    assert_eq!(proposal.accepted(StoreId(3)), Some(decision));
}

#[test]
fn a_damaged_state_is_refused() {
    let options = BootstrapOptions {
        store: StoreId(1),
        expected: 3,
        candidate: ClusterId(9),
        seed: 0,
        patience: PATIENCE,
    };
    assert!(Bootstrap::restore(options, &[1, 2, 3]).is_err());
    assert!(Bootstrap::restore(options, &[]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens there is at most one cluster and one founder (asserted with every input),
    /// and when the faults stop there is one.
    #[test]
    fn there_is_exactly_one_cluster(seed: u64, count in 2_u64..6, steps in 0_usize..400) {
        let mut dice = Dice(seed);
        let mut net = Net::new(count, usize::try_from(count).unwrap());
        (0..steps).for_each(|_| net.chaos(&mut dice));
        net.calm();
        prop_assert_eq!(net.founders.len(), 1);
        prop_assert_eq!(net.clusters.len(), 1);
    }

    /// No bytes of a peer make it panic.
    #[test]
    fn foreign_messages_are_refused_or_harmless(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        if let Ok(message) = Message::decode(&bytes) {
            Net::new(2, 3).input(0, Input::Message { from: StoreId(2), message });
        }
    }
}
