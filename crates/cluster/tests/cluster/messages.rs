//! Core NATS across servers.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_server_core::{Deliver, Message, Origin, RouterHandle, Scope};

use crate::node::{Node, Received, Setup, eventually};

#[test]
fn a_message_reaches_subscribers_on_every_server_once() {
    let nodes = Node::plain(&["a", "b", "c"]);
    let subscribers: Vec<_> = nodes.iter().map(|node| node.subscribe("news.*", None)).collect();
    let twice = nodes[1].subscribe("news.>", None);
    nodes.iter().for_each(|node| node.hears_of("news.x"));
    eventually("interest of both", || nodes[0].handle.peers().iter().all(|peer| peer.alive));
    let last = nodes[2].subscribe("last", None);
    nodes[0].hears_of("last");

    let headers = Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n");
    let payload = Bytes::from_static(b"hello");
    let message = Message {
        account: &nodes[0].global(),
        subject: "news.x",
        shown: Some("shown.x"),
        reply: Some("back"),
        headers: Some(&headers),
        payload: &payload,
        origin: Origin::Server,
    };
    nodes[0].hears_of("news.x.y");
    assert!(nodes[0].router.batch().publish(&message));
    nodes[0].publish("last", None, "");
    let expected = Received {
        subject: "shown.x".to_owned(),
        reply: Some("back".to_owned()),
        headers: Some(headers),
        payload: "hello".to_owned(),
    };
    for subscriber in subscribers.iter().chain([&twice]) {
        assert_eq!(subscriber.next(), expected);
    }
    last.next();
    assert!(subscribers[2].so_far().is_empty(), "once");
}

#[test]
fn interest_from_before_the_link_is_known_after_it_and_ends_with_the_subscription() {
    let first = Setup::new("a", None).start();
    let early = first.subscribe("early", None);
    let second = Setup::new("b", Some(&first)).start();
    second.hears_of("early");
    assert!(second.publish("early", None, "x"));
    assert_eq!(early.next().payload, "x");
    drop(early);
    eventually("the end of the interest", || !second.global().has_interest("early"));
    assert!(!second.publish("early", None, "x"), "no responders");
}

#[test]
fn subscriptions_that_come_and_go_while_servers_meet_are_stated_right_in_the_end() {
    let first = Setup::new("a", None).start();
    let stays: Vec<_> = (0..500).map(|n| first.subscribe(&format!("stays.{n}"), None)).collect();
    let second = Setup::new("b", Some(&first)).start();
    let mut kept = Vec::new();
    while first.handle.peers().iter().all(|peer| !peer.linked) || kept.len() < 200 {
        let n = kept.len();
        kept.push(first.subscribe(&format!("comes.{n}"), None));
        drop(first.subscribe(&format!("goes.{n}"), None));
    }
    // The last in every list: who knows of it knows the rest.
    let done = first.subscribe("z.done", None);
    second.hears_of("z.done");
    let there = second.global();
    assert!((0..stays.len()).all(|n| there.has_interest(&format!("stays.{n}"))));
    assert!((0..kept.len()).all(|n| there.has_interest(&format!("comes.{n}"))));
    assert!((0..kept.len()).all(|n| !there.has_interest(&format!("goes.{n}"))));
    drop(done);
}

#[test]
fn of_a_queue_group_that_spans_servers_one_member_gets_each_message() {
    let nodes = Node::plain(&["a", "b", "c"]);
    let members = [0, 1].map(|at| nodes[at].subscribe("work", Some("q")));
    let all = nodes[1].subscribe("work", None);
    let ends = [0, 1].map(|at| nodes[at].subscribe("end", None));
    nodes[0].hears_of("end");
    // The interest of each server comes in its order: who knows of its "end" knows all.
    let knows = |node: &Node| node.global().subscription_count() == 0;
    assert!(knows(&nodes[2]));
    let probe = nodes[2].subscribe("probe", None);
    for (node, end) in nodes[..2].iter().zip(&ends) {
        eventually("both servers' interest", || {
            nodes[2].publish("end", None, "");
            !end.so_far().is_empty()
        });
        node.hears_of("probe");
    }
    for n in 0..200 {
        assert!(nodes[2].publish("work", None, &n.to_string()));
    }
    let mut plain: Vec<u32> = (0..200).map(|_| all.next().payload.parse().unwrap()).collect();
    plain.sort_unstable();
    let mut got = Vec::new();
    eventually("all of them", || {
        got.extend(members.iter().map(|member| member.so_far()).collect::<Vec<_>>().concat());
        got.len() >= 200
    });
    let mut got: Vec<u32> = got.iter().map(|message| message.payload.parse().unwrap()).collect();
    got.sort_unstable();
    let expected: Vec<u32> = (0..200).collect();
    assert_eq!(got, expected, "each once");
    assert_eq!(plain, expected, "each once");
    drop(probe);

    // A member here goes before any elsewhere.
    for _ in 0..20 {
        nodes[0].publish("work", None, "0");
        assert_eq!(members[0].next().payload, "0");
    }
}

/// Answers each request with its payload.
struct Echo(RouterHandle);

impl Deliver for Echo {
    fn deliver(&self, message: &Message<'_>) {
        if let Some(reply) = message.reply {
            self.0.publish_internal(message.account, reply, None, None, message.payload);
        }
    }
}

#[test]
fn a_request_never_overtakes_the_interest_in_its_reply() {
    let nodes = Node::plain(&["a", "b"]);
    let echo = Arc::new(Echo(nodes[1].router.clone()));
    let account = nodes[1].global();
    let service = nodes[1].router.subscribe_internal(&account, "echo", None, Scope::Cluster, echo);
    nodes[0].hears_of("echo");
    for n in 0..300 {
        let inbox = format!("_INBOX.{n}");
        let reply = nodes[0].subscribe(&inbox, None);
        assert!(nodes[0].publish("echo", Some(&inbox), &n.to_string()));
        assert_eq!(reply.next().payload, n.to_string());
    }
    drop(service);
    eventually("no responders", || !nodes[0].publish("echo", Some("r"), ""));
}

#[test]
fn a_killed_server_is_forgotten_and_welcome_again() {
    let first = Setup::new("a", None).start();
    let second = Setup::new("b", Some(&first)).start();
    let subscriber = second.subscribe("topic", None);
    first.hears_of("topic");
    let router = second.kill();
    eventually("its interest ends", || !first.global().has_interest("topic"));
    eventually("it is not linked", || first.handle.peers().iter().all(|peer| !peer.alive));
    drop((router, subscriber));

    let again = Setup { boot: 2, ..Setup::new("b", Some(&first)) }.start();
    let subscriber = again.subscribe("topic", None);
    first.hears_of("topic");
    first.publish("topic", None, "x");
    assert_eq!(subscriber.next().payload, "x");
}

#[test]
fn clients_are_told_where_other_servers_are() {
    let mut nodes = Node::plain(&["a", "b", "c"]);
    let urls = |node: &Node| node.client_urls.lock().unwrap().clone();
    eventually("all others", || urls(&nodes[0]) == ["b:4222", "c:4222"]);
    nodes.remove(1).shutdown();
    eventually("the one that is left", || urls(&nodes[0]) == ["c:4222"]);
}
