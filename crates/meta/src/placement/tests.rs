use proptest::prelude::*;

use super::*;

fn peer(n: u64) -> Peer {
    Peer {
        store: StoreId(n),
        name: format!("n{n}"),
        cluster: "C1".into(),
        tags: vec![],
        jetstream: true,
        online: true,
        has_room: true,
        file_available: Some(1 << 30),
        memory_available: Some(1 << 20),
        assets: 0,
        ha_assets: 0,
        max_ha_assets: None,
        leaders: 0,
    }
}

fn peers(count: u64) -> Vec<Peer> {
    (1..=count).map(peer).collect()
}

fn request(replicas: usize) -> PlacementRequest<'static> {
    static NOBODY: BTreeSet<StoreId> = BTreeSet::new();
    PlacementRequest {
        replicas,
        placement: None,
        cluster: Some("C1"),
        keep: &[],
        exclude: &NOBODY,
        storage: StorageKind::File,
        max_bytes: None,
    }
}

fn fleet(peers: &[Peer]) -> Fleet<'_> {
    Fleet { peers, unique_tag: None, seed: 7 }
}

fn tags(tags: &[&str]) -> Placement {
    Placement { cluster: None, tags: tags.iter().map(|t| (*t).to_owned()).collect() }
}

#[test]
fn more_replicas_than_servers_have_no_suitable_peers() {
    let three = peers(3);
    let error = place(&request(9), &fleet(&three)).unwrap_err();
    assert_eq!(error.to_string(), "no suitable peers for placement");
    assert_eq!(place(&request(3), &fleet(&three)).unwrap().stores.len(), 3);
}

#[test]
fn one_server_down_still_allows_three_replicas() {
    let mut three = peers(3);
    three[0].online = false;
    let placed = place(&request(3), &fleet(&three)).unwrap();
    assert_eq!(placed.stores.last(), Some(&StoreId(1)), "the offline one fills the rest");
    assert_ne!(placed.preferred, StoreId(1));

    three[1].online = false;
    let error = place(&request(3), &fleet(&three)).unwrap_err();
    assert_eq!(error.to_string(), "no suitable peers for placement, peer offline");
}

#[test]
fn tags_are_required_and_excluded() {
    let mut four = peers(4);
    four[0].tags = vec!["SSD".into(), "old".into()];
    four[1].tags = vec!["ssd".into()];
    four[2].tags = vec!["ssd".into()];
    let wanted = tags(&["ssd", "!old"]);
    let placed =
        place(&PlacementRequest { placement: Some(&wanted), ..request(2) }, &fleet(&four)).unwrap();
    assert_eq!(
        placed.stores.iter().copied().collect::<BTreeSet<_>>(),
        [StoreId(2), StoreId(3)].into()
    );

    let error = place(&PlacementRequest { placement: Some(&wanted), ..request(3) }, &fleet(&four))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no suitable peers for placement, exclude tag set, tags not matched ['ssd']"
    );
}

#[test]
fn replicas_go_to_distinct_zones_unless_a_zone_is_named() {
    let mut five = peers(5);
    for (peer, zone) in five.iter_mut().zip(["az:1", "az:1", "az:2", "az:2", "az:3"]) {
        peer.tags = vec![zone.into()];
    }
    five[0].ha_assets = 9;
    let zones = Fleet { unique_tag: Some("az:"), ..fleet(&five) };
    let placed = place(&request(3), &zones).unwrap();
    assert!(placed.stores.contains(&StoreId(5)));
    assert!(placed.stores.contains(&StoreId(2)), "the least loaded of zone 1");
    let error = place(&request(4), &zones).unwrap_err();
    assert!(error.to_string().contains("server tag not unique"), "{error}");

    // A kept replica counts for its zone.
    let keep = [StoreId(1)];
    let placed = place(&PlacementRequest { keep: &keep, ..request(2) }, &zones).unwrap();
    assert!(!placed.stores.contains(&StoreId(2)), "{placed:?}");

    let one_zone = tags(&["az:1"]);
    let placed =
        place(&PlacementRequest { placement: Some(&one_zone), ..request(2) }, &zones).unwrap();
    assert_eq!(placed.stores, [StoreId(2), StoreId(1)]);
}

#[test]
fn room_clusters_and_limits_are_respected() {
    let mut three = peers(3);
    three[0].file_available = Some(10);
    three[1].cluster = "C2".into();
    three[2].max_ha_assets = Some(0);
    let big = PlacementRequest { max_bytes: Some(11), ..request(1) };
    assert_eq!(place(&big, &fleet(&three)).unwrap().stores, [StoreId(3)]);
    let error =
        place(&PlacementRequest { max_bytes: Some(11), ..request(2) }, &fleet(&three)).unwrap_err();
    let text = "no suitable peers for placement, insufficient storage, limit of HA assets reached";
    assert_eq!(error.to_string(), text);
    three.iter_mut().for_each(|p| p.jetstream = false);
    let error = place(&request(1), &fleet(&three)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no suitable peers for placement, jetstream not enabled in cluster"
    );
}

#[test]
fn load_and_leaders_spread() {
    let mut fleet_of_five = peers(5);
    for seed in 0..100 {
        let fleet = Fleet { seed, ..fleet(&fleet_of_five) };
        let placed = place(&request(3), &fleet).unwrap();
        for peer in fleet_of_five.iter_mut().filter(|p| placed.stores.contains(&p.store)) {
            peer.assets += 1;
            peer.ha_assets += 1;
            peer.leaders += u32::from(peer.store == placed.preferred);
        }
    }
    for peer in &fleet_of_five {
        assert_eq!(peer.ha_assets, 60, "{}", peer.name);
        assert!((18..=22).contains(&peer.leaders), "{} leads {}", peer.name, peer.leaders);
    }
    // A single replica goes to the emptier server, not to the one with a byte more.
    let mut two = peers(2);
    two[0].file_available = Some((1 << 30) + 1);
    two[0].assets = 100;
    assert_eq!(place(&request(1), &fleet(&two)).unwrap().stores, [StoreId(2)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is asked: the result has the right size, no store twice, keeps what is kept, takes
    /// nobody excluded, and a majority of it is online; the same question gives the same answer.
    #[test]
    fn a_placement_is_sound(
        online in proptest::collection::vec(any::<bool>(), 1..9),
        replicas in 1_usize..8,
        keep in 0_usize..4,
        excluded in proptest::collection::btree_set(1_u64..9, 0..4),
        seed: u64,
    ) {
        let mut all = peers(online.len() as u64);
        all.iter_mut().zip(&online).for_each(|(peer, online)| peer.online = *online);
        let keep: Vec<_> = all.iter().map(|p| p.store).take(keep.min(replicas)).collect();
        let exclude: BTreeSet<_> = excluded.into_iter().map(StoreId).collect();
        let asked = PlacementRequest { keep: &keep, exclude: &exclude, ..request(replicas) };
        let fleet = Fleet { seed, ..fleet(&all) };
        let placed = place(&asked, &fleet);
        prop_assert_eq!(&placed, &place(&asked, &fleet));
        if let Ok(Placed { stores, preferred }) = placed {
            prop_assert_eq!(stores.len(), replicas);
            prop_assert_eq!(stores.iter().collect::<BTreeSet<_>>().len(), replicas);
            prop_assert!(stores.starts_with(&keep));
            prop_assert!(stores[keep.len()..].iter().all(|s| !exclude.contains(s)));
            let online = stores.iter().filter(|s| fleet.is_online(**s)).count();
            prop_assert!(online >= quorum(replicas));
            prop_assert!(fleet.is_online(preferred) && stores.contains(&preferred));
        }
    }
}
