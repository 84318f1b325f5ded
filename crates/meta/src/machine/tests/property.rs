use super::*;

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
