//! The files under `conf/` can be used as they are.

use std::fs;
use std::path::{Path, PathBuf};

use flotilla_config::{Configuration, MemorySource, Overrides, SECTIONS, load};

fn conf(path: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf").join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    (path, text)
}

fn read(name: &str, text: &str) -> Configuration {
    let source = MemorySource::with_file(name, text);
    load(Some(Path::new(name)), &source, &Overrides::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_loopback_servers_are_one_cluster_that_shares_nothing_but_its_name() {
    let mut ports = Vec::new();
    let mut directories = Vec::new();
    let names = ["n1-c1", "n2-c1", "n3-c1"];
    for name in names {
        let (_, text) = conf(&format!("loopback/{name}.conf"));
        let options = read(name, &text).options;
        assert_eq!(options.server_name.as_deref(), Some(name));
        assert_eq!(options.cluster.name.as_deref(), Some("C1"));
        let own = options.cluster.listen.as_ref().unwrap().to_string();
        let routes: Vec<String> = options.cluster.routes.iter().map(|url| url.address()).collect();
        assert!(routes.len() == 2 && !routes.contains(&own), "{own} {routes:?}");
        let directory = options.store_dir().unwrap().to_owned();
        assert!(directory.is_relative() && directory.starts_with(".flotilla"));
        directories.push(directory);
        ports.extend([options.port, options.monitor.unwrap().port]);
        ports.push(options.cluster.listen.unwrap().port);
    }
    let numbers: Vec<u16> = ports.into_iter().map(|port| port.to_bind()).collect();
    assert_eq!(numbers, [4222, 8222, 6222, 4223, 8223, 6223, 4224, 8224, 6224]);
    directories.dedup();
    assert_eq!(directories.len(), names.len());
}

/// The file with the options that are commented out (`#option`) in force, and prose (`# text`) left.
fn uncommented(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let option = line.trim_start().strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        lines.push_str(option.unwrap_or(line));
        lines.push('\n');
    }
    lines
}

#[test]
fn the_sample_works_as_it_stands_and_with_every_option_in_force() {
    let (path, text) = conf("flotilla.conf");
    let name = path.display().to_string();
    assert_eq!(read(&name, &text).warnings, []);
    let options = read(&name, &uncommented(&text)).options;
    assert!(options.is_clustered() && options.cluster.tls.is_some());
    assert_eq!(options.accounts.len(), 2);
}

#[test]
fn the_sample_shows_every_option() {
    let (_, text) = conf("flotilla.conf");
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':')).collect();
    for section in SECTIONS {
        for key in section.keys {
            let block = key.kind.contains("map") && words.contains(&key.name);
            let scalar = words.contains(&format!("{}:", key.name).as_str());
            assert!(block || scalar, "conf/flotilla.conf lacks {}", section.path_of(key.name));
        }
    }
}

#[test]
fn the_systemd_unit_reloads_and_leaves_gently() {
    let (_, text) = conf("systemd/flotilla-server.service");
    let mut section = "";
    let mut settings = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.strip_suffix(']').expect("a section ends with a bracket");
            continue;
        }
        let (key, value) = line.split_once('=').expect("a setting has a value");
        settings.push((section, key, value));
    }
    let value = |key| {
        let found = settings.iter().find(|(_, name, _)| *name == key);
        found.map(|(section, _, value)| (*section, *value))
    };
    assert_eq!(value("Type"), Some(("Service", "simple")));
    assert_eq!(value("ExecReload"), Some(("Service", "/bin/kill -s HUP $MAINPID")));
    assert_eq!(value("KillSignal"), Some(("Service", "SIGUSR2")));
    let (_, timeout) = value("TimeoutStopSec").unwrap();
    let lame_duck = flotilla_config::LameDuck::default().duration;
    assert!(timeout.parse::<u64>().unwrap() > lame_duck.as_secs());
    let (_, files) = value("LimitNOFILE").unwrap();
    assert!(files.parse::<u32>().unwrap() > 65_536);
}
