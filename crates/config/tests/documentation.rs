//! `docs/configuration.md` says what the table of options says, and the table what the code does.
//!
//! After a change of the table, `UPDATE_DOCS=1 cargo test -p flotilla-config --test documentation` writes
//! the document's tables anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use flotilla_config::{MemorySource, Options, Overrides, SECTIONS, Section, load};

const END: &str = "<!-- end -->";

fn document_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md")
}

/// The rows of a section as the document must have them.
fn table(section: &Section) -> String {
    let mut table =
        String::from("| option | takes | default | reload | meaning |\n|---|---|---|---|---|\n");
    for key in section.keys {
        let mut names = format!("`{}`", key.name);
        for alias in key.aliases {
            let _ = write!(names, ", `{alias}`");
        }
        let reload = if key.reload { "yes" } else { "no" };
        let _ = writeln!(
            table,
            "| {names} | {} | {} | {reload} | {} |",
            key.kind, key.default, key.meaning
        );
    }
    table
}

/// What the document calls a section.
fn place(section: &Section) -> &'static str {
    if section.path.is_empty() { "the server" } else { section.path }
}

fn unsupported() -> String {
    let mut text = String::new();
    for section in SECTIONS.iter().filter(|section| !section.unsupported.is_empty()) {
        let keys: Vec<String> = section.unsupported.iter().map(|key| format!("`{key}`")).collect();
        let _ = writeln!(text, "- {}: {}", place(section), keys.join(", "));
    }
    text
}

/// Puts `content` between a marker and the end after it.
fn fill(document: &str, marker: &str, content: &str) -> String {
    let Some((before, rest)) = document.split_once(&format!("{marker}\n")) else {
        panic!("docs/configuration.md has no `{marker}`");
    };
    let Some((_, after)) = rest.split_once(END) else { panic!("`{marker}` has no end") };
    format!("{before}{marker}\n{content}{END}{after}")
}

#[test]
fn the_document_has_every_option_as_the_table_has_it() {
    let written = fs::read_to_string(document_path()).unwrap();
    let mut expected = written.clone();
    for section in SECTIONS {
        let marker = format!("<!-- options: {} -->", place(section));
        expected = fill(&expected, &marker, &table(section));
    }
    expected = fill(&expected, "<!-- unsupported -->", &unsupported());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(document_path(), &expected).unwrap();
        return;
    }
    assert!(
        written == expected,
        "docs/configuration.md is behind the table: run with UPDATE_DOCS=1"
    );
}

/// The default of a key, if the table gives it as a value of the language.
fn literal(default: &str) -> Option<&str> {
    default.strip_prefix('`')?.strip_suffix('`').filter(|value| !value.contains('`'))
}

/// A configuration with `line` in a section.
fn placed(section: &Section, line: &str) -> String {
    match section.path {
        "" => line.to_owned(),
        "authorization.users[]" => format!("authorization {{ users: [{{ user: u, {line} }}] }}"),
        "accounts.*" => format!("accounts {{ A {{ {line} }} }}"),
        "accounts.*.jetstream" => format!("accounts {{ A {{ jetstream {{ {line} }} }} }}"),
        path => {
            let (outer, inner) = path.split_once('.').unwrap_or((path, ""));
            match inner {
                "" => format!("{outer} {{ {line} }}"),
                "tls" => format!(
                    "{outer} {{ tls {{ cert_file: c, key_file: k, ca_file: a\n {line} }} }}"
                ),
                _ => format!("{outer} {{ {inner} {{ {line} }} }}"),
            }
        }
    }
}

fn read(text: &str) -> Options {
    let source = MemorySource::with_file("x.conf", text);
    match load(Some(Path::new("x.conf")), &source, &Overrides::default()) {
        Ok(configuration) => configuration.options,
        Err(error) => panic!("{text}: {error}"),
    }
}

#[test]
fn a_default_of_the_table_is_what_absence_means() {
    let mut checked = 0;
    for section in SECTIONS {
        for key in section.keys {
            let Some(value) = literal(key.default) else { continue };
            let with = read(&placed(section, &format!("{}: {value}", key.name)));
            assert_eq!(with, read(&placed(section, "")), "{}: {value}", section.path_of(key.name));
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} defaults are values of the language");
}

#[test]
fn no_name_is_both_known_and_unsupported_or_known_twice() {
    for section in SECTIONS {
        let known = section
            .keys
            .iter()
            .flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
        let mut names: Vec<&str> = known.chain(section.unsupported.iter().copied()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "in {:?}: {names:?}", section.path);
        assert!(names.iter().all(|name| *name == name.to_lowercase()));
    }
}
