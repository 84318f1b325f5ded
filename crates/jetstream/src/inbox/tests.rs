use super::*;
use flotilla_raft::StoreId;

const MOST: usize = 64 << 20;

#[test]
fn everything_that_waits_is_taken_at_once_and_in_order() {
    let inbox = Inbox::new(MOST);
    for store in 1..=3 {
        assert!(inbox.push(Input::Died(StoreId(store))));
    }
    let mut taken = Vec::new();
    assert!(inbox.wait());
    inbox.take(false, &mut taken);
    let order: Vec<_> =
        taken.iter().map(|i| if let Input::Died(store) = i { store.0 } else { 0 }).collect();
    assert_eq!(order, [1, 2, 3]);
}

#[test]
fn a_full_inbox_drops_only_what_is_tried_again() {
    let inbox = Inbox::new(MOST);
    let publish = || Input::Publish { group: GroupId(2), messages: Inbound::default() };
    while inbox.push(publish()) {}
    assert!(!inbox.push(publish()));
    assert!(inbox.push(Input::Died(StoreId(1))));
}

fn publish(inbox: &Inbox, group: GroupId, payload: &'static [u8]) -> bool {
    inbox.publish(group, "a", "", b"", &Bytes::from_static(payload))
}

#[test]
fn what_clients_send_to_a_group_is_one_input_in_their_order() {
    let inbox = Inbox::new(MOST);
    let (one, two) = (GroupId(2), GroupId(3));
    for (group, payload) in [(one, &b"1"[..]), (two, b"2"), (one, b"3")] {
        assert!(publish(&inbox, group, payload));
    }
    let mut taken = Vec::new();
    inbox.take(false, &mut taken);
    let payloads = |input: &Input| match input {
        Input::Publish { group, messages } => {
            let payloads: Vec<_> = messages.iter().map(|m| m.payload.to_vec()).collect();
            (*group, payloads.concat())
        }
        other => panic!("{other:?}"),
    };
    let taken: Vec<_> = taken.iter().map(payloads).collect();
    assert_eq!(taken, [(one, b"13".to_vec()), (two, b"2".to_vec())]);

    // The next turn's messages are not added to what was taken.
    assert!(publish(&inbox, one, b"4"));
    let mut taken = Vec::new();
    inbox.take(false, &mut taken);
    assert_eq!(taken.len(), 1);
}

#[test]
fn what_clients_send_is_limited_in_bytes_and_room_is_made_by_a_turn() {
    let inbox = Inbox::new(MOST);
    let large: &'static [u8] = vec![0; 1 << 20].leak();
    let taken = (0..100).take_while(|_| publish(&inbox, GroupId(2), large)).count();
    assert_eq!(taken, 63);
    assert!(inbox.push(Input::HandOver), "what the server itself has to say is taken");
    inbox.take(false, &mut Vec::new());
    assert!(publish(&inbox, GroupId(2), large));

    let small = Inbox::new(1 << 10);
    assert!(publish(&small, GroupId(2), large), "nothing else waits");
    assert!(!publish(&small, GroupId(2), b"1"));
}

#[test]
fn bundles_are_limited_in_bytes_too() {
    let inbox = Inbox::new(MOST);
    let bundle = |bytes: usize| Input::Bundle { from: StoreId(2), frame: vec![0; bytes].into() };
    assert!(inbox.push(bundle(MOST + 1)), "nothing else waits");
    assert!(!inbox.push(bundle(1)));
    assert!(publish(&inbox, GroupId(2), b"1"), "clients have room of their own");
    inbox.take(false, &mut Vec::new());
    let taken = (0..100).take_while(|_| inbox.push(bundle(1 << 20))).count();
    assert_eq!(taken, 64);
}

#[test]
fn what_clients_and_peers_sent_waits_while_the_log_is_full() {
    let inbox = Inbox::new(MOST);
    assert!(publish(&inbox, GroupId(2), b"1"));
    assert!(inbox.push(Input::HandOver));
    let mut taken = Vec::new();
    inbox.rest(None, true);
    assert!(inbox.wait());
    inbox.take(true, &mut taken);
    assert!(matches!(taken[..], [Input::HandOver]));
    assert!(publish(&inbox, GroupId(2), b"2"));
    let mut taken = Vec::new();
    inbox.rest(Some(Instant::now()), true);
    assert!(inbox.wait());
    inbox.take(true, &mut taken);
    assert!(taken.is_empty());
    inbox.rest(None, false);
    assert!(inbox.wait());
    inbox.take(false, &mut taken);
    let count = |input: &Input| match input {
        Input::Publish { messages, .. } => messages.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(taken.iter().map(count).sum::<usize>(), 2, "nothing is lost by waiting");
}

#[test]
fn a_closed_inbox_ends_the_thread_after_what_waits() {
    let inbox = Inbox::new(MOST);
    inbox.push(Input::HandOver);
    inbox.close();
    let mut taken = Vec::new();
    assert!(!inbox.wait());
    inbox.take(false, &mut taken);
    assert_eq!(taken.len(), 1);
    assert!(!inbox.push(Input::HandOver));
}
