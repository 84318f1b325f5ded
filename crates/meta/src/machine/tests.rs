mod members;
mod property;

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
