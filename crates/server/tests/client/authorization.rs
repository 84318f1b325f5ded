//! Who may connect, and what accounts keep apart.

use std::time::Duration;

use crate::wire::{WireClient, play, start};
use flotilla_server_core::{AuthOptions, ClientOptions, User};

fn users() -> AuthOptions {
    let user = |name: &str, account: &str| User {
        name: name.into(),
        password: format!("{name}-secret"),
        account: account.into(),
    };
    AuthOptions { users: vec![user("a", "A"), user("b", "B")], ..AuthOptions::default() }
}

#[tokio::test]
async fn accounts_do_not_hear_each_other() {
    let listener = start(ClientOptions { auth: users(), ..ClientOptions::default() }).await;
    play(
        listener.local_addr(),
        r#"A> CONNECT {"verbose":false,"user":"a","pass":"a-secret"}
           A> SUB > 1
           A> PING
           A< PONG
           B> CONNECT {"verbose":false,"user":"b","pass":"b-secret"}
           B> SUB > 1
           B> PUB x 1
           B> b
           B< MSG x 1 1
           B< b
           A> PUB y 1
           A> a
           A< MSG y 1 1
           A< a"#,
    )
    .await;
    let accounts: Vec<_> =
        listener.connections().into_iter().map(|it| (it.account, it.user)).collect();
    let expected = [("A", "a"), ("B", "b")].map(|(a, u)| (Some(a.into()), Some(u.into())));
    assert_eq!(accounts, expected);
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_violations() {
    let listener = start(ClientOptions { auth: users(), ..ClientOptions::default() }).await;
    let addr = listener.local_addr();
    assert!(WireClient::connect(addr).await.info.auth_required);
    for opening in [
        r#"CONNECT {"user":"a","pass":"wrong"}"#,
        r#"CONNECT {"user":"nobody","pass":"a-secret"}"#,
        r#"CONNECT {"auth_token":"a-secret"}"#,
        "CONNECT {}",
        "PING",
        "SUB a 1",
        "GET / HTTP/1.1",
    ] {
        play(addr, &format!("A> {opening}\nA< -ERR 'Authorization Violation'\nA< EOF")).await;
    }
    play(
        addr,
        r#"A> CONNECT {"verbose":false,"user":"a","pass":"a-secret"}
           A> CONNECT {"verbose":false,"user":"a","pass":"b-secret"}
           A< -ERR 'Authorization Violation'
           A< EOF"#,
    )
    .await;
}

#[tokio::test]
async fn a_token_is_enough() {
    let auth = AuthOptions { token: Some("s3cr3t".into()), ..AuthOptions::default() };
    let listener = start(ClientOptions { auth, ..ClientOptions::default() }).await;
    play(
        listener.local_addr(),
        r#"A> CONNECT {"verbose":false,"auth_token":"s3cr3t"}
           A> PING
           A< PONG
           B> CONNECT {"verbose":false,"auth_token":"guess"}
           B< -ERR 'Authorization Violation'
           B< EOF"#,
    )
    .await;
}

#[tokio::test]
async fn who_says_nothing_is_sent_away() {
    let auth_timeout = Duration::from_millis(20);
    let options = ClientOptions { auth: users(), auth_timeout, ..ClientOptions::default() };
    let listener = start(options).await;
    play(listener.local_addr(), "A< -ERR 'Authentication Timeout'\nA< EOF").await;
}

#[tokio::test]
async fn a_no_auth_user_needs_no_connect() {
    let auth = AuthOptions { no_auth_user: Some("b".into()), ..users() };
    let listener = start(ClientOptions { auth, ..ClientOptions::default() }).await;
    play(listener.local_addr(), "A> PING\nA< PONG").await;
    assert_eq!(listener.connections()[0].account.as_deref(), Some("B"));
}
