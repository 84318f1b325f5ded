//! The command line over the file, and a reload of both.

use std::path::Path;

use flotilla_config::{
    Configuration, MemorySource, Options, Overrides, Port, Secret, load, reload_diff,
};

fn load_with(text: &str, overrides: &Overrides) -> Result<Configuration, String> {
    let source = MemorySource::with_file("x.conf", text);
    load(Some(Path::new("x.conf")), &source, overrides).map_err(|error| error.to_string())
}

fn options(text: &str) -> Options {
    load_with(text, &Overrides::default()).unwrap_or_else(|error| panic!("{text}\n{error}")).options
}

#[test]
fn the_command_line_wins_over_the_file() {
    let file = "server_name: a, port: 1, http: 127.0.0.1:2, debug: true
                jetstream { store_dir: /x, max_mem: 5 }
                cluster { name: C, listen: 3, routes: [nats://r:1] }";
    let overrides = Overrides {
        server_name: Some("b".to_owned()),
        port: Some(Port::Any),
        monitor_port: Port::from_number(8222),
        debug: Some(false),
        trace_verbose: Some(true),
        store_dir: Some("/y".into()),
        cluster_listen: Some(Secret::new("nats://u:p%40@0.0.0.0:6222")),
        routes: Some(Secret::new("nats://s:1, quic://t")),
        ..Overrides::default()
    };
    let options = load_with(file, &overrides).unwrap().options;
    assert_eq!(options.server_name.as_deref(), Some("b"));
    assert_eq!(options.port, Port::Any);
    assert_eq!(options.monitor.as_ref().unwrap().to_string(), "127.0.0.1:8222");
    assert!(!options.logging.debug && options.logging.trace);
    assert_eq!(options.store_dir(), Some(Path::new("/y")));
    assert_eq!(options.jetstream.as_ref().unwrap().max_memory_store, Some(5));
    assert_eq!(options.cluster.listen.as_ref().unwrap().to_string(), "0.0.0.0:6222");
    let authorization = options.cluster.authorization.unwrap();
    assert_eq!((authorization.user.as_str(), authorization.password.expose()), ("u", "p@"));
    let routes: Vec<String> = options.cluster.routes.iter().map(ToString::to_string).collect();
    assert_eq!(routes, ["nats://s:1", "quic://t:6222"]);
}

#[test]
fn rules_hold_for_what_the_command_line_says_too() {
    let source = MemorySource::default();
    let fails = |overrides: &Overrides| load(None, &source, overrides).unwrap_err().to_string();
    let said = fails(&Overrides { password: Some(Secret::new("x")), ..Overrides::default() });
    assert_eq!(said, "command line: --pass needs --user");
    let said = fails(&Overrides { server_name: Some("a b".to_owned()), ..Overrides::default() });
    assert_eq!(said, "command line: server name cannot contain spaces");
    let said = fails(&Overrides {
        jetstream: Some(true),
        cluster_listen: Some(Secret::new(":6222")),
        cluster_name: Some("C".to_owned()),
        ..Overrides::default()
    });
    assert_eq!(said, "jetstream cluster requires `server_name` to be set");

    let both = Overrides {
        user: Some("u".to_owned()),
        token: Some(Secret::new("t")),
        ..Overrides::default()
    };
    assert!(load_with("", &both).unwrap_err().contains("Cannot have a user/pass and token"));
}

#[test]
fn without_a_file_there_is_no_digest() {
    let none = load(None, &MemorySource::default(), &Overrides::default()).unwrap();
    assert_eq!((none.digest, none.options), (None, Options::default()));
}

#[test]
fn a_reload_changes_what_it_can() {
    let old = options("debug: false, authorization { user: a, pass: s3cret }, max_payload: 1MB");
    let new = options(
        "debug: true, authorization { user: a, pass: n3w }, max_payload: 2MB
         ping_interval: \"30s\", log_file: /tmp/x",
    );
    let changes = reload_diff(&old, &new).unwrap();
    let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "debug: old=false, new=true",
            "log_file: old=None, new=Some(\"/tmp/x\")",
            "max_payload: old=1048576, new=2097152",
            "ping_interval: old=2m, new=30s",
            "authorization",
        ]
    );
    assert_eq!(reload_diff(&old, &old), Ok(vec![]));
}

#[test]
fn a_reload_is_all_or_nothing() {
    let old = options("server_name: a, debug: false");
    let new = options("server_name: b, debug: true, port: 5, jetstream: true");
    let refused = reload_diff(&old, &new).unwrap_err();
    let shown: Vec<String> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 3);
    assert_eq!(
        shown[1],
        "config reload not supported for port: old=4222, new=5; restart the server for it"
    );
}
