//! Whatever the bytes, reading a configuration ends with options or complaints, never with a panic.
//!
//! Three kinds of input: bytes, sequences of the language's own pieces (which get far into the parser),
//! and files that work with a few bytes changed (which get far into the options).

use std::path::Path;

use flotilla_config::{MemorySource, Overrides, load, parse_duration, reload_diff};
use proptest::collection::vec;
use proptest::prelude::*;

const FILES: [&str; 3] = [
    include_str!("seed/n1-c1.conf"),
    include_str!("../../../conf/flotilla.conf"),
    "X: [1k, $HOME]\nserver_tags: $X; include 'other.conf'\nauthorization { users: [{user: \"a\\x41\", pass: $2a$10$x}] }\npid_file: (\n block\n)\n",
];

const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ":",
    "=",
    ",",
    ";",
    "\n",
    " ",
    "\"",
    "'",
    "\\",
    "\\x4",
    "#",
    "//",
    "$",
    "$a",
    "$HOME",
    "a",
    "include",
    "include 'other.conf'",
    "cluster",
    "jetstream",
    "accounts",
    "users",
    "listen",
    "routes",
    "ping_interval",
    "tls",
    "-",
    ".5",
    "5m",
    "9e",
    "true",
    "é",
    "nats://a:1",
    "authorization",
];

/// Reads bytes as a whole configuration; what comes out must be consistent with itself.
fn read(bytes: &[u8]) {
    let source = MemorySource::with_file("d/x.conf", bytes)
        .file("d/other.conf", "a: 1\ninclude 'x.conf'")
        .with_variable("HOME", "[$HOST, 2]")
        .with_variable("HOST", "$HOST2")
        .with_variable("HOST2", "{a: 'b'}");
    match load(Some(Path::new("d/x.conf")), &source, &Overrides::default()) {
        Ok(configuration) => {
            assert!(reload_diff(&configuration.options, &configuration.options).is_ok());
            for warning in &configuration.warnings {
                assert!(!warning.to_string().is_empty());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

#[derive(Clone, Debug)]
struct Edit {
    at: prop::sample::Index,
    remove: usize,
    insert: Vec<u8>,
}

fn edit() -> impl Strategy<Value = Edit> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..4),
        prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    (any::<prop::sample::Index>(), 0..20_usize, bytes).prop_map(|(at, remove, insert)| Edit {
        at,
        remove,
        insert,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn any_sequence_of_pieces_is_survived(
        pieces in vec(prop::sample::select(&PIECES[..]), 0..60),
    ) {
        read(pieces.concat().as_bytes());
    }

    #[test]
    fn any_mutation_of_a_good_file_is_survived(
        file in prop::sample::select(&FILES[..]),
        uncomment in any::<bool>(),
        edits in vec(edit(), 1..6),
    ) {
        let mut bytes = file.as_bytes().to_vec();
        if uncomment {
            bytes = file.replace("\n#", "\n").replace("  #", "  ").into_bytes();
        }
        for edit in edits {
            let at = edit.at.index(bytes.len() + 1);
            let end = (at + edit.remove).min(bytes.len());
            bytes.splice(at..end, edit.insert);
        }
        read(&bytes);
    }

    #[test]
    fn any_value_of_any_option_is_survived(text in "\\PC{0,20}") {
        let quoted = text.replace(['\\', '"'], "");
        for key in ["listen", "http", "ping_interval", "server_name", "server_tags"] {
            read(format!("{key}: \"{quoted}\"").as_bytes());
        }
        read(format!("cluster {{ routes: [\"nats://{quoted}\"], listen: \"{quoted}\" }}").as_bytes());
        read(format!("jetstream {{ max_mem: \"{quoted}\", sync: \"{quoted}\" }}").as_bytes());
        let _ = parse_duration(&text);
    }
}
