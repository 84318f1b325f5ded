//! Command lines as users and the clients' test suites write them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use flotilla_config::Port;

use super::table::{FLAGS, UNSUPPORTED};
use super::{Command, FlagError, Flags, help, parse};
use crate::signals::ServerSignal;

fn line(text: &str) -> Result<Command, FlagError> {
    parse(text.split_whitespace().map(Into::into))
}

fn flags(text: &str) -> Flags {
    match line(text) {
        Ok(Command::Run(flags)) => *flags,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn one_dash_or_two_with_a_blank_or_an_equals_sign() {
    for text in ["-p 5000", "--p 5000", "-port=5000", "--port=5000"] {
        assert_eq!(flags(text).overrides.port, Port::from_number(5000), "{text}");
    }
    assert_eq!(flags("-p -1").overrides.port, Some(Port::Any));
    assert_eq!(flags("-p 0").overrides.port, None);
}

#[test]
fn the_command_lines_of_client_test_suites_are_understood() {
    // nats.rs, nats.py and nats.js, in this order.
    let rust = flags("--store_dir /tmp/js -p -1 -l /tmp/log -c a.conf");
    assert_eq!(rust.overrides.store_dir, Some(PathBuf::from("/tmp/js")));
    assert_eq!(rust.overrides.log_file, Some(PathBuf::from("/tmp/log")));
    assert_eq!(rust.config, Some(PathBuf::from("a.conf")));

    let python = flags("-p 4222 -m 8222 -a 127.0.0.1 --user u --pass p -sd=/tmp/x -js -DV");
    assert_eq!(python.overrides.store_dir, Some(PathBuf::from("/tmp/x")));
    assert_eq!(python.overrides.jetstream, Some(true));
    assert_eq!((python.overrides.debug, python.overrides.trace), (Some(true), Some(true)));
    assert_eq!(python.overrides.password.map(|p| p.expose().to_owned()).as_deref(), Some("p"));

    let node = flags("-c x.conf --ports_file_dir /tmp/p");
    assert_eq!(node.overrides.ports_file_dir, Some(PathBuf::from("/tmp/p")));
}

#[test]
fn clusters_can_be_had_without_a_file() {
    let overrides = flags(
        "-n a --cluster_name C --cluster nats://u:p@0.0.0.0:6222 --routes nats://b:1,nats://c:2 \
         --no_advertise=false --connect_retries 3 --cluster_advertise h:1",
    )
    .overrides;
    assert_eq!(overrides.cluster_name.as_deref(), Some("C"));
    assert_eq!(overrides.cluster_listen.unwrap().expose(), "nats://u:p@0.0.0.0:6222");
    assert_eq!(overrides.routes.unwrap().expose(), "nats://b:1,nats://c:2");
    assert_eq!((overrides.no_advertise, overrides.connect_retries), (Some(false), Some(3)));
}

#[test]
fn mistakes_have_the_words_and_exit_codes_of_nats_server() {
    for (text, said, code) in [
        ("-foo", "flag provided but not defined: -foo", 0),
        ("--foo=1", "flag provided but not defined: -foo", 0),
        ("-p", "flag needs an argument: -p", 0),
        ("-p abc", "invalid value \"abc\" for flag -p: parse error", 0),
        ("-p=", "invalid value \"\" for flag -p: parse error", 0),
        ("-D=maybe", "invalid value \"maybe\" for flag -D: must be true or false", 0),
        ("---x", "bad flag syntax: ---x", 0),
        ("-=x", "bad flag syntax: -=x", 0),
        ("xyz", "unrecognized command: \"xyz\"", 1),
        ("-p 5 -- -t", "unrecognized command: \"-t\"", 1),
        ("-t", "must specify [-c, --config] option to check configuration file syntax", 1),
        ("-sl=foo=1", "unknown signal \"foo\"", 1),
        ("-p 70000", "invalid value \"70000\" for flag -p: a port is 1 to 65535, or -1 for any", 0),
        ("--tls", "flag -tls is not supported by this version of Flotilla", 1),
    ] {
        let error = line(text).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), (said, code), "{text}");
    }
}

#[test]
fn words_and_flags_ask_for_version_and_help() {
    for text in ["-v", "--version", "version", "-p 1 VERSION", "-h -v"] {
        assert_eq!(line(text), Ok(Command::Version), "{text}");
    }
    for text in ["-h", "--help", "help"] {
        assert_eq!(line(text), Ok(Command::Help), "{text}");
    }
}

#[test]
fn a_signal_may_name_its_target() {
    let Ok(Command::Signal(request)) = line("--signal ldm=/run/x.pid") else { panic!() };
    assert_eq!(request.signal, ServerSignal::LameDuck);
    assert_eq!(request.target.as_deref(), Some("/run/x.pid"));
    let Ok(Command::Signal(request)) = line("-sl reload") else { panic!() };
    assert_eq!((request.signal, request.target), (ServerSignal::Reload, None));
}

#[test]
fn no_two_flags_share_a_name_and_all_are_explained() {
    let mut seen = BTreeSet::new();
    let help = help("flotilla-server");
    for name in FLAGS.iter().flat_map(|flag| flag.names).chain(UNSUPPORTED) {
        assert!(seen.insert(name), "{name}");
    }
    for flag in FLAGS {
        assert!(
            flag.names.iter().all(|name| help.contains(&format!("-{name}"))),
            "{:?}",
            flag.names
        );
    }
    assert!(help.lines().all(|line| line.len() <= 100), "{help}");
}

#[test]
fn secrets_are_not_repeated() {
    let flags = flags("--pass s3cret --auth s3cret --routes nats://u:s3cret@h --cluster s3cret");
    assert!(!format!("{flags:?}").contains("s3cret"));
}
