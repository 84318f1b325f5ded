//! The rules of the house that matter, executed: which crate may use which, what cores never see, how long a file may
//! be, which names and words are refused. Every failure names file and line, and says what to do.
//!
//! It reads manifests and sources as text: a rule that needs a compiler belongs to clippy.

mod arrows;
mod code;
mod document;
mod hosts;
mod manifest;
mod source;
mod tree;

use std::fs;

use arrows::{ARROWS, CORE_LIBRARIES, Layer, ONE_HOME};
use code::{blank_comments_and_strings, lines_with};
use document::{links, paths};
use hosts::hosts;
use source::EMPTY_NAMES;
use tree::{files, manifests, read, sources, workspace};

/// The most lines of code in a file, tests, comments and blank lines aside.
const CODE_LINES: usize = 600;

/// Marks of work that is not done.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!"];

#[test]
fn arrows_point_down_only() {
    let mut faults = Vec::new();
    for manifest in manifests() {
        let Some((_, layer, may_use)) = ARROWS.iter().find(|(name, ..)| *name == manifest.name)
        else {
            let remedy =
                "say in ARROWS of tests/tests/house_rules/arrows.rs what it is and may use";
            faults.push(format!("{}:1: {} is unknown; {remedy}", manifest.path, manifest.name));
            continue;
        };
        for (line, used) in &manifest.dependencies {
            let place = format!("{}:{line}: {}", manifest.path, manifest.name);
            if used.starts_with("flotilla") {
                if !may_use.contains(&used.as_str()) {
                    faults.push(format!(
                        "{place} must not use {used}; move what it needs below both, or pass it in as a value"
                    ));
                }
            } else if *layer == Layer::Core && !CORE_LIBRARIES.contains(&used.as_str()) {
                faults.push(format!(
                    "{place} is a core and must not use {used}; leave it to a shell"
                ));
            }
            let home = ONE_HOME.iter().find(|(library, _)| library == used);
            if let Some((_, home)) = home.filter(|(_, home)| *home != manifest.name) {
                faults.push(format!(
                    "{place} must not use {used}; {home} alone does, behind types of its own"
                ));
            }
        }
    }
    report(&faults);
}

#[test]
fn cores_see_no_clock_no_files_no_threads_and_no_chance() {
    let cores: Vec<String> = manifests()
        .into_iter()
        .filter(|m| ARROWS.iter().any(|(name, layer, _)| *name == m.name && *layer == Layer::Core))
        .map(|m| m.path.replace("Cargo.toml", "src/"))
        .collect();
    assert_eq!(cores.len(), 10, "all cores are there: {cores:?}");
    let mut faults = Vec::new();
    for source in sources() {
        if !source.is_test && cores.iter().any(|core| source.path.starts_with(core)) {
            faults.extend(source.impure());
        }
    }
    report(&faults);
}

/// Known bugs are for the simulator, and for it only when asked (crates/mutation).
#[test]
fn no_server_has_known_bugs_put_back() {
    let mut faults = Vec::new();
    for manifest in manifests().iter().filter(|m| m.name != "flotilla-mutation") {
        let text = read(&manifest.path);
        for (line, text) in (1..).zip(text.lines()) {
            let turns_on = text.contains("flotilla-mutation/")
                || text.contains("flotilla-mutation") && text.contains("features")
                || text.contains("default") && text.contains("\"mutations\"");
            let asked = manifest.name == "simulator" && text.starts_with("mutations = ");
            if turns_on && !asked {
                let path = &manifest.path;
                faults.push(format!("{path}:{line}: only the simulator's own feature may do this"));
            }
        }
    }
    report(&faults);
}

#[test]
fn files_fit_a_head() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.code.lines().filter(|line| !line.trim().is_empty()).count();
        if !source.is_test && lines > CODE_LINES {
            faults.push(format!(
                "{}:1: {lines} lines of code, more than {CODE_LINES}; split it by concept, not by size",
                source.path
            ));
        }
    }
    report(&faults);
}

#[test]
fn nothing_is_left_unfinished() {
    let mut faults = Vec::new();
    for source in sources() {
        let code = blank_comments_and_strings(&source.text);
        for word in UNFINISHED {
            for line in lines_with(&code, word) {
                faults.push(format!(
                    "{}:{line}: {word} is left; finish it, or take it out",
                    source.path
                ));
            }
        }
    }
    report(&faults);
}

#[test]
fn names_say_what_is_inside() {
    let mut faults = Vec::new();
    for source in sources() {
        let mut parts = source.path.split(['/', '.']);
        if let Some(part) = parts.find(|part| EMPTY_NAMES.contains(part)) {
            faults.push(format!(
                "{}:1: `{part}` says nothing of what is inside; name the concept, in NATS's or Raft's word",
                source.path
            ));
        }
        for (line, name) in source.named() {
            faults.push(format!(
                "{}:{line}: `{name}` says nothing of what it is; name the concept, in NATS's or Raft's word",
                source.path
            ));
        }
    }
    report(&faults);
}

#[test]
fn every_crate_says_first_what_it_is() {
    let mut faults = Vec::new();
    for manifest in manifests() {
        let dir = manifest.path.replace("Cargo.toml", "src");
        let roots = ["lib.rs", "main.rs"].map(|file| format!("{dir}/{file}"));
        for root in roots.iter().filter(|root| workspace().join(root).exists()) {
            let text = read(root);
            let first = text.lines().next().unwrap_or_default();
            if first.strip_prefix("//! ").is_none_or(|said| said.len() <= 15) {
                faults.push(format!(
                    "{root}:1: does not begin with a `//!` paragraph; say what the crate is, and what it keeps true"
                ));
            }
        }
    }
    report(&faults);
}

#[test]
fn the_tree_does_not_depend_on_where_it_was_written() {
    let mut faults = Vec::new();
    // In halves, so that this file does not name them either.
    let homes = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
    ];
    let registries = [
        concat!("replace", "-with"),
        concat!("GOPROXY", "="),
        concat!("index", "-url"),
        concat!("[source", "."),
    ];
    for path in files(&workspace(), |_| true) {
        let Ok(text) = fs::read_to_string(workspace().join(&path)) else { continue };
        let mut blame = |word: &str, why: &str| {
            for line in lines_with(&text, word) {
                faults.push(format!("{path}:{line}: {word} {why}"));
            }
        };
        for home in homes {
            blame(
                home,
                "is a place on one machine; use a relative path, or one that every machine has",
            );
        }
        for registry in registries {
            blame(registry, "chooses a registry; that is for the environment of whoever builds");
        }
        for (line, host) in hosts(&text) {
            faults.push(format!(
                "{path}:{line}: {host} is no host of PUBLIC_HOSTS; name a public one, or 127.0.0.1, or a word"
            ));
        }
    }
    report(&faults);
}

#[test]
fn documents_lead_to_what_is_there() {
    let mut faults = Vec::new();
    for path in files(&workspace(), |name| name.ends_with(".md")) {
        let text = read(&path);
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        for (line, target) in links(&text) {
            if !workspace().join(dir).join(&target).exists() {
                faults.push(format!("{path}:{line}: {target} is not there; correct the link"));
            }
        }
        for (line, named) in paths(&text) {
            let within = |root: &str| workspace().join(root).join(&named).exists();
            if !within("") && !within("crates") {
                faults.push(format!("{path}:{line}: {named} is not there; name what is"));
            }
        }
    }
    report(&faults);
}

fn report(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} rules of the house are broken:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
