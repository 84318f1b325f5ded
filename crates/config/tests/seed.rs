//! The three configurations that the project began with, byte for byte, mean what they say.

use std::path::{Path, PathBuf};

use flotilla_config::{MemorySource, Overrides, load};

#[test]
fn the_seeds_three_servers_are_read_as_they_stand() {
    let seeds: [(&str, &str, &str, [&str; 2]); 3] = [
        ("n1-c1", include_str!("seed/n1-c1.conf"), "host_a", ["host_b", "host_c"]),
        ("n2-c1", include_str!("seed/n2-c1.conf"), "host_b", ["host_a", "host_c"]),
        ("n3-c1", include_str!("seed/n3-c1.conf"), "host_c", ["host_a", "host_b"]),
    ];
    for (name, text, own_host, others) in seeds {
        let source = MemorySource::with_file("flotilla.conf", text);
        let configuration =
            load(Some(Path::new("flotilla.conf")), &source, &Overrides::default()).unwrap();
        let options = configuration.options;

        assert_eq!(options.server_name.as_deref(), Some(name));
        assert_eq!((options.host.as_str(), options.port.to_string().as_str()), ("0.0.0.0", "4222"));
        assert_eq!(options.store_dir(), Some(PathBuf::from("/nats/storage").as_path()));
        assert!(options.jetstream.is_some() && options.is_clustered());
        assert_eq!(options.cluster.name.as_deref(), Some("C1"));
        assert_eq!(options.cluster.listen.unwrap().to_string(), "localhost:6222");
        let routes: Vec<String> = options.cluster.routes.iter().map(ToString::to_string).collect();
        assert_eq!(routes, others.map(|host| format!("nats-route://{host}:6222")));
        assert!(!others.contains(&own_host));
    }
}

#[test]
fn the_digest_of_a_seed_is_the_one_that_nats_server_prints() {
    let text = include_str!("seed/n1-c1.conf");
    let source = MemorySource::with_file("flotilla.conf", text);
    let configuration = load(Some(Path::new("flotilla.conf")), &source, &Overrides::default());
    assert_eq!(
        configuration.unwrap().digest.unwrap(),
        "sha256:88fc3ab562e0a2cab37d426a61f67698007d5ee6fa631e9e95adbfa1b15399cf"
    );
}
