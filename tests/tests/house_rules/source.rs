//! Sources, and what they say that they must not.

use crate::code::{blank, blank_comments_and_strings, lines_with, spell_out_imports, test_item};

/// What no core's code may say, and what to do instead.
pub(crate) const IMPURE: &[(&str, &str)] = &[
    ("tokio", "a core is stepped by its shell; move the task there"),
    ("std::fs", "reach files through `Disk`, or have the content passed in"),
    ("std::env", "take an option"),
    ("std::process", "leave it to a program"),
    ("std::thread", "leave threads to the shell"),
    ("std::time::Instant", "take `now` as an argument"),
    ("std::time::SystemTime", "take `now` as an argument"),
    ("Instant::now", "take `now` as an argument"),
    ("SystemTime::now", "take `now` as an argument"),
    ("RandomState", "use a BTreeMap, an IndexMap, or a fixed hasher where order never leaks"),
    ("HashMap::new", "use a BTreeMap, an IndexMap, or a fixed hasher where order never leaks"),
    ("HashSet::new", "use a BTreeSet, an IndexSet, or a fixed hasher where order never leaks"),
    ("HashMap::with_capacity(", "use a BTreeMap, an IndexMap, or a fixed hasher"),
    ("HashSet::with_capacity(", "use a BTreeSet, an IndexSet, or a fixed hasher"),
];

/// Of `std::net` a core may parse addresses.
pub(crate) const ADDRESSES: &[&str] = &[
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
    "AddrParseError",
];

/// Names that say nothing of what is inside.
pub(crate) const EMPTY_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "manager", "managers", "misc", "common"];

/// One file of Rust.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text without comments, strings and test items: as many lines, with blanks instead.
    pub(crate) code: String,
    pub(crate) is_test: bool,
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Self {
        let mut code = blank_comments_and_strings(&text);
        while let Some((from, to)) = test_item(&code) {
            code = blank(&code, from, to);
        }
        let is_test = path.contains("/tests/") || path.ends_with("tests.rs");
        Self { path, text, code, is_test }
    }

    /// Where a core says what it must not.
    pub(crate) fn impure(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut blame = |line: usize, what: &str, remedy: &str| {
            faults.push(format!("{}:{line}: {what} in a core; {remedy}", self.path));
        };
        let code = spell_out_imports(&self.code);
        for (word, remedy) in IMPURE {
            for line in lines_with(&code, word) {
                blame(line, word, remedy);
            }
        }
        for (index, line) in code.lines().enumerate() {
            for (_, after) in
                line.match_indices("std::net").map(|(at, it)| line.split_at(at + it.len()))
            {
                let name = after.trim_start_matches("::");
                let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                if !ADDRESSES.contains(&name) {
                    blame(index + 1, "std::net", "parse addresses; leave sockets to the shell");
                }
            }
            let hashed = line.contains("HashMap<") || line.contains("HashSet<");
            if hashed && !line.contains("BuildHasher") {
                let remedy =
                    "use a BTreeMap, an IndexMap, or a fixed hasher where order never leaks";
                blame(index + 1, "a map with the default hasher", remedy);
            }
        }
        faults
    }

    /// Types, traits and modules whose name, or a word of it, is empty.
    pub(crate) fn named(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (index, line) in self.code.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            while let Some(word) = words.next() {
                if !["struct", "enum", "trait", "type", "mod", "union"].contains(&word) {
                    continue;
                }
                let name = words.next().unwrap_or_default();
                if words_of(name).iter().any(|word| EMPTY_NAMES.contains(&word.as_str())) {
                    found.push((index + 1, name.to_owned()));
                }
            }
        }
        found
    }
}

/// `LogManager` and `log_manager` are `log` and `manager`.
pub(crate) fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("there is one").extend(c.to_lowercase());
        }
    }
    words
}

mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("crates/x/src/a.rs".into(), text.into())
    }

    #[test]
    fn finds_what_a_core_must_not_say() {
        for impure in [
            "use std::fs;",
            "use std::{env, fs::File};",
            "use std::{\n    collections::BTreeMap,\n    thread,\n};",
            "let now = Instant::now();",
            "let map: HashMap<u8, u8> = x;",
            "let map = HashMap::new();",
            "use std::net::TcpStream;",
            "let x = tokio::spawn(y);",
        ] {
            assert!(!source(impure).impure().is_empty(), "{impure}");
        }
    }

    #[test]
    fn leaves_alone_what_a_core_may_say() {
        for pure in [
            "// std::fs is not for us",
            "let text = \"std::fs\"; let raw = r#\"tokio \"quoted\" \"#; let c = '\"'; fn f<'a>() {}",
            "use std::net::Ipv6Addr;\nuse std::{fmt, str};\nuse std::time::Duration;",
            "slots: HashMap<u8, u8, BuildHasherDefault<DefaultHasher>>,",
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { let x = std::fs::read(\"{\"); } }",
            "#[cfg(test)]\nmod fixture;\nfn a() {}",
        ] {
            assert_eq!(source(pure).impure(), Vec::<String>::new(), "{pure}");
        }
    }

    #[test]
    fn names_the_line_also_behind_comments_strings_and_tests() {
        let text = "/* a\nb */\nlet s = \"\n\";\n#[cfg(test)]\nmod t {\n}\nuse std::fs;\n";
        let faults = source(text).impure();
        assert!(faults[0].starts_with("crates/x/src/a.rs:8: std::fs"), "{faults:?}");
    }

    #[test]
    fn takes_names_apart() {
        let found = source("struct LogManager;\nenum Commonwealth {}\nmod file_utils {}").named();
        assert_eq!(found, [(1, "LogManager".to_owned()), (3, "file_utils".to_owned())]);
    }
}
