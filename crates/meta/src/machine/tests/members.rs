use super::*;

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
