use std::collections::BTreeSet;

use flotilla_raft::StoreId;
use flotilla_stream::{Placement, Retention};
use proptest::prelude::*;

use super::*;
use crate::command::{ConsumerAction, Seat, SeatChange};
use crate::error::Stale;
use crate::fixture::*;

fn update(config: flotilla_stream::StreamConfig, changes: Vec<SeatChange>) -> Command {
    Command::UpdateStream { account: ACCOUNT.to_owned(), config, changes }
}

#[test]
fn creating_the_same_stream_again_finds_it() {
    let mut log = Log::new(3);
    let created = log.stream(stream_config("S", &["a.>"], 3), &[1, 2, 3]);
    let again = log.ok(create_stream(stream_config("S", &["a.>"], 3), &[3, 2, 1]));
    assert_eq!(again, Reply::Exists(created));
    let other = log.refused(create_stream(stream_config("S", &["b"], 3), &[1, 2, 3]));
    assert_eq!((other.err_code(), other), (10058, MetaError::StreamNameExist));
}

#[test]
fn a_subject_belongs_to_one_stream_of_an_account() {
    let mut log = Log::new(1);
    log.stream(stream_config("S", &["a.*", "c"], 1), &[1]);
    let error = log.refused(create_stream(stream_config("T", &["b", "a.>"], 1), &[1]));
    assert_eq!(error.err_code(), 10065);
    assert!(
        matches!(error, MetaError::SubjectOverlap { stream, existing, .. } if stream == "S" && existing == "a.*")
    );
    log.stream(stream_config("T", &["b"], 1), &[1]);
    assert_eq!(log.refused(update(stream_config("T", &["b", "c"], 1), vec![])).err_code(), 10065);
    // Another account has its own subjects.
    let mut elsewhere = create_stream(stream_config("S", &["a.*"], 1), &[1]);
    let Command::CreateStream { account, max_streams, .. } = &mut elsewhere else { unreachable!() };
    *account = "B".to_owned();
    *max_streams = Some(1);
    log.ok(elsewhere);
}

#[test]
fn limits_of_streams_and_consumers_hold_at_apply() {
    let mut log = Log::new(1);
    log.stream(stream_config("S", &["a"], 1), &[1]);
    let mut limited = create_stream(stream_config("T", &["b"], 1), &[1]);
    let Command::CreateStream { max_streams, .. } = &mut limited else { unreachable!() };
    *max_streams = Some(1);
    assert_eq!(log.refused(limited).err_code(), 10027);

    let mut config = stream_config("U", &["u"], 1);
    config.max_consumers = Some(1);
    log.stream(config, &[1]);
    log.consumer("U", consumer_config("c", 0), &[1]);
    assert_eq!(log.refused(create_consumer("U", consumer_config("d", 0), &[1])).err_code(), 10026);
}

#[test]
fn a_deleted_stream_is_waited_for_and_its_ids_never_return() {
    let mut log = Log::new(3);
    let first = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]);
    let consumer = log.consumer("S", consumer_config("c", 1), &[2]);
    let deleted = log.commit(&delete_stream("S"));
    assert_eq!(deleted.reply, Reply::Deleted(first));
    assert_eq!(deleted.deltas.len(), 2);
    assert!(deleted.deltas.iter().all(|d| d.concerns(StoreId(2))));
    assert_eq!(
        log.meta.tombstones().keys().copied().collect::<Vec<_>>(),
        [first.group, consumer.group]
    );

    let second = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]);
    assert!(second.group > consumer.group && second.incarnation > consumer.incarnation);
    let late = Command::DeleteStream {
        account: ACCOUNT.into(),
        stream: "S".into(),
        group: Some(first.group),
    };
    assert_eq!(log.refused(late), MetaError::StreamNotFound, "a delete meant for the first life");

    let holders = log.meta.tombstones()[&first.group].holders.clone();
    for (replica, store) in holders {
        log.ok(Command::ConfirmDestroyed { store, replicas: vec![(first.group, replica)] });
    }
    assert!(!log.meta.tombstones().contains_key(&first.group));
    // Nobody waits for a server that is gone.
    log.ok(Command::RemoveServer { store: StoreId(2) });
    assert!(log.meta.tombstones().is_empty());
}

#[test]
fn a_new_store_under_an_old_name_is_a_new_server() {
    let mut log = Log::new(3);
    let old = log.meta.server(StoreId(2)).unwrap().replica;
    let reply = log.ok(Command::RegisterServer { info: server(9, "n2"), rejoin: false });
    assert_eq!(reply, Reply::Registered(log.meta.server(StoreId(9)).unwrap().replica));
    assert_ne!(reply, Reply::Registered(old));
    assert!(!log.meta.is_member(StoreId(2)));
    assert_eq!(log.meta.member_named("n2").unwrap().store, StoreId(9));

    // The old store does not come back by itself, and with a new replica when it does.
    let back = |rejoin| Command::RegisterServer { info: server(2, "n2b"), rejoin };
    assert_eq!(log.refused(back(false)), MetaError::ServerRemoved(StoreId(2)));
    let Reply::Registered(replica) = log.ok(back(true)) else { panic!() };
    assert!(replica > old);
    let taken = Command::UpdateServer { info: server(2, "n1") };
    assert!(matches!(log.refused(taken), MetaError::ServerNameTaken { .. }));
    assert_eq!(log.refused(Command::RemoveServer { store: StoreId(77) }).err_code(), 10044);
}

#[test]
fn a_lost_replica_of_the_meta_group_is_renewed_once_for_each_loss() {
    let mut log = Log::new(3);
    let old = log.meta.server(StoreId(2)).unwrap().replica;
    let renew = |loss, after| Command::RenewReplica { store: StoreId(2), loss, after };
    let before = log.meta.last_replica();
    let Reply::Registered(first) = log.ok(renew(7, before)) else { panic!() };
    assert!(first > old);
    assert_eq!(log.ok(renew(7, before)), Reply::Registered(first), "it was asked again");
    let register = Command::RegisterServer { info: server(2, "n2"), rejoin: true };
    assert_eq!(log.ok(register), Reply::Registered(first));
    let again = log.ok(renew(7, before));
    assert_eq!(again, Reply::Registered(first), "a registration changes nothing");
    let late = log.refused(renew(6, before));
    assert!(matches!(late, MetaError::RenewedSince { .. }), "of an earlier life: {late}");
    assert_eq!(log.meta.server(StoreId(2)).unwrap().replica, first);
    assert_ne!(log.ok(renew(8, first)), Reply::Registered(first));
    let stranger = Command::RenewReplica { store: StoreId(9), loss: 1, after: before };
    assert_eq!(log.refused(stranger), MetaError::ServerNotMember);
}

#[test]
fn the_last_member_stays() {
    let mut log = Log::new(2);
    log.ok(Command::RemoveServer { store: StoreId(1) });
    assert_eq!(
        log.refused(Command::RemoveServer { store: StoreId(2) }),
        MetaError::LastServer(StoreId(2))
    );
}

#[test]
fn one_change_of_members_at_a_time() {
    let mut log = Log::new(5);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let (one, two, three) = (log.replica_on(s, 1), log.replica_on(s, 2), log.replica_on(s, 3));
    let stale = log.change(s, vec![Seat::Keep(one)]);
    let swap = log.change(s, vec![Seat::Keep(one), Seat::Keep(two), Seat::Fresh(StoreId(4))]);
    log.ok(Command::SetMembers { changes: vec![swap] });
    assert_eq!(log.on(s), [1, 2, 4]);
    assert!(!log.group(s).excludes(three), "nobody has reported that it is out");

    let refused = log.refused(Command::SetMembers { changes: vec![stale] });
    assert!(matches!(refused, MetaError::Stale(Stale::Epoch { epoch: 2, planned: 1, .. })));
    let four = log.replica_on(s, 4);
    let next = log.change(s, vec![Seat::Keep(one), Seat::Keep(four), Seat::Fresh(StoreId(5))]);
    assert_eq!(log.refused(Command::SetMembers { changes: vec![next.clone()] }).err_code(), 10124);
    // Only a repair may overtake it, and a replica still counted may come back under its id.
    let seats = vec![Seat::Keep(one), Seat::Keep(two), Seat::Keep(three)];
    let back = SeatChange { seats, repair: true, ..next };
    log.ok(Command::SetMembers { changes: vec![back] });
    assert_eq!(log.on(s), [1, 2, 3]);
    assert_eq!(log.group(s).former.len(), 1, "the newcomer has to confirm that it is gone");
}

#[test]
fn a_replica_is_out_only_by_a_report_of_the_present_epoch() {
    let mut log = Log::new(4);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let three = log.replica_on(s, 3);
    let early = log.group(s).actual.clone();
    let (one, two) = (log.replica_on(s, 1), log.replica_on(s, 2));
    let swap = log.change(s, vec![Seat::Keep(one), Seat::Keep(two), Seat::Fresh(StoreId(4))]);
    log.ok(Command::SetMembers { changes: vec![swap] });
    let four = log.replica_on(s, 4);
    let late = log.refused(Command::ReportMembers { group: s, report: early });
    assert!(late.is_stale());
    assert!(!log.group(s).excludes(three) && !log.group(s).excludes(four));
    log.settle(s);
    assert!(log.group(s).excludes(three) && log.group(s).is_settled());
    log.ok(Command::ConfirmDestroyed { store: StoreId(3), replicas: vec![(s, three)] });
    assert!(log.group(s).former.is_empty());
    let back = log.change(s, vec![Seat::Keep(three)]);
    let refused = log.refused(Command::SetMembers { changes: vec![back] });
    assert!(
        matches!(refused, MetaError::Stale(Stale::NoSeat { .. })),
        "an id that is out never returns"
    );
}

#[test]
fn consumers_stay_where_their_stream_is() {
    let mut log = Log::new(5);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]).group;
    let outside = log.refused(create_consumer("S", consumer_config("c", 1), &[4]));
    assert!(matches!(outside, MetaError::Stale(Stale::OutsideStream { .. })));
    assert_eq!(
        log.refused(create_consumer("S", consumer_config("c", 5), &[1, 2, 3, 4, 5])).err_code(),
        10126
    );
    let c = log.consumer("S", consumer_config("c", 0), &[1, 2, 3]).group;

    let swap = |log: &Log, group| {
        let kept = [1, 2].map(|store| Seat::Keep(log.replica_on(group, store)));
        log.change(group, [&kept[..], &[Seat::Fresh(StoreId(4))]].concat())
    };
    let alone = log.refused(Command::SetMembers { changes: vec![swap(&log, s)] });
    assert!(matches!(alone, MetaError::Stale(Stale::OutsideStream { group, .. }) if group == c));
    log.ok(Command::SetMembers { changes: vec![swap(&log, s), swap(&log, c)] });
    assert_eq!((log.on(s), log.on(c)), (vec![1, 2, 4], vec![1, 2, 4]));
}

#[test]
fn updates_keep_to_what_may_change() {
    let mut log = Log::new(3);
    let s = log.stream(stream_config("S", &["a"], 1), &[1]).group;
    assert_eq!(log.refused(update(stream_config("T", &["a"], 1), vec![])).err_code(), 10059);
    let mut config = stream_config("S", &["a"], 1);
    config.retention = Retention::WorkQueue;
    let error = log.refused(update(config, vec![]));
    let text = "stream configuration update can not change retention policy to/from workqueue";
    assert_eq!((error.err_code(), error.to_string().as_str()), (10052, text));

    let three = stream_config("S", &["a", "b"], 3);
    let mut both = three.clone();
    both.placement = Some(Placement { cluster: None, tags: vec!["ssd".into()] });
    assert_eq!(log.refused(update(both, vec![])).err_code(), 10123);
    assert!(
        log.refused(update(three.clone(), vec![])).is_stale(),
        "a replica count needs its members"
    );
    let one = log.replica_on(s, 1);
    let grow =
        log.change(s, vec![Seat::Keep(one), Seat::Fresh(StoreId(2)), Seat::Fresh(StoreId(3))]);
    let outcome = log.commit(&update(three, vec![grow]));
    assert!(matches!(outcome.reply, Reply::Updated(_)));
    assert_eq!(outcome.deltas.len(), 2, "configuration and members");
    assert_eq!(log.refused(update(stream_config("S", &["a"], 1), vec![])).err_code(), 10124);
    // What needs no members may change meanwhile.
    let mut described = stream_config("S", &["a", "b"], 3);
    described.description = Some("orders".into());
    log.ok(update(described, vec![]));
}

#[test]
fn consumer_actions_mean_what_clients_expect() {
    let mut log = Log::new(1);
    log.stream(stream_config("S", &["a"], 1), &[1]);
    let with = |config, action| {
        let Command::CreateConsumer { account, stream, config, stores, preferred, .. } =
            create_consumer("S", config, &[1])
        else {
            unreachable!()
        };
        Command::CreateConsumer {
            account,
            stream,
            config,
            action,
            stores,
            preferred,
            max_consumers: None,
        }
    };
    let config = consumer_config("c", 0);
    assert_eq!(log.refused(with(config.clone(), ConsumerAction::Update)).err_code(), 10149);
    log.ok(with(config.clone(), ConsumerAction::Create));
    assert!(matches!(log.ok(with(config.clone(), ConsumerAction::Create)), Reply::Exists(_)));
    let mut other = config.clone();
    other.max_ack_pending = Some(5);
    assert_eq!(log.refused(with(other.clone(), ConsumerAction::Create)).err_code(), 10148);
    assert!(matches!(log.ok(with(other, ConsumerAction::CreateOrUpdate)), Reply::Updated(_)));
    let mut fixed = config.clone();
    fixed.max_waiting = 1;
    let error = log.refused(with(fixed, ConsumerAction::Update));
    assert_eq!(
        (error.err_code(), error.to_string().as_str()),
        (10012, "max waiting can not be updated")
    );
    let mut ephemeral = config;
    ephemeral.durable = false;
    assert_eq!(log.refused(with(ephemeral, ConsumerAction::CreateOrUpdate)).err_code(), 10013);
}

#[test]
fn a_work_queue_stays_a_partition() {
    let mut log = Log::new(1);
    let mut config = stream_config("S", &["a.>"], 1);
    config.retention = Retention::WorkQueue;
    log.stream(config, &[1]);
    let filtered = |name: &str, filter: &str| {
        let mut config = consumer_config(name, 0);
        config.filters = vec![filter.to_owned()];
        create_consumer("S", config, &[1])
    };
    log.ok(filtered("c", "a.b"));
    log.ok(filtered("d", "a.c"));
    assert_eq!(log.refused(filtered("e", "a.*")).err_code(), 10100);
    assert_eq!(log.refused(create_consumer("S", consumer_config("e", 0), &[1])).err_code(), 10099);
    log.ok(filtered("c", "a.d"));
}

#[test]
fn an_asset_begun_anew_takes_its_consumers_along() {
    let mut log = Log::new(4);
    let s = log.stream(stream_config("S", &["a"], 3), &[1, 2, 3]);
    let c = log.consumer("S", consumer_config("c", 1), &[2]);
    let reply = log.ok(Command::Recreate {
        group: s.group,
        stores: stores(&[2, 3, 4]),
        preferred: StoreId(4),
    });
    let Reply::Updated(anew) = reply else { panic!() };
    assert!(anew.group > c.group && anew.incarnation > c.incarnation && anew.created == s.created);
    let consumer = log.asset("S").consumers["c"].group.clone();
    assert_eq!((log.on(anew.group), log.on(consumer.id)), (vec![2, 3, 4], vec![2]));
    assert!(
        log.meta.tombstones().contains_key(&s.group)
            && log.meta.tombstones().contains_key(&c.group)
    );
    assert!(log.meta.asset(s.group).is_none());
}

#[test]
fn a_base_that_contradicts_itself_is_refused() {
    let mut log = Log::new(1);
    let s = log.stream(stream_config("S", &["a"], 1), &[1]).group;
    let mut meta = log.meta.clone();
    meta.last_replica = ReplicaId(0);
    assert_eq!(Meta::restore(&meta.base()), Err(RestoreError::Unallocated { group: s }));
    let mut meta = log.meta.clone();
    let twin = meta.accounts[ACCOUNT]["S"].clone();
    meta.accounts.get_mut(ACCOUNT).unwrap().insert("T".into(), twin);
    assert_eq!(Meta::restore(&meta.base()), Err(RestoreError::GroupTwice(s)));
    assert!(matches!(Meta::restore(&log.meta.base()[1..]), Err(RestoreError::Damaged(_))));
}

#[test]
fn load_counts_what_members_carry() {
    let mut log = Log::new(3);
    let mut config = stream_config("S", &["a"], 2);
    config.max_bytes = Some(100);
    log.stream(config, &[1, 2]);
    log.consumer("S", consumer_config("c", 1), &[2]);
    let load = |store| log.meta.load(StoreId(store));
    let one = StoreLoad {
        assets: 1,
        ha_assets: 1,
        preferred: 1,
        reserved_file: 100,
        ..StoreLoad::default()
    };
    assert_eq!(load(1), one);
    assert_eq!(load(2), StoreLoad { assets: 2, ..one });
    assert_eq!(load(3), StoreLoad::default());
}

#[test]
fn time_never_goes_back() {
    let mut meta = Meta::found(ClusterId(1), StoreId(1));
    let register = Command::RegisterServer { info: server(1, "n1"), rejoin: false };
    meta.apply(&register.encode(Timestamp(50))).unwrap();
    meta.apply(&register.encode(Timestamp(20))).unwrap();
    assert_eq!(meta.time(), Timestamp(50));
    let before = meta.clone();
    assert!(meta.apply(&[1, 2, 3]).is_err());
    assert_eq!(meta, before);
}

/// One random command; many of them make no sense, as they may.
fn any_command() -> impl Strategy<Value = Command> {
    let name = prop_oneof![Just("S"), Just("T"), Just("U")];
    let on = proptest::collection::vec(1_u64..6, 1..4);
    let seats = proptest::collection::vec((any::<bool>(), 1_u64..40), 1..4);
    let group = || (2_u64..12).prop_map(GroupId);
    let reseat = (group(), 1_u64..4, seats, any::<bool>());
    let seat = |(keep, n): (bool, u64)| {
        if keep { Seat::Keep(ReplicaId(n)) } else { Seat::Fresh(StoreId(n % 6)) }
    };
    prop_oneof![
        3 => (name.clone(), on.clone()).prop_map(|(n, on)| {
            create_stream(stream_config(n, &[n], u8::try_from(on.len()).unwrap()), &on)
        }),
        3 => (name.clone(), on, 0_u8..3, any::<bool>()).prop_map(|(n, on, c, durable)| {
            let mut config = consumer_config(&format!("c{c}"), u8::try_from(on.len()).unwrap());
            config.durable = durable;
            create_consumer(n, config, &on)
        }),
        1 => name.prop_map(delete_stream),
        3 => proptest::collection::vec(reseat, 1..3).prop_map(move |changes| {
            let change = |(group, epoch, seats, repair): (GroupId, u64, Vec<(bool, u64)>, bool)| {
                let seats = seats.into_iter().map(seat).collect();
                SeatChange { group, epoch, seats, preferred: None, repair }
            };
            Command::SetMembers { changes: changes.into_iter().map(change).collect() }
        }),
        1 => (group(), 1_u64..6).prop_map(|(group, store)| {
            Command::Recreate { group, stores: vec![StoreId(store)], preferred: StoreId(store) }
        }),
        1 => (1_u64..8, 1_u64..8, any::<bool>()).prop_map(|(store, name, rejoin)| {
            Command::RegisterServer { info: server(store, &format!("n{name}")), rejoin }
        }),
        1 => (1_u64..8).prop_map(|store| Command::RemoveServer { store: StoreId(store) }),
        1 => (1_u64..8, 1_u64..3, 1_u64..40).prop_map(|(store, loss, after)| {
            Command::RenewReplica { store: StoreId(store), loss, after: ReplicaId(after) }
        }),
        1 => (1_u64..8, group(), 1_u64..40).prop_map(|(store, group, replica)| {
            let replicas = vec![(group, ReplicaId(replica))];
            Command::ConfirmDestroyed { store: StoreId(store), replicas }
        }),
    ]
}

/// What holds after every command.
fn check(meta: &Meta) {
    let mut replicas: BTreeSet<_> = meta.servers().map(|s| s.replica).collect();
    let mut count = replicas.len();
    let names: Vec<_> = meta.servers().filter(|s| s.is_member()).map(|s| &s.name).collect();
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "a name borne twice");
    for (id, asset) in meta.groups() {
        let group = asset.group();
        assert_eq!(group.id, id);
        assert!(!meta.tombstones().contains_key(&id));
        let holders = group.holders();
        count += holders.len();
        replicas.extend(holders.keys());
        let stores: Vec<_> = group.stores().collect();
        assert!(!stores.is_empty());
        assert_eq!(
            stores.len(),
            stores.iter().collect::<BTreeSet<_>>().len(),
            "a store twice in {id}"
        );
        assert!(group.former.iter().all(|m| meta.is_member(m.store) && !group.desires(m.replica)));
        let stream = meta.stream_of(id).unwrap();
        assert!(
            stores.iter().all(|s| stream.group.member_on(*s).is_some()),
            "{id} is outside its stream"
        );
        assert!(stores.len() <= meta.wanted_replicas(id).unwrap());
    }
    for tombstone in meta.tombstones().values() {
        assert!(!tombstone.holders.is_empty());
        assert!(tombstone.holders.values().all(|s| meta.is_member(*s)));
        count += tombstone.holders.len();
        replicas.extend(tombstone.holders.keys());
    }
    assert_eq!(replicas.len(), count, "a replica id given twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Ids are never given twice, consumers stay inside their streams, and a machine restored from
    /// a base at any point goes on exactly like one that applied everything.
    #[test]
    fn machines_agree_and_stay_consistent(
        commands in proptest::collection::vec((any_command(), any::<bool>()), 1..80),
        based in 0_usize..80,
    ) {
        let mut log = Log::new(5);
        let mut other = None;
        for (position, (command, settles)) in commands.iter().enumerate() {
            if position == based {
                other = Some(Meta::restore(&log.meta.base()).unwrap());
            }
            let before = log.entries.len();
            log.commit(command);
            if *settles {
                log.settle_all();
            }
            check(&log.meta);
            if let Some(other) = &mut other {
                log.entries[before..].iter().for_each(|entry| { other.apply(entry).unwrap(); });
                prop_assert_eq!(&*other, &log.meta);
            }
        }
    }

    /// No bytes make a machine panic.
    #[test]
    fn foreign_bytes_are_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        version: bool,
    ) {
        if version && !bytes.is_empty() {
            bytes[0] = 1;
        }
        let mut meta = Meta::found(ClusterId(1), StoreId(1));
        prop_assert!(meta.apply(&bytes).is_err());
        prop_assert!(Meta::restore(&bytes).is_err());
    }
}
