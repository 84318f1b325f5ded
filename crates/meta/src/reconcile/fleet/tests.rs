use flotilla_stream::Placement;

use super::*;
use crate::asset::Reported;
use crate::command::{Seat, SeatChange};
use crate::error::{MetaError, Stale};
use crate::fixture::*;
use crate::placement::Peer;
use crate::reconcile::{relocate, scale};

/// Commits a replacement in its order.
fn commit(log: &mut Log, replacement: Replacement) {
    for command in replacement.losses {
        log.ok(command);
    }
    if !replacement.changes.is_empty() {
        log.ok(Command::SetMembers { changes: replacement.changes });
    }
}

/// Heals, settles and asks again until there is nothing to do.
fn heal_all(log: &mut Log, peers: &[Peer]) {
    for _ in 0..10 {
        let plans = heal(&log.meta, &fleet(peers), &BTreeSet::new(), 100);
        if plans.is_empty() {
            return;
        }
        plans.into_iter().for_each(|plan| commit(log, plan));
        log.settle_all();
    }
    panic!("healing does not end");
}

#[test]
fn a_removed_peer_is_replaced_in_the_stream_and_its_consumers_at_once() {
    let mut log = Log::new(4);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let c = log.consumer("S", consumer_config("c", 0), &[1, 2, 3]).group;
    let elsewhere = log.consumer("S", consumer_config("d", 1), &[1]).group;
    let four = peers(4, &[3]);
    let plan = replace_peer(&log.meta, ACCOUNT, "S", StoreId(3), &fleet(&four)).unwrap();
    assert_eq!((plan.losses.len(), plan.changes.len()), (0, 2));
    commit(&mut log, plan);
    assert_eq!((log.on(s), log.on(c), log.on(elsewhere)), (vec![1, 2, 4], vec![1, 2, 4], vec![1]));

    let again = |store| {
        replace_peer(&log.meta, ACCOUNT, "S", StoreId(store), &fleet(&four)).unwrap_err().err_code()
    };
    assert_eq!(again(3), 10040);
    assert_eq!(again(1), 10075, "nobody is left to take over");
    assert_eq!(
        replace_peer(&log.meta, ACCOUNT, "T", StoreId(1), &fleet(&four)).unwrap_err().err_code(),
        10059
    );
}

#[test]
fn a_newcomer_that_dies_can_be_replaced_in_turn() {
    let mut log = Log::new(5);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let plan = replace_peer(&log.meta, ACCOUNT, "S", StoreId(3), &fleet(&peers(4, &[3]))).unwrap();
    commit(&mut log, plan);
    assert!(!log.group(s).is_settled());
    let plan =
        replace_peer(&log.meta, ACCOUNT, "S", StoreId(4), &fleet(&peers(5, &[3, 4]))).unwrap();
    commit(&mut log, plan);
    assert_eq!(log.on(s), [1, 2, 5]);
}

#[test]
fn a_single_replica_moves_while_its_server_is_there_and_begins_anew_when_not() {
    let mut log = Log::new(2);
    let s = log.stream(stream_config("S", &["a"], 1), &[1]);
    log.consumer("S", consumer_config("c", 0), &[1]);
    let plan = replace_peer(&log.meta, ACCOUNT, "S", StoreId(1), &fleet(&peers(2, &[]))).unwrap();
    assert_eq!((plan.losses.len(), plan.changes.len()), (0, 2), "it moves with its data");

    let plan = replace_peer(&log.meta, ACCOUNT, "S", StoreId(1), &fleet(&peers(2, &[1]))).unwrap();
    assert_eq!((plan.losses.len(), plan.changes.len()), (1, 0));
    commit(&mut log, plan);
    let anew = log.asset("S").group.id;
    assert!(anew > s.group && log.meta.tombstones().contains_key(&s.group));
    assert_eq!((log.on(anew), log.on(log.asset("S").consumers["c"].group.id)), (vec![2], vec![2]));
}

#[test]
fn a_removed_server_is_healed_as_far_as_possible() {
    let mut log = Log::new(4);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let c = log.consumer("S", consumer_config("c", 0), &[1, 2, 3]).group;
    let mut ephemeral = consumer_config("e", 1);
    ephemeral.durable = false;
    log.consumer("S", ephemeral, &[3]);
    let durable = log.consumer("S", consumer_config("f", 1), &[3]).group;
    let single = log.stream(stream_config("T", &["t"], 1), &[3]).group;
    let elsewhere = log.stream(stream_config("U", &["u"], 1), &[1]).group;

    log.ok(Command::RemoveServer { store: StoreId(3) });
    heal_all(&mut log, &peers(4, &[3]));
    assert_eq!((log.on(s), log.on(c)), (vec![1, 2, 4], vec![1, 2, 4]));
    assert!(!log.asset("S").consumers.contains_key("e"), "its client makes another");
    let renewed = log.asset("S").consumers["f"].group.id;
    assert!(renewed > durable && log.on(renewed) != [3]);
    assert_eq!(log.on(single), [3], "its data may come back");
    assert_eq!(log.on(elsewhere), [1]);

    // Nobody can come for the next one: the stream is short until a server joins.
    log.ok(Command::RemoveServer { store: StoreId(4) });
    heal_all(&mut log, &peers(2, &[]));
    assert_eq!((log.on(s), log.on(c)), (vec![1, 2], vec![1, 2]));
    log.ok(Command::RegisterServer { info: server(5, "n5"), rejoin: false });
    heal_all(&mut log, &[peers(2, &[]), peers(5, &[]).split_off(4)].concat());
    assert_eq!((log.on(s), log.on(c)), (vec![1, 2, 5], vec![1, 2, 5]));
}

#[test]
fn a_wiped_server_takes_its_old_seats() {
    let mut log = Log::new(5);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    log.ok(Command::RegisterServer { info: server(9, "n2"), rejoin: false });
    let mut all = peers(9, &[2, 6, 7, 8]);
    all[8].ha_assets = 100;
    heal_all(&mut log, &all);
    assert_eq!(log.on(s), [1, 3, 9], "though others have less to do");
}

#[test]
fn a_missing_replica_gets_a_fresh_one_on_the_same_store() {
    let mut log = Log::new(4);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let c = log.consumer("S", consumer_config("c", 0), &[1, 2, 3]).group;
    let (lost, consumer) = (log.replica_on(s, 2), log.replica_on(c, 2));
    let missing = [(s, lost)].into();
    let plans = heal(&log.meta, &fleet(&peers(4, &[])), &missing, 100);
    plans.into_iter().for_each(|plan| commit(&mut log, plan));
    assert_eq!(log.on(s), [1, 2, 3]);
    assert!(log.replica_on(s, 2) > lost);
    assert_eq!(log.replica_on(c, 2), consumer, "the consumer's replica is not touched");
    let again = heal(&log.meta, &fleet(&peers(4, &[])), &missing, 100);
    assert_eq!(again, [], "the fresh one is not lost");
}

#[test]
fn a_successor_that_comes_back_is_not_taken_for_the_lost_one() {
    let mut log = Log::new(4);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let lost = log.replica_on(s, 3);
    let all = peers(4, &[]);
    let plans = heal(&log.meta, &fleet(&all), &[(s, lost)].into(), 100);
    plans.into_iter().for_each(|plan| commit(&mut log, plan));
    let successor = log.replica_on(s, 3);
    // It is a learner, and the lost one still counts, when first its server is to go and then the one that came for it.
    let group = log.group(s);
    let mut membership = group.actual.membership.clone();
    membership.learners.push(successor);
    membership.stores.insert(successor, StoreId(3));
    let report = Reported { membership, index: 20, epoch: group.epoch };
    log.ok(Command::ReportMembers { group: s, report });
    for store in [3, 4] {
        let plan = replace_peer(&log.meta, ACCOUNT, "S", StoreId(store), &fleet(&all)).unwrap();
        commit(&mut log, plan);
    }
    assert_eq!((log.on(s), log.replica_on(s, 3)), (vec![1, 2, 3], successor));

    let keep = |store| Seat::Keep(log.replica_on(s, store));
    let seats = vec![keep(1), keep(2), Seat::Keep(lost)];
    let back = SeatChange { repair: true, ..log.change(s, seats) };
    let refused = log.refused(Command::SetMembers { changes: vec![back] });
    assert!(matches!(refused, MetaError::Stale(Stale::NoSeat { .. })), "{refused}");
}

#[test]
fn a_move_whose_aim_is_lost_loses_nothing() {
    let mut log = Log::new(4);
    let s = log.stream(stream_config("S", &["a"], 1), &[1]).group;
    let before = log.replica_on(s, 1);
    let change = log.change(s, vec![Seat::Fresh(StoreId(2))]);
    log.ok(Command::SetMembers { changes: vec![change] });
    log.ok(Command::RemoveServer { store: StoreId(2) });
    let plans = heal(&log.meta, &fleet(&peers(4, &[2])), &BTreeSet::new(), 100);
    assert!(plans.iter().all(|plan| plan.losses.is_empty()), "{plans:?}");
    plans.into_iter().for_each(|plan| commit(&mut log, plan));
    assert!(log.group(s).actual.membership.contains(before), "it still has everything");
    assert!(!log.on(s).is_empty() && log.on(s) != [2]);
}

#[test]
fn what_is_left_is_not_given_up_without_a_majority() {
    let mut log = Log::new(4);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let single = log.stream(stream_config("T", &["b"], 1), &[2]).group;
    let missing = [(s, log.replica_on(s, 1)), (s, log.replica_on(s, 2))];
    let missing = missing.into_iter().chain([(single, log.replica_on(single, 2))]).collect();
    assert_eq!(heal(&log.meta, &fleet(&peers(4, &[])), &missing, 100), []);
}

#[test]
fn scaling_keeps_the_leader_and_takes_consumers_along() {
    let mut log = Log::new(5);
    let s = log.stream(stream_config("S", &["a"], 1), &[2]).group;
    let c = log.consumer("S", consumer_config("c", 0), &[2]).group;
    let five = peers(5, &[]);
    let update = |log: &mut Log, replicas, ranked: &[u64]| {
        let config = stream_config("S", &["a"], replicas);
        let plan = scale(log.asset("S"), &config, &stores(ranked), &fleet(&five)).unwrap();
        log.ok(Command::UpdateStream { account: ACCOUNT.into(), config, changes: plan.changes });
        log.settle_all();
    };
    let first = log.replica_on(s, 2);
    update(&mut log, 3, &[2]);
    assert_eq!((log.on(s).len(), log.on(s)), (3, log.on(c)));
    assert_eq!(log.replica_on(s, 2), first, "who has the data stays");
    let leader = *log.on(s).last().unwrap();
    update(&mut log, 1, &[leader]);
    assert_eq!((log.on(s), log.on(c)), (vec![leader], vec![leader]));
    let nine = stream_config("S", &["a"], 9);
    let error = scale(log.asset("S"), &nine, &[], &fleet(&five)).unwrap_err();
    assert_eq!(error.to_string(), "no suitable peers for placement");
}

#[test]
fn a_move_keeps_the_members_that_fit() {
    let mut log = Log::new(5);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let mut five = peers(5, &[]);
    five.iter_mut().skip(2).for_each(|p| p.tags = vec!["ssd".into()]);
    let mut config = stream_config("S", &["a"], 3);
    config.placement = Some(Placement { cluster: None, tags: vec!["ssd".into()] });
    let kept = log.replica_on(s, 3);
    let plan = relocate(log.asset("S"), &config, &fleet(&five)).unwrap();
    log.ok(Command::UpdateStream { account: ACCOUNT.into(), config, changes: plan.changes });
    assert_eq!(log.on(s), [3, 4, 5]);
    assert_eq!(log.replica_on(s, 3), kept);
    assert!(log.group(s).stores().any(|store| store == log.group(s).preferred));
}
