//! From the first INFO to the last byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::wire::{QUIET, WireClient, start, start_with};
use flotilla_proto::Info;
use flotilla_server_core::{
    AuthOptions, ClientOptions, CloseReason, ConnectionInfo, ConnectionObserver, RouterHandle, User,
};

fn options() -> ClientOptions {
    let info = Info {
        server_id: "NSERVER".into(),
        server_name: "one".into(),
        version: "2.10.29".into(),
        cluster: "C".into(),
        ..Info::default()
    };
    ClientOptions { info, ..ClientOptions::default() }
}

#[tokio::test]
async fn info_says_who_the_server_and_the_client_are() {
    let listener = start(options()).await;
    let addr = listener.local_addr();
    let info = WireClient::connect(addr).await.info;
    assert_eq!((info.server_name.as_str(), info.version.as_str()), ("one", "2.10.29"));
    assert_eq!((info.proto, info.headers, info.max_payload), (1, true, 1 << 20));
    assert_eq!((info.host.as_str(), info.port), ("127.0.0.1", addr.port()));
    assert_eq!((info.client_ip.as_str(), info.client_id), ("127.0.0.1", 1));
    assert!(!info.auth_required && !info.connect_info);
    assert_eq!(WireClient::connect(addr).await.info.client_id, 2);
}

#[tokio::test]
async fn the_first_pong_is_followed_by_an_info_for_those_who_take_it() {
    let listener = start(options()).await;
    let mut new = WireClient::connect(listener.local_addr()).await;
    new.send(&format!("{QUIET}\r\nPING\r\nPING")).await;
    assert_eq!(new.line().await, "PONG");
    let info = new.info().await;
    assert!(info.connect_info);
    assert_eq!(info.remote_account, "$G");
    assert_eq!(new.line().await, "PONG");

    let mut old = WireClient::connect(listener.local_addr()).await;
    old.send(r#"CONNECT {"verbose":false}"#).await;
    old.settle().await;
    old.settle().await;
}

#[tokio::test]
async fn a_change_of_topology_is_told_to_those_who_take_it() {
    let listener = start(options()).await;
    let addr = listener.local_addr();
    let mut new = WireClient::ready(addr).await;
    let mut old = WireClient::connect(addr).await;
    old.send(r#"CONNECT {"verbose":false}"#).await;
    old.settle().await;

    let urls = vec!["10.0.0.1:4222".to_owned(), "10.0.0.2:4222".to_owned()];
    listener.update_info(|info| info.connect_urls.clone_from(&urls));
    listener.update_info(|info| info.connect_urls.clone_from(&urls));
    let info = new.info().await;
    assert_eq!(info.connect_urls, urls);
    assert_eq!(info.client_id, new.info.client_id);
    // Once for one change, and not at all to a client of the old protocol.
    new.settle().await;
    old.settle().await;
    assert_eq!(WireClient::connect(addr).await.info.connect_urls, urls);
}

#[tokio::test]
async fn a_lame_duck_tells_its_clients_and_then_lets_them_go() {
    let listener = start(options()).await;
    let addr = listener.local_addr();
    let mut client = WireClient::ready(addr).await;
    let leaving = async {
        assert!(client.info().await.lame_duck_mode);
        assert_eq!(client.line().await, "EOF");
    };
    let grace = Duration::from_millis(1);
    tokio::join!(listener.lame_duck(grace, Duration::from_millis(1)), leaving);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "nobody is let in any more");
}

#[tokio::test]
async fn shutdown_writes_what_waits_and_ends() {
    let router = RouterHandle::new();
    let listener = start_with(options(), router.clone()).await;
    let mut client = WireClient::ready(listener.local_addr()).await;
    client.send("SUB a 1").await;
    client.settle().await;
    let account = router.account("$G");
    router.publish_internal(&account, "a", Some("r"), None, &"last words".into());
    let reading = async {
        let mut said = Vec::new();
        while said.last().is_none_or(|line| line != "EOF") {
            said.push(client.line().await);
        }
        said
    };
    let ((), said) = tokio::join!(listener.shutdown(), reading);
    assert_eq!(said, ["MSG a 1 r 10", "last words", "EOF"]);
    assert_eq!(listener.connection_count(), 0);
    assert!(!account.has_interest("a"));
}

#[tokio::test]
async fn an_operator_sees_and_closes_connections() {
    let router = RouterHandle::new();
    let listener = start_with(options(), router.clone()).await;
    let addr = listener.local_addr();
    let mut named = WireClient::connect(addr).await;
    named.send(r#"CONNECT {"verbose":false,"name":"worker","lang":"rust","version":"1"}"#).await;
    named.send("SUB a.* q 1\r\nPUB a.b 5\r\nhello").await;
    assert_eq!(named.line().await, "MSG a.b 1 5");
    assert_eq!(named.line().await, "hello");

    let [info] = &listener.connections()[..] else { panic!("one connection") };
    assert_eq!(info.name.as_deref(), Some("worker"));
    assert_eq!((info.in_messages, info.in_bytes, info.out_messages, info.out_bytes), (1, 5, 1, 5));
    assert_eq!((info.subscriptions, info.account.as_deref()), (1, Some("$G")));
    let subscriptions = listener.subscriptions(info.id).unwrap();
    assert_eq!(subscriptions[0].subject, "a.*");
    assert_eq!((subscriptions[0].queue.as_deref(), subscriptions[0].delivered), (Some("q"), 1));
    let traffic = router.traffic().snapshot();
    assert_eq!((traffic.in_messages, traffic.in_bytes, traffic.connections_accepted), (1, 5, 1));

    assert!(listener.kick(info.id));
    assert_eq!(named.line().await, "EOF");
    drop(named);
    while listener.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!listener.kick(info.id));
    assert!(!router.account("$G").has_interest("a.b"));
}

#[tokio::test]
async fn a_reload_applies_to_those_who_are_here() {
    let auth = |names: &[&str]| AuthOptions {
        users: names.iter().map(|name| user(name)).collect(),
        ..AuthOptions::default()
    };
    let before = ClientOptions { auth: auth(&["a", "b"]), ..options() };
    let listener = start(before.clone()).await;
    let addr = listener.local_addr();
    let (mut stays, mut goes) = (signed_in(addr, "a").await, signed_in(addr, "b").await);
    listener.reload(ClientOptions { auth: auth(&["a"]), max_payload: 3, ..before.clone() });
    assert_eq!(goes.info().await.max_payload, 3);
    assert_eq!(goes.line().await, "-ERR 'Authorization Violation'");
    assert_eq!(goes.line().await, "EOF");
    assert_eq!(stays.info().await.max_payload, 3);
    stays.settle().await;
    stays.send("PUB a 4").await;
    assert_eq!(stays.line().await, "-ERR 'Maximum Payload Violation'");

    let (mut old, mut new) = (signed_in(addr, "a").await, signed_in(addr, "a").await);
    let others_gone = async {
        while listener.connection_count() > 2 {
            tokio::task::yield_now().await;
        }
    };
    drop((goes, stays));
    others_gone.await;
    listener.reload(ClientOptions { max_connections: 1, max_payload: 3, ..before });
    assert_eq!(new.line().await, "-ERR 'maximum connections exceeded'");
    assert_eq!(new.line().await, "EOF");
    old.settle().await;
}

fn user(name: &str) -> User {
    User { name: name.into(), password: "pw".into(), account: "A".into() }
}

async fn signed_in(addr: SocketAddr, name: &str) -> WireClient {
    let mut client = WireClient::connect(addr).await;
    client
        .send(&format!(r#"CONNECT {{"verbose":false,"protocol":1,"user":"{name}","pass":"pw"}}"#))
        .await;
    client.settle().await;
    assert!(client.info().await.connect_info);
    client
}

/// Notes who came and went.
#[derive(Default)]
struct Guests(Mutex<Vec<String>>);

impl ConnectionObserver for Guests {
    fn connected(&self, connection: &ConnectionInfo) {
        self.0.lock().unwrap().push(format!("{:?} came", connection.name));
    }

    fn disconnected(&self, connection: &ConnectionInfo, reason: CloseReason) {
        self.0.lock().unwrap().push(format!("{:?} went: {reason}", connection.name));
    }
}

#[tokio::test]
async fn who_observes_hears_of_clients_that_come_and_go() {
    let listener = start(options()).await;
    let guests = Arc::new(Guests::default());
    assert!(listener.observe(guests.clone()));
    let mut client = WireClient::connect(listener.local_addr()).await;
    client.send(r#"CONNECT {"verbose":false,"name":"n"}"#).await;
    client.send("CONNECT {}\r\nNONSENSE").await;
    for line in ["+OK", "-ERR 'Unknown Protocol Operation'", "EOF"] {
        assert_eq!(client.line().await, line);
    }
    drop(client);
    listener.shutdown().await;
    assert_eq!(*guests.0.lock().unwrap(), [r#"Some("n") came"#, "None went: Parse Error"]);
}
