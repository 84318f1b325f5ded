//! What a client sees of the protocol, as transcripts. Each was compared with the reference server.

use crate::wire::{play, start};
use flotilla_server_core::ClientOptions;

async fn plays(transcript: &str) {
    let listener = start(ClientOptions::default()).await;
    play(listener.local_addr(), transcript).await;
}

#[tokio::test]
async fn who_asks_for_nothing_gets_confirmations_and_its_own_messages() {
    plays(
        "A> CONNECT {}
         A< +OK
         A> PING
         A< PONG
         A> SUB a 1
         A< +OK
         A> PUB a 1
         A> x
         A< +OK
         A< MSG a 1 1
         A< x
         A> UNSUB 1
         A< +OK
         A> PUB a 1
         A> x
         A< +OK
         A> PING
         A< PONG",
    )
    .await;
}

#[tokio::test]
async fn confirmations_are_on_before_connect() {
    plays(
        "A> SUB a 1
         A< +OK
         A> PUB a 0
         A> 
         A< +OK
         A< MSG a 1 0
         A< ",
    )
    .await;
}

#[tokio::test]
async fn messages_go_from_client_to_client_with_replies_and_headers() {
    plays(
        r#"A> CONNECT {"verbose":false,"headers":true}
           B> CONNECT {"verbose":false}
           A> SUB a.* 7
           A> PING
           A< PONG
           B> SUB a.> 8
           B> PUB a.b reply.to 5
           B> hello
           B< MSG a.b 8 reply.to 5
           B< hello
           A< MSG a.b 7 reply.to 5
           A< hello
           A> HPUB a.b 18 20
           A> NATS/1.0
           A> K: v
           A> 
           A> hi
           A< HMSG a.b 7 18 20
           A< NATS/1.0
           A< K: v
           A< 
           A< hi
           B< MSG a.b 8 2
           B< hi"#,
    )
    .await;
}

#[tokio::test]
async fn headers_without_having_asked_for_them_close_without_a_word() {
    plays(
        r#"A> CONNECT {"verbose":false}
           A> HPUB a 12 12
           A> NATS/1.0
           A> 
           A> 
           A< EOF"#,
    )
    .await;
}

#[tokio::test]
async fn a_request_that_nobody_hears_is_answered_at_once() {
    plays(
        r#"A> CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}
           A> SUB r 1
           A> PUB a..b r 1
           A> x
           A< HMSG r 1 36 36
           A< NATS/1.0 503
           A< Nats-Subject: a..b
           A< 
           A< 
           A> PUB x r 0
           A> 
           A< HMSG r 1 33 33
           A< NATS/1.0 503
           A< Nats-Subject: x
           A< 
           A< 
           A> PUB x 0
           A> 
           A> PING
           A< PONG"#,
    )
    .await;
}

#[tokio::test]
async fn echo_can_be_switched_off() {
    plays(
        r#"A> CONNECT {"verbose":false,"echo":false}
           A> SUB a 1
           A> PUB a 1
           A> x
           A> PING
           A< PONG
           B> CONNECT {"verbose":false}
           B> PUB a 1
           B> y
           A< MSG a 1 1
           A< y"#,
    )
    .await;
}

#[tokio::test]
async fn unsub_with_a_maximum_counts_from_the_beginning() {
    plays(
        r#"A> CONNECT {"verbose":false}
           A> SUB a 1
           A> PUB a 1
           A> x
           A< MSG a 1 1
           A< x
           A> UNSUB 1 2
           A> PUB a 1
           A> y
           A> PUB a 1
           A> z
           A> PING
           A< MSG a 1 1
           A< y
           A< PONG
           A> SUB a 1
           A> UNSUB 1 x
           A> PUB a 1
           A> z
           A> PING
           A< PONG"#,
    )
    .await;
}

#[tokio::test]
async fn a_name_that_is_in_use_stays_with_its_subscription() {
    plays(
        r#"A> CONNECT {"verbose":false}
           A> SUB a 1
           A> SUB b 1
           A> PUB b 1
           A> x
           A> PUB a 1
           A> y
           A< MSG a 1 1
           A< y"#,
    )
    .await;
}

#[tokio::test]
async fn complaints_that_keep_the_connection() {
    plays(
        r#"A> CONNECT {"verbose":false,"pedantic":true}
           A> SUB > 1
           A> SUB a..b 2
           A< -ERR 'Invalid Subject'
           A> SUB >.a 3
           A< -ERR 'Invalid Subject'
           A> PUB a.* 1
           A> x
           A< -ERR 'Invalid Publish Subject'
           A< MSG a.* 1 1
           A< x
           A> PUB a..b 1
           A> x
           A< -ERR 'Invalid Publish Subject'
           A> PING
           A< PONG"#,
    )
    .await;
}

#[tokio::test]
async fn violations_that_close() {
    plays(
        r#"A> GET / HTTP/1.1
           A< -ERR 'Unknown Protocol Operation'
           A< EOF
           B> CONNECT {"verbose":false}
           B> PUB a 1
           B> xyz
           B< -ERR 'Unknown Protocol Operation'
           B< EOF
           C> PUB a 2000000
           C< -ERR 'Maximum Payload Violation'
           C< EOF
           D> PUB a x
           D< EOF
           E> CONNECT {x
           E< EOF
           F> CONNECT {"protocol":2}
           F< -ERR 'invalid client protocol'
           F< EOF
           G> CONNECT {"no_responders":true}
           G< -ERR 'no responders requires headers support'
           G< EOF"#,
    )
    .await;
}

#[tokio::test]
async fn a_second_connect_ends_the_subscriptions_of_the_first() {
    plays(
        r#"A> CONNECT {"verbose":false}
           A> SUB a 1
           A> CONNECT {"verbose":false}
           A> PUB a 1
           A> x
           A> PING
           A< PONG"#,
    )
    .await;
}

#[tokio::test]
async fn one_member_of_a_queue_group_gets_a_message() {
    plays(
        r#"A> CONNECT {"verbose":false}
           A> SUB a q 1
           A> SUB a q 1
           A> SUB a other 2
           A> PUB a 1
           A> x
           A< MSG a 1 1
           A< x
           A< MSG a 2 1
           A< x
           A> PING
           A< PONG"#,
    )
    .await;
}
