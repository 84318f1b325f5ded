use std::cell::RefCell;
use std::rc::Rc;

use flotilla_raft::Slot;
use proptest::prelude::*;

use super::*;
use crate::asset::AssetGroup;
use crate::command::{Command, Seat};
use crate::fixture::*;
use crate::machine::Meta;

/// A store, or the share of one that one of two shards drives, that does what it is told.
struct Disk {
    store: StoreId,
    /// The parity of its slots; both without.
    shard: Option<u8>,
    local: Vec<LocalReplica>,
    /// Of the store: its shards write it into one record.
    created_through: Rc<RefCell<BTreeMap<Slot, ReplicaId>>>,
    created: Vec<ReplicaId>,
    quarantined: Vec<LocalReplica>,
}

impl Disk {
    fn new(store: u64) -> Self {
        let (local, created, quarantined) = (vec![], vec![], vec![]);
        Self {
            store: StoreId(store),
            shard: None,
            local,
            created_through: Rc::default(),
            created,
            quarantined,
        }
    }

    fn actions(&self, meta: &Meta, meta_current: bool) -> Vec<Action> {
        let was_created = |group: GroupId, replica| {
            let created = self.created_through.borrow();
            created.get(&group.slot()).is_some_and(|through| replica <= *through)
        };
        let reconciler =
            StoreReconciler { store: self.store, was_created: &was_created, meta_current };
        let mut standings = meta.standings(self.store);
        standings.retain(|group, _| self.shard.is_none_or(|shard| group.slot().0 % 2 == shard));
        let all = reconciler.all(&standings, &self.local);
        // Looked at because they changed, groups are dealt with in the same order.
        let known = |action: &Action| match action {
            Action::Quarantine(other) => standings.contains_key(&other.group),
            _ => true,
        };
        let some = reconciler.some(standings.iter().map(|(g, s)| (*g, s)), &self.local);
        assert!(all.iter().filter(|action| known(action)).eq(&some), "{all:?} {some:?}");
        all
    }

    /// Carries out everything; what meta is to be told.
    fn reconcile(&mut self, meta: &Meta, meta_current: bool) -> Vec<(GroupId, ReplicaId)> {
        let mut confirmed = Vec::new();
        for action in self.actions(meta, meta_current) {
            match action {
                Action::Create(new) => {
                    let LocalReplica { group, replica, .. } = new.local;
                    let before = self.created_through.borrow_mut().insert(group.slot(), replica);
                    assert!(before.is_none_or(|before| replica > before), "created twice");
                    self.created.push(new.local.replica);
                    self.local.push(new.local);
                }
                Action::Destroy(gone) => self.local.retain(|r| *r != gone),
                Action::Quarantine(unknown) => {
                    self.local.retain(|r| *r != unknown);
                    self.quarantined.push(unknown);
                }
                Action::Confirm { group, replica } => confirmed.push((group, replica)),
                Action::Missing { .. } => {}
            }
        }
        confirmed
    }

    fn report(&mut self, log: &mut Log) {
        let replicas = self.reconcile(&log.meta.clone(), true);
        log.ok(Command::ConfirmDestroyed { store: self.store, replicas });
    }
}

#[test]
fn a_replica_is_created_once_and_destroyed_after_a_committed_delete() {
    let mut log = Log::new(3);
    let mut disk = Disk::new(2);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let [Action::Create(new)] = &disk.actions(&log.meta, false)[..] else { panic!() };
    assert_eq!(new.founding.voters.len(), 3);
    assert!(new.founding.is_voter(new.local.replica));
    disk.report(&mut log);
    assert!(disk.actions(&log.meta, true).is_empty());

    log.ok(delete_stream("S"));
    assert!(matches!(disk.actions(&log.meta, false)[..], [Action::Destroy(_)]));
    assert!(disk.reconcile(&log.meta, true).is_empty(), "nothing is confirmed before it is done");
    disk.report(&mut log);
    assert_eq!(log.meta.tombstones()[&s].holders.len(), 2);
    assert!(disk.actions(&log.meta, true).is_empty());
}

#[test]
fn what_was_created_and_is_gone_never_begins_anew() {
    let mut log = Log::new(3);
    let mut disk = Disk::new(2);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    disk.report(&mut log);
    let lost = disk.local.pop().unwrap();
    let missing = Action::Missing { group: s, replica: lost.replica };
    assert_eq!(disk.actions(&log.meta, true), [missing]);
    assert!(disk.actions(&log.meta, false).is_empty(), "a meta that lags proves no loss");

    // A fresh replica takes its seat on the same store.
    let seats = [1, 3].map(|n| Seat::Keep(log.replica_on(s, n)));
    let seats = [&seats[..], &[Seat::Fresh(StoreId(2))]].concat();
    let change = log.change(s, seats);
    log.ok(Command::SetMembers { changes: vec![change] });
    let [Action::Create(new)] = &disk.actions(&log.meta, true)[..] else { panic!() };
    assert!(new.local.replica > lost.replica && !new.founding.contains(new.local.replica));
}

#[test]
fn a_replica_that_is_out_is_destroyed_only_when_that_is_recorded() {
    let mut log = Log::new(4);
    let mut disk = Disk::new(3);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    disk.report(&mut log);
    let seats = [1, 2].map(|n| Seat::Keep(log.replica_on(s, n)));
    let change = log.change(s, [&seats[..], &[Seat::Fresh(StoreId(4))]].concat());
    log.ok(Command::SetMembers { changes: vec![change] });
    assert!(disk.actions(&log.meta, true).is_empty(), "it still counts");
    log.settle(s);
    assert!(matches!(disk.actions(&log.meta, true)[..], [Action::Destroy(_)]));
    disk.report(&mut log);
    disk.report(&mut log);
    assert!(log.group(s).former.is_empty() && disk.actions(&log.meta, true).is_empty());
}

#[test]
fn a_meta_that_lags_does_not_take_a_newcomer_for_one_that_is_out() {
    let mut log = Log::new(3);
    let mut disk = Disk::new(3);
    let s = log.stream(stream_config("S", &["a"], 2), &[1, 2]).group;
    let before = log.meta.clone();
    let kept = Seat::Keep(log.replica_on(s, 1));
    let change = log.change(s, vec![kept, Seat::Fresh(StoreId(3))]);
    log.ok(Command::SetMembers { changes: vec![change] });
    disk.report(&mut log);
    assert_eq!(disk.local.len(), 1);
    // The server restarts, and its meta replays from the beginning.
    assert!(disk.actions(&before, false).is_empty());
}

#[test]
fn a_founding_voter_that_still_counts_is_created_late() {
    // Three founders, of which the third never came and the second comes after the third was
    // replaced: the group needs it to commit anything.
    let mut log = Log::new(4);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let two = log.replica_on(s, 2);
    let kept = [
        Seat::Keep(log.replica_on(s, 1)),
        Seat::Keep(log.replica_on(s, 3)),
        Seat::Fresh(StoreId(4)),
    ];
    let change = log.change(s, kept.to_vec());
    log.ok(Command::SetMembers { changes: vec![change] });
    let [Action::Create(new)] = &Disk::new(2).actions(&log.meta, true)[..] else { panic!() };
    assert_eq!(new.local.replica, two);
    log.settle(s);
    let out = Disk::new(2).actions(&log.meta, true);
    assert_eq!(out, [Action::Confirm { group: s, replica: two }], "now it does not count any more");
}

#[test]
fn what_meta_never_knew_is_put_aside_once_meta_is_current() {
    let log = Log::new(1);
    let mut disk = Disk::new(1);
    let stray =
        LocalReplica { group: GroupId(99), replica: ReplicaId(99), incarnation: Incarnation(99) };
    let own =
        LocalReplica { group: GroupId::META, replica: ReplicaId(1), incarnation: Incarnation(0) };
    disk.local = vec![stray, own];
    assert!(disk.actions(&log.meta, false).is_empty());
    assert_eq!(disk.actions(&log.meta, true), [Action::Quarantine(stray)]);
}

#[test]
fn another_life_of_a_group_is_not_taken_for_this_one() {
    let mut log = Log::new(1);
    let mut disk = Disk::new(1);
    log.stream(stream_config("S", &["a"], 1), &[1]);
    disk.report(&mut log);
    disk.local[0].incarnation = Incarnation(77);
    let other = disk.local[0];
    assert!(disk.actions(&log.meta, true).contains(&Action::Quarantine(other)));
    log.ok(delete_stream("S"));
    assert_eq!(disk.actions(&log.meta, true), [Action::Quarantine(other)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Stores that look at any prefix of the log, at any time, create no replica twice and put
    /// nothing aside that meta knew; and when all is carried out, what is on the stores is what
    /// meta wants there.
    #[test]
    fn stores_end_up_with_what_meta_wants(
        moves in proptest::collection::vec((0_u8..5, 0_usize..3, 1_u64..6), 1..40),
        lags in proptest::collection::vec((0_usize..3, 0_usize..2), 40),
    ) {
        let mut log = Log::new(5);
        // Two shards on each store, and each of them is late in its own way.
        let records: Vec<Rc<_>> = (1..=5).map(|_| Rc::default()).collect();
        let shard = |n: usize| Disk {
            shard: Some(u8::from(n >= 5)),
            created_through: Rc::clone(&records[n % 5]),
            ..Disk::new(n as u64 % 5 + 1)
        };
        let mut disks: Vec<_> = (0..10).map(shard).collect();
        let mut history = vec![log.meta.clone()];
        for ((what, which, store), (lag, shard)) in moves.into_iter().zip(lags) {
            let name = ["S", "T", "U"][which];
            let exists = log.meta.stream(ACCOUNT, name).is_some();
            match what {
                0 | 1 if !exists => {
                    // Two servers lead, so that streams are in different slots.
                    log.stream(stream_config(name, &[name], 2), &[store % 2 + 1, store % 3 + 3]);
                }
                2 if exists => { log.ok(delete_stream(name)); }
                3 if exists => log.settle(log.asset(name).group.id),
                4 if exists => {
                    let group = &log.asset(name).group;
                    let first = group.desired[0];
                    let holder = group.holder_on(StoreId(store));
                    let store_is_free = holder.is_none_or(|holder| group.desires(holder));
                    if group.is_settled() && first.store != StoreId(store) && store_is_free {
                        let seats = vec![Seat::Keep(first.replica), Seat::Fresh(StoreId(store))];
                        let change = log.change(group.id, seats);
                        log.ok(Command::SetMembers { changes: vec![change] });
                    }
                }
                _ => disks[which].report(&mut log),
            }
            history.push(log.meta.clone());
            // One shard acts on what it knew a while ago.
            let seen = &history[history.len() - 1 - lag.min(history.len() - 1)];
            let at = usize::try_from(store - 1).unwrap() + 5 * shard;
            disks[at].reconcile(seen, false);
        }
        log.settle_all();
        for _ in 0..3 {
            disks.iter_mut().for_each(|disk| disk.report(&mut log));
        }
        prop_assert!(log.meta.tombstones().is_empty());
        for disk in &disks {
            prop_assert_eq!(disk.actions(&log.meta, true), []);
            let mine = |g: &&AssetGroup| Some(g.id.slot().0 % 2) == disk.shard;
            let members = log.groups().filter(mine).filter_map(|g| g.member_on(disk.store));
            let mut wanted: Vec<_> = members.map(|m| m.replica).collect();
            let mut here: Vec<_> = disk.local.iter().map(|r| r.replica).collect();
            here.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(here, wanted);
        }
    }
}
