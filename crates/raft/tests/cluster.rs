//! A few replicas of one group in one thread, with a disk that loses what was not synced, links that lose and
//! reorder, and a schedule drawn from a seed: what one replica commits, no other may contradict.
#![allow(clippy::unwrap_used)] // a test

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use flotilla_raft::{
    Base, Body, Change, Entry, EntryKind, Group, HardState, Membership, Message, Options, Ready,
    ReplicaId, Role, Start, StoreId,
};
use proptest::prelude::*;

/// One replica, its stable storage, and what is on the way there.
struct Node {
    group: Group,
    synced: Start,
    writing: VecDeque<Ready>,
    applied: Vec<Entry>,
}

struct Cluster {
    nodes: BTreeMap<ReplicaId, Node>,
    wire: VecDeque<Message>,
    /// Every entry that any replica ever applied, by index.
    decided: BTreeMap<u64, Entry>,
    /// What was proposed and seen committed at its (index, term).
    acknowledged: Vec<(u64, u64)>,
    random: u64,
}

fn membership(voters: &[u64]) -> Membership {
    let voters: Vec<ReplicaId> = voters.iter().copied().map(ReplicaId).collect();
    let stores = voters.iter().map(|r| (*r, StoreId(r.0 * 100))).collect();
    Membership { voters, stores, ..Membership::default() }
}

fn node(id: ReplicaId, synced: Start) -> Node {
    let mut group = Group::start(id, Options::default(), synced.clone()).expect("starts");
    group.set_patience(usize::try_from(id.0).unwrap() * 3);
    Node { group, synced, writing: VecDeque::new(), applied: Vec::new() }
}

impl Cluster {
    fn new(voters: &[u64], seed: u64) -> Self {
        let base = Base { membership: membership(voters), ..Base::default() };
        let start = Start { base, ..Start::default() };
        let nodes = voters.iter().map(|v| (ReplicaId(*v), node(ReplicaId(*v), start.clone())));
        Self {
            nodes: nodes.collect(),
            wire: VecDeque::new(),
            decided: BTreeMap::new(),
            acknowledged: Vec::new(),
            random: seed | 1,
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        // xorshift64*: enough to draw a schedule.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }

    fn any_node(&mut self) -> ReplicaId {
        let at = self.draw(self.nodes.len() as u64);
        *self.nodes.keys().nth(usize::try_from(at).unwrap()).unwrap()
    }

    fn leader(&self) -> Option<ReplicaId> {
        let leads = self.nodes.values().filter(|n| n.group.role() == Role::Leader);
        leads.max_by_key(|n| n.group.term()).map(|n| n.group.id())
    }

    /// Takes what a replica has to do, and leaves the writing for later.
    fn drive(&mut self, id: ReplicaId) {
        loop {
            let node = self.nodes.get_mut(&id).unwrap();
            let Some(mut ready) = node.group.ready().unwrap() else { break };
            self.wire.extend(ready.messages.drain(..));
            let committed = std::mem::take(&mut ready.committed);
            for entry in committed {
                self.apply(id, entry);
            }
            let node = self.nodes.get_mut(&id).unwrap();
            if ready.must_sync || !node.writing.is_empty() || ready.hard_state.is_some() {
                node.writing.push_back(ready);
            }
        }
    }

    fn apply(&mut self, id: ReplicaId, entry: Entry) {
        let known = self.decided.entry(entry.index).or_insert_with(|| entry.clone());
        assert_eq!(*known, entry, "two replicas committed different entries at {}", entry.index);
        let node = self.nodes.get_mut(&id).unwrap();
        if entry.kind == EntryKind::Change {
            node.group.apply_change(&entry).unwrap();
        }
        node.group.applied_to(entry.index).unwrap();
        node.applied.push(entry);
    }

    /// Some of what is being written reaches the disk.
    fn sync(&mut self, id: ReplicaId, units: u64) {
        for _ in 0..units {
            let node = self.nodes.get_mut(&id).unwrap();
            let Some(ready) = node.writing.pop_front() else { break };
            store(&mut node.synced, &ready);
            if ready.must_sync {
                self.wire.extend(node.group.persisted(ready.number).unwrap());
            }
            self.drive(id);
        }
    }

    /// Everything not synced is gone; the machine starts from an empty state again.
    fn crash(&mut self, id: ReplicaId) {
        let synced = self.nodes[&id].synced.clone();
        self.nodes.insert(id, node(id, synced));
    }

    fn step(&mut self, at: usize) {
        let Some(message) = self.wire.remove(at) else { return };
        let to = message.to;
        if let Some(node) = self.nodes.get_mut(&to) {
            node.group.step(message).unwrap();
            self.drive(to);
        }
    }

    fn propose(&mut self, id: ReplicaId, text: String) {
        let node = self.nodes.get_mut(&id).unwrap();
        if node.group.propose(Bytes::from(text)).is_ok() {
            self.drive(id);
        }
    }

    fn random_step(&mut self, turn: u64) {
        let id = self.any_node();
        match self.draw(100) {
            0..45 => {
                // Out of order by up to eight messages; a backlog never grows without end.
                let at = self.draw(self.wire.len().clamp(1, 8) as u64);
                self.step(usize::try_from(at).unwrap());
            }
            45..60 => {
                // The host gives up a transfer after a while.
                self.nodes.get_mut(&id).unwrap().group.abort_transfer();
                self.nodes.get_mut(&id).unwrap().group.tick().unwrap();
                self.drive(id);
            }
            60..80 => {
                let units = 1 + self.draw(3);
                self.sync(id, units);
            }
            80..96 => self.propose(id, format!("{turn}")),
            96..98 => drop(self.wire.pop_front()),
            98 if self.draw(5) == 0 => self.crash(id),
            _ => {
                let to = self.any_node();
                self.nodes.get_mut(&id).unwrap().group.transfer(to).unwrap();
                self.drive(id);
            }
        }
        let leader = self.leader();
        if let Some(group) = leader.map(|l| &self.nodes[&l].group) {
            let at = (group.commit(), group.term());
            if group.term_at(at.0) == Some(at.1) {
                self.acknowledged.push(at);
            }
        }
    }

    /// Everything is delivered and synced, until nothing changes.
    fn settle(&mut self, ticks: usize) {
        for _ in 0..ticks {
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                self.nodes.get_mut(&id).unwrap().group.tick().unwrap();
                self.drive(id);
            }
            for _ in 0..200 {
                for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                    self.drive(id);
                    self.sync(id, 100);
                }
                if self.wire.is_empty() {
                    break;
                }
                self.step(0);
            }
        }
    }
}

fn store(synced: &mut Start, ready: &Ready) {
    if let Some(hard_state) = ready.hard_state {
        synced.hard_state = hard_state;
    }
    if let Some(first) = ready.entries.first() {
        synced.entries.retain(|e| e.index < first.index);
        synced.entries.extend(ready.entries.iter().cloned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nothing_committed_is_ever_contradicted(seed: u64, five: bool) {
        let voters: &[u64] = if five { &[1, 2, 3, 4, 5] } else { &[1, 2, 3] };
        let mut cluster = Cluster::new(voters, seed);
        cluster.settle(40);
        for turn in 0..4000 {
            cluster.random_step(turn);
        }
        cluster.settle(120);
        let leader = cluster.leader().expect("a leader, once nothing fails any more");
        cluster.propose(leader, "last".into());
        cluster.settle(20);
        let last = cluster.decided.last_key_value().unwrap().1.clone();
        prop_assert_eq!(last.data, Bytes::from("last"));
        for node in cluster.nodes.values() {
            prop_assert_eq!(node.group.applied(), last.index, "replica {} lags", node.group.id());
        }
        for (index, term) in &cluster.acknowledged {
            prop_assert_eq!(cluster.decided[index].term, *term, "the commit at {} was lost", index);
        }
        prop_assert!(cluster.decided.len() > 20, "the run did no work");
    }
}

#[test]
fn a_single_voter_with_a_learner_says_nothing_before_its_vote_is_synced() {
    let mut base = Base { membership: membership(&[1]), ..Base::default() };
    base.membership.learners.push(ReplicaId(2));
    base.membership.stores.insert(ReplicaId(2), StoreId(200));
    let mut one = node(ReplicaId(1), Start { base, ..Start::default() });
    one.group.campaign().unwrap();
    let ready = one.group.ready().unwrap().expect("it voted for itself");
    assert_eq!(one.group.role(), Role::Leader);
    assert!(ready.must_sync && ready.messages.is_empty(), "{:?}", ready.messages);
    let freed = one.group.persisted(ready.number).unwrap();
    assert!(freed.iter().any(|m| matches!(m.body, Body::Append { .. }) && m.term == 1));
}

#[test]
fn what_a_follower_says_waits_for_every_unit_before_it() {
    let mut two = node(
        ReplicaId(2),
        Start {
            base: Base { membership: membership(&[1, 2, 3]), ..Base::default() },
            ..Start::default()
        },
    );
    let append = |prev: u64, index: u64| Message {
        from: ReplicaId(1),
        to: ReplicaId(2),
        term: 1,
        body: Body::Append {
            prev_index: prev,
            prev_term: u64::from(prev > 0),
            commit: 0,
            entries: vec![Entry {
                term: 1,
                index,
                kind: EntryKind::Command,
                data: Bytes::from_static(b"x"),
            }],
        },
    };
    two.group.step(append(0, 1)).unwrap();
    let first = two.group.ready().unwrap().unwrap();
    two.group.step(append(1, 2)).unwrap();
    let second = two.group.ready().unwrap().unwrap();
    // A heartbeat's answer is a unit without anything to sync, behind two that have.
    let heartbeat = Body::Heartbeat { commit: 0, read: Some(7) };
    let beat = Message { from: ReplicaId(1), to: ReplicaId(2), term: 1, body: heartbeat };
    two.group.step(beat).unwrap();
    let third = two.group.ready().unwrap().unwrap();
    assert!(first.messages.is_empty() && second.messages.is_empty() && third.messages.is_empty());
    assert!(!third.must_sync);
    let acked = |m: &[Message]| {
        m.iter()
            .filter_map(
                |m| if let Body::Appended { index, .. } = m.body { Some(index) } else { None },
            )
            .max()
    };
    let freed = two.group.persisted(first.number).unwrap();
    assert_eq!(acked(&freed), Some(1));
    let freed = two.group.persisted(second.number).unwrap();
    assert_eq!(acked(&freed), Some(2));
    assert!(freed.iter().any(|m| matches!(m.body, Body::HeartbeatReply { read: Some(7), .. })));
}

#[test]
fn a_replica_is_replaced_through_a_learner_and_a_joint_configuration() {
    let mut cluster = Cluster::new(&[1, 2, 3], 7);
    cluster.settle(40);
    let leader = cluster.leader().unwrap();
    let gone = *cluster.nodes.keys().find(|r| **r != leader).unwrap();
    let four = ReplicaId(4);
    let change = |cluster: &mut Cluster, change: Change| {
        let leader = cluster.leader().unwrap();
        cluster.nodes.get_mut(&leader).unwrap().group.propose_change(&change).unwrap();
        cluster.settle(3);
    };
    cluster.nodes.insert(
        four,
        node(
            four,
            Start {
                base: Base {
                    membership: Membership {
                        learners: vec![four],
                        stores: [(four, StoreId(400))].into(),
                        ..membership(&[1, 2, 3])
                    },
                    ..Base::default()
                },
                ..Start::default()
            },
        ),
    );
    change(&mut cluster, Change::AddLearner { replica: four, store: StoreId(400) });
    assert_eq!(cluster.nodes[&leader].group.membership().learners, [four]);
    change(&mut cluster, Change::Enter { promote: vec![four], remove: vec![gone] });
    assert!(cluster.nodes[&leader].group.membership().is_joint());
    let refused = cluster
        .nodes
        .get_mut(&leader)
        .unwrap()
        .group
        .propose_change(&Change::AddLearner { replica: ReplicaId(9), store: StoreId(9) });
    assert!(refused.is_err(), "a second change while the configuration is joint");
    change(&mut cluster, Change::Leave);
    let after = cluster.nodes[&leader].group.membership().clone();
    assert!(!after.is_joint() && after.is_voter(four) && !after.contains(gone));
    assert_eq!(after.store_of(four), Some(StoreId(400)));
    assert_eq!(after.store_of(gone), None);
}

/// Delivers and syncs without letting time pass: no beat tells anything.
fn settle_at_once(cluster: &mut Cluster) {
    let ids: Vec<ReplicaId> = cluster.nodes.keys().copied().collect();
    for _ in 0..100 {
        for id in &ids {
            cluster.drive(*id);
            cluster.sync(*id, 100);
        }
        while !cluster.wire.is_empty() {
            cluster.step(0);
        }
    }
}

#[test]
fn members_hear_what_is_committed_with_the_next_entry_or_when_they_are_told() {
    let mut cluster = Cluster::new(&[1, 2, 3], 7);
    cluster.settle(60);
    let leader = cluster.leader().unwrap();
    let at = |cluster: &Cluster| {
        let others = cluster.nodes.values().filter(|n| n.group.id() != leader);
        others.map(|n| n.group.commit()).collect::<Vec<u64>>()
    };
    let before = cluster.nodes[&leader].group.commit();
    assert_eq!(at(&cluster), [before; 2]);
    cluster.propose(leader, "one".into());
    settle_at_once(&mut cluster);
    let group = &cluster.nodes[&leader].group;
    assert!(group.commit() == before + 1 && group.owes_commit());
    assert_eq!(at(&cluster), [before; 2], "nobody was told");

    cluster.propose(leader, "two".into());
    settle_at_once(&mut cluster);
    assert_eq!(at(&cluster), [before + 1; 2], "the next entry tells of the one before");

    cluster.nodes.get_mut(&leader).unwrap().group.tell_commit().unwrap();
    settle_at_once(&mut cluster);
    assert_eq!(at(&cluster), [before + 2; 2]);
    assert!(!cluster.nodes[&leader].group.owes_commit());

    // And beats tell it, if nothing else does.
    cluster.propose(leader, "three".into());
    settle_at_once(&mut cluster);
    cluster.settle(10);
    assert_eq!(at(&cluster), [before + 3; 2]);
}

#[test]
fn a_leader_does_not_remove_itself() {
    let mut cluster = Cluster::new(&[1, 2, 3], 3);
    cluster.settle(40);
    let leader = cluster.leader().unwrap();
    let change = Change::Enter { promote: vec![], remove: vec![leader] };
    let refused = cluster.nodes.get_mut(&leader).unwrap().group.propose_change(&change);
    assert!(matches!(refused, Err(flotilla_raft::ProposeError::RemovesLeader)));
}

#[test]
fn what_would_make_the_library_panic_is_refused() {
    let start = Start {
        base: Base { membership: membership(&[1, 2, 3]), ..Base::default() },
        hard_state: HardState { term: 2, vote: ReplicaId::NONE, commit: 1 },
        entries: vec![Entry {
            term: 2,
            index: 1,
            kind: EntryKind::Command,
            data: Bytes::from_static(b"a"),
        }],
    };
    let mut two = node(ReplicaId(2), start);
    let mut say =
        |term, body| two.group.step(Message { from: ReplicaId(1), to: ReplicaId(2), term, body });
    assert!(say(2, Body::Heartbeat { commit: 5, read: None }).is_err(), "commit beyond the log");
    let other = Entry { term: 1, index: 1, kind: EntryKind::Command, data: Bytes::new() };
    let conflict = Body::Append { prev_index: 0, prev_term: 0, commit: 1, entries: vec![other] };
    assert!(say(2, conflict).is_err(), "a committed entry differs");
    let snapshot = Body::Snapshot { index: 9, term: 2, membership: membership(&[1, 3]) };
    assert!(say(2, snapshot).is_err(), "a snapshot without the receiver");
    assert!(say(0, Body::TimeoutNow).is_err(), "no term");
}

#[test]
fn whoever_founds_a_group_asks_for_votes_at_once_and_rehearses_the_next_time() {
    let base = Base { membership: membership(&[1, 2, 3]), ..Base::default() };
    let mut one = node(ReplicaId(1), Start { base, ..Start::default() });
    let asked = |one: &mut Node| {
        let ready = one.group.ready().unwrap().expect("it asks for votes");
        let mut messages = ready.messages;
        messages.extend(one.group.persisted(ready.number).unwrap());
        let votes = messages.into_iter().filter_map(|m| match m.body {
            Body::Vote { pre, .. } => Some((m.to.0, m.term, pre)),
            _ => None,
        });
        votes.collect::<Vec<_>>()
    };
    assert!(one.group.found().unwrap());
    assert_eq!(asked(&mut one), [(2, 1, false), (3, 1, false)]);
    assert!(one.group.campaign().unwrap());
    assert_eq!(asked(&mut one), [(2, 2, true), (3, 2, true)]);
}
