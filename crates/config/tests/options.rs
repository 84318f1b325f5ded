//! Options as an operator writes them: what they mean, and what is said when they are wrong.

use std::path::Path;
use std::time::Duration;

use flotilla_config::{Configuration, MemorySource, Options, Overrides, Port, SyncPolicy, load};

fn load_text(text: &str) -> Result<Configuration, String> {
    let source = MemorySource::with_file("x.conf", text);
    load(Some(Path::new("x.conf")), &source, &Overrides::default())
        .map_err(|error| error.to_string())
}

fn options(text: &str) -> Options {
    load_text(text).unwrap_or_else(|error| panic!("{text}\n{error}")).options
}

fn complaints(text: &str) -> Vec<String> {
    match load_text(text) {
        Ok(_) => panic!("{text:?} was accepted"),
        Err(error) => error.lines().map(str::to_owned).collect(),
    }
}

fn warnings(text: &str) -> Vec<String> {
    let configuration = load_text(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    configuration.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(options(""), Options::default());
    assert_eq!(options("{}"), Options::default());
}

#[test]
fn zero_is_the_default_where_zero_would_mean_nothing() {
    let zeros = "max_payload: 0, max_pending: 0, max_control_line: 0, max_connections: 0, port: 0
                 ping_max: 0, ping_interval: \"0s\", write_deadline: \"0s\", http_port: 0";
    assert_eq!(options(zeros), Options::default());
}

#[test]
fn listen_takes_a_port_or_an_address_and_host_and_port_win() {
    for (text, host, port) in [
        ("listen=4223", "0.0.0.0", "4223"),
        ("listen: 127.0.0.1:-1", "127.0.0.1", "-1"),
        ("listen: \"[::1]:4222\"", "::1", "4222"),
        ("listen: \":5000\"", "0.0.0.0", "5000"),
        ("listen: localhost:1\nport: 2", "localhost", "2"),
        ("net: 10.0.0.1, port: 0", "10.0.0.1", "4222"),
    ] {
        let options = options(text);
        assert_eq!((options.host.as_str(), options.port.to_string().as_str()), (host, port));
    }
    assert_eq!(options("port: -1").port, Port::Any);
}

#[test]
fn monitoring_is_at_its_own_host_or_that_of_clients() {
    let at = |text| {
        let options = options(text);
        format!("{}:{}", options.monitor_host(), options.monitor.as_ref().unwrap().port)
    };
    assert_eq!(at("http: 8222"), "0.0.0.0:8222");
    assert_eq!(at("monitor_port: 8222\nhost: localhost"), "localhost:8222");
    assert_eq!(at("http: 127.0.0.1:8222\nhost: 10.0.0.1"), "127.0.0.1:8222");
    let shared = complaints("port: 8222\nhttp: 8222");
    assert_eq!(shared, ["x.conf:2:1: monitoring and clients cannot share a port"]);
}

#[test]
fn sizes_durations_and_counts_reach_their_options() {
    let options = options(
        "max_payload: 2MB, max_pending: 32mb, max_control_line: 8k, max_conn: -1
         ping_interval: \"30s\", ping_max: 5, write_deadline: 1m30s
         lame_duck_duration: \"1m\", lame_duck_grace_period: \"5s\"
         server_tags: [\"AZ:a\", ssd, \" SSD \"]",
    );
    let limits = &options.connection;
    assert_eq!((limits.max_payload, limits.max_pending), (2 << 20, 32 << 20));
    assert_eq!((limits.max_control_line, limits.max_connections), (8000, None));
    assert_eq!(limits.ping_interval, Duration::from_secs(30));
    assert_eq!((limits.ping_max, limits.write_deadline), (5, Duration::from_secs(90)));
    assert_eq!(options.lame_duck.grace_period, Duration::from_secs(5));
    assert_eq!(options.server_tags, ["az:a", "ssd"]);
}

#[test]
fn jetstream_is_a_switch_or_a_map() {
    for text in
        ["jetstream: true", "jetstream: enabled", "jetstream {}", "jetstream: {enabled: yes}"]
    {
        assert!(options(text).jetstream.is_some(), "{text}");
    }
    for text in ["jetstream: off", "jetstream: disabled", "jetstream {enabled: false}", ""] {
        assert!(options(text).jetstream.is_none(), "{text}");
    }
    let options = options(
        "jetstream { store_dir: \"/d\", max_mem: \"1G\", max_file_store: 10GB, sync: \"2m\"
           max_buffered_size: 10MB, max_buffered_msgs: 1000
           unique_tag: \"az:\", limits { max_ha_assets: 100, duplicate_window: \"1m\" } }",
    );
    let jetstream = options.jetstream.unwrap();
    assert_eq!(jetstream.max_memory_store, Some(1 << 30));
    assert_eq!(jetstream.max_file_store, Some(10 << 30));
    assert_eq!(jetstream.sync, SyncPolicy::Interval(Duration::from_secs(120)));
    assert_eq!(jetstream.max_buffered_size, Some(10 << 20));
    assert_eq!(jetstream.max_buffered_messages, Some(1000));
    assert_eq!(jetstream.limits.max_ha_assets, Some(100));
    assert_eq!(jetstream.limits.duplicate_window, Some(Duration::from_secs(60)));
}

#[test]
fn what_is_acknowledged_is_stable_unless_asked_otherwise() {
    assert!(options("jetstream: true").acknowledges_stable());
    assert!(options("jetstream { sync_interval: always }").acknowledges_stable());
    assert!(!options("jetstream { sync_interval: \"2m\" }").acknowledges_stable());
}

#[test]
fn users_live_in_the_global_account_or_in_their_own() {
    let options = options(
        "authorization { users: [{user: a, password: $2a$10$hash}, {username: b, pass: \"p w\"}] }
         accounts { SYS { users: [{user: admin, pass: x}] }
                    APP { jetstream { max_streams: 5, max_consumers: -1 }, users = [{user: c, pass: y}] } }
         system_account: SYS, no_auth_user: c",
    );
    let users: Vec<_> =
        options.users().map(|(account, user)| (account, user.name.as_str())).collect();
    assert_eq!(users, [("$G", "a"), ("$G", "b"), ("APP", "c"), ("SYS", "admin")]);
    assert!(options.authorization.users[0].password.is_bcrypt());
    let limits = options.accounts["APP"].jetstream.as_ref().unwrap();
    assert_eq!((limits.max_streams, limits.max_consumers), (Some(5), None));
    assert_eq!(self::options("accounts: [A, B]").accounts.len(), 2);
}

#[test]
fn everything_wrong_is_said_at_once_with_its_place() {
    let said = complaints(
        "max_paylod: 1MB\ngateway { name: x }\nport: \"4222\"\ncluster { pool_size: 3\n nme: C1 }\n",
    );
    assert_eq!(
        said,
        [
            "x.conf:1:1: unknown field \"max_paylod\", did you mean \"max_payload\"?",
            "x.conf:2:1: 'gateway' is not supported by this version of Flotilla",
            "x.conf:3:7: 'port' must be an integer, not a string",
            "x.conf:4:11: 'cluster.pool_size' is not supported by this version of Flotilla",
            "x.conf:5:2: unknown field \"nme\", did you mean \"name\"?",
        ]
    );
    let many: String = (0..500).map(|n| format!("no_such_{n}: 1\n")).collect();
    assert_eq!(complaints(&many).last().map(String::as_str), Some("and 400 more"));
}

#[test]
fn each_mistake_has_its_own_words() {
    for (text, said) in [
        ("server_name: \"a b\"", "x.conf:1:1: server name cannot contain spaces"),
        ("cluster { name: \"a b\" }", "x.conf:1:11: cluster name cannot contain spaces"),
        (
            "listen: a:b",
            "x.conf:1:1: 'listen': could not parse port \"b\": it must be 1 to 65535, or -1 for any",
        ),
        ("port: 70000", "x.conf:1:1: 'port' must be -1 to 65535"),
        (
            "ping_interval: 5m",
            "x.conf:1:1: 'ping_interval' is a duration: 5m without quotes is a number, write \"5m\"",
        ),
        (
            "ping_interval: 10x",
            "x.conf:1:1: error parsing ping_interval: the units are ns, us, ms, s, m and h",
        ),
        ("max_payload: -1", "x.conf:1:1: 'max_payload' must be 1 to 67108864"),
        (
            "max_payload: 2MB\nmax_pending: 1MB",
            "x.conf:1:1: max_payload (2097152) cannot be higher than max_pending (1048576)",
        ),
        ("debug: 1", "x.conf:1:8: 'debug' must be true or false, not an integer"),
        ("lame_duck_duration: \"5s\"", "x.conf:1:1: invalid lame_duck_duration, minimum is 30s"),
        (
            "lame_duck_grace_period: \"2m\"",
            "x.conf:1:1: 'lame_duck_grace_period' must be less than lame_duck_duration",
        ),
        (
            "jetstream: foo",
            "x.conf:1:12: 'jetstream' must be true, false, 'enabled', 'disabled' or a map",
        ),
        (
            "jetstream { max_mem: \"1GG\" }",
            "x.conf:1:13: 'max_memory_store' must be a number of bytes, with K, M, G or T behind it at most",
        ),
        (
            "jetstream { store_dir: a }\nstore_dir: b",
            "x.conf:2:1: Duplicate 'store_dir' configuration",
        ),
        (
            "cluster { listen: 1, routes: [\"http://a:1\"] }",
            "x.conf:1:31: error parsing route url: a route begins with nats-route://, nats://, tls:// or quic://",
        ),
        (
            "cluster { routes: [nats://a:1] }",
            "x.conf:1:11: cluster.routes requires `cluster.listen` to be set",
        ),
        (
            "cluster { listen: 1, authorization { token: x } }",
            "x.conf:1:38: 'cluster.authorization.token' is not supported by this version of Flotilla",
        ),
        (
            "cluster { tls { cert_file: a, key_file: b } }",
            "x.conf:1:11: cluster.tls requires `ca_file` to be set",
        ),
        (
            "cluster { tls { cert_file: a, key_file: b, ca_file: c, verify: no } }",
            "x.conf:1:56: 'verify' cannot be false: servers always verify each other",
        ),
        (
            "authorization { user: a, pass: b, token: c }",
            "x.conf:1:1: Cannot have a user/pass and token",
        ),
        (
            "authorization { user: a, pass: b, users: [{user: c}] }",
            "x.conf:1:1: Can not have a single user/pass and a users array",
        ),
        (
            "authorization { users: [{user: c}, {user: c}] }",
            "x.conf:1:1: Duplicate user \"c\" detected",
        ),
        ("authorization { users: [{pass: c}] }", "x.conf:1:26: a password needs a `user`"),
        ("authorization { users: [{}] }", "x.conf:1:25: a user requires `user` to be set"),
        (
            "no_auth_user: bob",
            "x.conf:1:1: no_auth_user: \"bob\" not present as user in authorization block or account configuration",
        ),
        (
            "system_account: BOB",
            "x.conf:1:1: error resolving system account: no account is named \"BOB\"",
        ),
        (
            "accounts { S { jetstream: on } }\nsystem: S",
            "x.conf:1:1: jetstream cannot be enabled on the system account",
        ),
        ("flotilla { shards: 0 }", "x.conf:1:12: 'shards' must be 1 to 256"),
        (
            "flotilla { max_buffered_total: 1MB }",
            "x.conf:1:12: 'max_buffered_total' must be 67108864 to 1125899906842624",
        ),
        (
            "jetstream { max_buffered_size: 1X }",
            "x.conf:1:13: 'max_buffered_size' must be a number of bytes, with K, M, G or T behind it at most",
        ),
        (
            "jetstream {\n max_buffered_msgs: -5 }",
            "x.conf:2:2: 'max_buffered_msgs' must be 1 to 4294967295",
        ),
    ] {
        let complaints = complaints(text);
        assert!(complaints.iter().any(|complaint| complaint == said), "{text}\n{complaints:#?}");
    }
}

#[test]
fn a_jetstream_cluster_says_which_name_it_lacks() {
    let said = complaints("jetstream: true\ncluster { listen: 6222 }");
    assert_eq!(
        said,
        [
            "x.conf:2:1: jetstream cluster requires `server_name` to be set",
            "x.conf:2:1: jetstream cluster requires `cluster.name` to be set",
        ]
    );
    // Without JetStream, or without a place for routes, nothing is asked, as in NATS.
    options("cluster { listen: 6222 }");
    options("jetstream: true\ncluster { name: C1 }");
}

#[test]
fn a_password_never_reaches_a_complaint() {
    for text in [
        "authorization { user: a, pass: 12345678 }",
        "authorization { user: a, pass: [s3cret] }",
        "cluster { listen: 1, routes: [\"nats://u:s3cret@host:x\", \"bad://u:s3cret@h\"] }",
        "accounts { A { users: [{user: a, password: {s3cret: 1}}] } }",
    ] {
        let said = complaints(text).join("\n").replace("\"s3cret\"", "");
        assert!(!said.contains("12345678") && !said.contains("s3cret"), "{said}");
    }
    let options = options(
        "authorization { user: a, pass: s3cret }\ncluster { listen: 1, routes: [nats://u:s3cret@h:1] }",
    );
    assert!(!format!("{options:?}").contains("s3cret"));
}

#[test]
fn warnings_do_not_refuse() {
    assert_eq!(
        warnings("ping_interval: 10"),
        [
            "x.conf:1:1: invalid use of field \"ping_interval\": ping_interval should be converted to a duration, such as \"10s\""
        ]
    );
    assert_eq!(
        warnings("debug: true\nDebug: false\nport: 1\nport: 2"),
        [
            "x.conf:4:1: \"port\" was already given at x.conf:3:1: the last one counts",
            "x.conf:2:1: \"debug\" was already given at x.conf:1:1: the last one counts",
        ]
    );
    assert_eq!(warnings("max_payload: 9MB").len(), 1);
    assert!(warnings("cluster { listen: 1 }")[0].contains("any peer that reaches the port"));
    assert!(
        warnings("cluster { listen: 1, authorization { user: a, pass: b } }")[0]
            .contains("nobody's certificate is verified")
    );
    assert_eq!(options("port: 1\nport: 2").port.to_string(), "2");
}

#[test]
fn a_key_that_is_only_referred_to_needs_no_meaning() {
    let options = options("MY_PORT = 5000\ndefaults { x: 1 }\nport: $MY_PORT\nflotilla: {shards: 2}\naccounts { U = [{user: a, pass: b}], A { users: $U } }".replace("defaults { x: 1 }\n", "").as_str());
    assert_eq!(options.port.to_string(), "5000");
    assert_eq!(options.accounts["A"].users.len(), 1);
}
