//! Routing, without sockets.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::client::Client;
use super::*;

/// Notes what it is given, as text.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn add(&self, note: String) {
        lock(&self.0).push(note);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }
}

impl Deliver for Notes {
    fn deliver(&self, message: &Message<'_>) {
        self.add(format!("{} {}", message.subject, String::from_utf8_lossy(message.payload)));
    }
}

impl Peers for Notes {
    fn forward(&self, peer: PeerId, message: &Message<'_>, queues: &[Arc<str>]) {
        self.add(format!("{} to {} {queues:?}", message.subject, peer.0));
    }

    fn interest_changed(&self, interest: Interest<'_>) {
        let Interest { account, subject, queue, weight } = interest;
        self.add(format!("{account} {subject} {queue:?} {weight}"));
    }
}

fn client(router: &RouterHandle) -> Arc<Client> {
    Arc::new(Client::new(router.next_connection(), 1 << 20))
}

/// What waits in the client's outbox.
fn received(client: &Client) -> String {
    let mut take = std::pin::pin!(client.outbox.take(VecDeque::new()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match take.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Some(chunks)) => {
            String::from_utf8(Vec::from(chunks).concat()).unwrap()
        }
        _ => String::new(),
    }
}

fn subscribe(client: &Arc<Client>, account: &Arc<Account>, subject: &str, queue: Option<&str>) {
    let sid = format!("{subject}:{}", queue.unwrap_or_default());
    client.subscribe(account, (subject, queue, sid.as_bytes().into()), None).unwrap();
}

fn publish(router: &RouterHandle, account: &Arc<Account>, subject: &str, origin: Origin) -> bool {
    let payload = Bytes::from_static(b"x");
    let message = Message {
        account,
        subject,
        shown: None,
        reply: None,
        headers: None,
        payload: &payload,
        origin,
    };
    router.batch().publish(&message)
}

fn interest<'a>(subject: &'a str, queue: Option<&'a str>, weight: u32) -> Interest<'a> {
    Interest { account: "$G", subject, queue, weight }
}

#[test]
fn clients_and_parts_of_the_server_get_what_they_listen_to_in_their_account() {
    let router = RouterHandle::new();
    let (global, other) = (router.account("$G"), router.account("A"));
    let (here, there, part) = (client(&router), client(&router), Arc::new(Notes::default()));
    subscribe(&here, &global, "a.*", None);
    subscribe(&there, &other, "a.*", None);
    let part_target: Arc<dyn Deliver> = part.clone();
    let subscription =
        router.subscribe_internal(&global, ">", None, Scope::Server, part_target).unwrap();

    assert!(publish(&router, &global, "a.b", Origin::Server));
    assert_eq!(received(&here), "MSG a.b a.*: 1\r\nx\r\n");
    assert_eq!(received(&there), "");
    assert_eq!(part.take(), ["a.b x"]);

    drop(subscription);
    here.unsubscribe_all();
    assert!(!publish(&router, &global, "a.b", Origin::Server));
    assert_eq!(global.subscription_count(), 0);
    assert!(other.has_interest("a.b"));
}

#[test]
fn a_batch_wakes_nobody_before_it_ends_and_counts_what_it_queued() {
    let router = RouterHandle::new();
    let global = router.account("$G");
    let listener = client(&router);
    subscribe(&listener, &global, "a", None);
    let payload = Bytes::from_static(b"xyz");
    let mut batch = router.batch();
    for _ in 0..3 {
        batch.publish(&Message {
            account: &global,
            subject: "a",
            shown: None,
            reply: None,
            headers: None,
            payload: &payload,
            origin: Origin::Server,
        });
    }
    assert_eq!(listener.outbox.pending(), 0);
    drop(batch);
    assert_eq!(received(&listener), "MSG a a: 3\r\nxyz\r\n".repeat(3));
    let traffic = router.traffic().snapshot();
    assert_eq!((traffic.out_messages, traffic.out_bytes), (3, 9));
}

#[test]
fn a_client_hears_itself_only_if_it_wants_to() {
    let router = RouterHandle::new();
    let global = router.account("$G");
    let own = client(&router);
    subscribe(&own, &global, "a", None);
    let origin = |echo| Origin::Client { connection: own.id(), echo };
    assert!(!publish(&router, &global, "a", origin(false)));
    assert!(publish(&router, &global, "a", origin(true)));
    assert_eq!(received(&own).matches("MSG").count(), 1);
}

#[test]
fn a_subscription_ends_with_its_last_message() {
    let router = RouterHandle::new();
    let global = router.account("$G");
    let listener = client(&router);
    subscribe(&listener, &global, "a", None);
    publish(&router, &global, "a", Origin::Server);
    listener.unsubscribe(b"a:", Some(3));
    let mut batch = router.batch();
    let payload = Bytes::new();
    let reached: Vec<_> = (0..4)
        .map(|_| {
            batch.publish(&Message {
                account: &global,
                subject: "a",
                shown: None,
                reply: None,
                headers: None,
                payload: &payload,
                origin: Origin::Server,
            })
        })
        .collect();
    assert_eq!(reached, [true, true, false, false]);
    drop(batch);
    assert_eq!(received(&listener).matches("MSG").count(), 3);
    assert_eq!(global.subscription_count(), 0);
    assert_eq!(listener.subscription_count(), 0);
}

#[test]
fn one_member_of_a_group_gets_each_message_and_all_get_their_share() {
    let router = RouterHandle::new();
    let global = router.account("$G");
    let members: Vec<_> = (0..3).map(|_| client(&router)).collect();
    for member in &members {
        subscribe(member, &global, "a", Some("q"));
    }
    // Members on other servers get nothing while there is one here.
    router.remote_interest(PeerId(1), interest("a", Some("q"), 100)).unwrap();
    for _ in 0..300 {
        assert!(publish(&router, &global, "a", Origin::Server));
    }
    let shares: Vec<_> =
        members.iter().map(|member| received(member).matches("MSG").count()).collect();
    assert_eq!(shares.iter().sum::<usize>(), 300);
    assert!(shares.iter().all(|share| (50..150).contains(share)), "{shares:?}");

    // One that is closed, or must not hear itself, leaves it to the others.
    members[0].outbox.close(CloseReason::ServerShutdown);
    let origin = Origin::Client { connection: members[1].id(), echo: false };
    for _ in 0..20 {
        assert!(publish(&router, &global, "a", origin));
    }
    assert_eq!(received(&members[2]).matches("MSG").count(), 20);
}

#[test]
fn every_peer_with_interest_gets_a_message_once() {
    let (router, peers) = (RouterHandle::new(), Arc::new(Notes::default()));
    router.connect_peers(peers.clone()).unwrap();
    assert_eq!(router.connect_peers(peers.clone()), Err(AlreadyConnected));
    let global = router.account("$G");
    for subject in ["a.*", "a.>", "a.b"] {
        router.remote_interest(PeerId(1), interest(subject, None, 1)).unwrap();
    }
    router.remote_interest(PeerId(2), interest("a.b", Some("q"), 1)).unwrap();
    router.remote_interest(PeerId(2), interest("a.b", Some("r"), 1)).unwrap();
    assert!(publish(&router, &global, "a.b", Origin::Server));
    let mut sent = peers.take();
    sent.sort();
    assert_eq!(sent, ["a.b to 1 []", r#"a.b to 2 ["q", "r"]"#]);

    assert!(!publish(&router, &global, "a.b", Origin::Peer(PeerId(3))), "not to a third server");
    router.peer_gone(PeerId(1));
    router.remote_interest(PeerId(2), interest("a.b", Some("q"), 0)).unwrap();
    assert!(publish(&router, &global, "a.b", Origin::Server));
    assert_eq!(peers.take(), [r#"a.b to 2 ["r"]"#]);
}

#[test]
fn a_group_is_served_by_servers_in_proportion_to_their_members() {
    let (router, peers) = (RouterHandle::new(), Arc::new(Notes::default()));
    router.connect_peers(peers.clone()).unwrap();
    let global = router.account("$G");
    router.remote_interest(PeerId(1), interest("a", Some("q"), 1)).unwrap();
    router.remote_interest(PeerId(2), interest("a", Some("q"), 3)).unwrap();
    for _ in 0..400 {
        assert!(publish(&router, &global, "a", Origin::Server));
    }
    let sent = peers.take();
    assert_eq!(sent.len(), 400);
    let light = sent.iter().filter(|note| note.starts_with("a to 1")).count();
    assert!((50..150).contains(&light), "{light} of 400");
}

#[test]
fn a_message_from_a_peer_reaches_plain_subscribers_and_the_chosen_groups() {
    let router = RouterHandle::new();
    let global = router.account("$G");
    let listener = client(&router);
    subscribe(&listener, &global, "a", None);
    subscribe(&listener, &global, "a", Some("q"));
    subscribe(&listener, &global, "a", Some("r"));
    let message = Message {
        account: &global,
        subject: "a",
        shown: None,
        reply: Some("back"),
        headers: None,
        payload: &Bytes::from_static(b"x"),
        origin: Origin::Peer(PeerId(1)),
    };
    assert!(router.batch_from_peer().deliver(&message, &["r", "unknown"]));
    assert_eq!(received(&listener), "MSG a a: back 1\r\nx\r\nMSG a a:r back 1\r\nx\r\n");
    assert!(router.batch_from_peer().deliver(&message, &[]));
    assert_eq!(received(&listener), "MSG a a: back 1\r\nx\r\n");
}

#[test]
fn peers_are_told_what_clients_listen_to() {
    let (router, peers) = (RouterHandle::new(), Arc::new(Notes::default()));
    let account = router.account("A");
    let early = client(&router);
    subscribe(&early, &account, "a", None);
    router.connect_peers(peers.clone()).unwrap();
    let mut known = Vec::new();
    account.visit_interest(|interest| known.push((interest.subject.to_owned(), interest.weight)));
    assert_eq!(known, [("a".to_owned(), 1)]);

    let late = client(&router);
    subscribe(&late, &account, "a", None);
    subscribe(&late, &account, "a", Some("q"));
    subscribe(&early, &account, "a", Some("q"));
    late.unsubscribe_all();
    early.unsubscribe_all();
    assert_eq!(
        peers.take(),
        [
            r#"A a Some("q") 1"#,
            r#"A a Some("q") 2"#,
            r#"A a Some("q") 1"#,
            "A a None 0",
            r#"A a Some("q") 0"#
        ]
    );
}

#[test]
fn nobody_listening_is_told_to_the_one_who_asked() {
    let router = RouterHandle::new();
    let global = router.account("$G");
    let (asking, other) = (client(&router), client(&router));
    subscribe(&asking, &global, "_INBOX.*", None);
    subscribe(&other, &global, "_INBOX.1", None);
    router.batch_of(asking.id()).no_responders(&asking, &global, "x", "_INBOX.1");
    assert_eq!(
        received(&asking),
        "HMSG _INBOX.1 _INBOX.*: 33 33\r\nNATS/1.0 503\r\nNats-Subject: x\r\n\r\n\r\n"
    );
    assert_eq!(received(&other), "");
}

/// Publishes once more for every message it gets, as parts of the server do.
struct Echo(RouterHandle);

impl Deliver for Echo {
    fn deliver(&self, message: &Message<'_>) {
        self.0.publish_internal(message.account, "answer", None, None, message.payload);
    }
}

#[test]
fn a_part_of_the_server_may_publish_while_it_takes_a_message() {
    let router = RouterHandle::new();
    let global = router.account("$G");
    let listener = client(&router);
    subscribe(&listener, &global, "answer", None);
    let part = Arc::new(Echo(router.clone()));
    let _subscription =
        router.subscribe_internal(&global, "ask", None, Scope::Cluster, part).unwrap();
    publish(&router, &global, "ask", Origin::Server);
    assert_eq!(received(&listener), "MSG answer answer: 1\r\nx\r\n");
}
