//! The grammar by example. What is accepted here was accepted by nats-server 2.14.5, and where a digest
//! is given it is the one it printed.

use std::path::Path;

use super::{Document, Fault, MAX_DEPTH, Map, SyntaxError, ValueKind, parse};
use crate::source::MemorySource;

fn source(text: &str) -> MemorySource {
    MemorySource::with_file("dir/main.conf", text)
}

fn parse_with(source: &MemorySource) -> Result<Document, SyntaxError> {
    parse(Path::new("dir/main.conf"), source)
}

fn root(text: &str) -> Map {
    parse_with(&source(text)).unwrap_or_else(|error| panic!("{text:?}: {error}")).root
}

fn fails(text: &str) -> String {
    match parse_with(&source(text)) {
        Ok(_) => panic!("{text:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

fn text_at<'m>(map: &'m Map, path: &str) -> &'m str {
    match &at(map, path) {
        ValueKind::Text(text) => text,
        _ => panic!("{path} is no string"),
    }
}

fn at<'m>(map: &'m Map, path: &str) -> &'m ValueKind {
    let (key, rest) = path.split_once('/').unwrap_or((path, ""));
    let kind = &map.get(key).unwrap_or_else(|| panic!("no {key}")).value.kind;
    match (rest, kind) {
        ("", kind) => kind,
        (rest, ValueKind::Map(inner)) => at(inner, rest),
        _ => panic!("{key} is no map"),
    }
}

fn words(map: &Map, key: &str) -> Vec<String> {
    let ValueKind::Array(items) = at(map, key) else { panic!("{key} is no array") };
    items
        .iter()
        .map(|item| match &item.kind {
            ValueKind::Text(text) => text.clone(),
            _ => panic!("{item:?}"),
        })
        .collect()
}

#[test]
fn the_three_separators_and_the_three_ends_are_equal() {
    let digest = "sha256:8d697893eada17225f028a97ac0a0cfbd85dfb1fe0f606aa6f327a81bf911795";
    for text in [
        "port: 4222\ndebug: true",
        "port = 4222; debug yes",
        "port=4222,debug=on\n",
        "\"port\": 4222\n'debug': true",
        "{ \"debug\": true, \"port\": 4222 }",
        "port: 4222\r\ndebug: true\r\n",
        "# a\nport 4222 // b\n\n\tdebug\ttrue # c",
        "{\n\"port\": 4222\n, \"debug\": true\n}\n",
    ] {
        let document = parse_with(&source(text)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(document.digest(), digest, "{text:?}");
    }
}

#[test]
fn digests_are_those_of_nats_server() {
    for (text, digest) in [
        (
            "pid_file: (\nabc\n)\n",
            "97a42deb086af5a6ffad76419602648a0e41774220af2b1e0b91fc7410575389",
        ),
        (
            "pid_file: (abc\n)x\n)\n",
            "b5e24950000c4f3c10130fe6c4c106bb53c783c4dc8db07bb19b795bfdc70d22",
        ),
        (
            "pid_file: $2a$10$abc",
            "a929f2a80b929f7177a8401ade2ab923587ad5303b26c6e58fed6c1550c66315",
        ),
        (
            "server_name: a\\x41b",
            "86a045bc3ef9079948c7cd17092c174bbf62d8218c738fcaaba635d914d6fa14",
        ),
        (
            "server_name: 'a\\qb'",
            "614854a1ee25e3f790a9453d9e206dbce5cef7428ba0b918d1bf8ea16323c174",
        ),
        (
            "server_name: \"a\\x41\\tb\"",
            "838872d3a6fef1cdf1ed942aa3ea60a236ee35d078b7766dbed660e2089b540c",
        ),
        (
            "server_name: foo#bar",
            "85cb103fc8a514d33662b76567e4d5c4ff51114b0e04f9b9253666005fa020cc",
        ),
        (
            "server_name: foo//bar",
            "3150831175c7e5eab7cbede93ebd08ea136026d471384e4b58f7c05a7c47cf4d",
        ),
        (
            "server_tags: [ # c\na // x\n b\n]",
            "e09a48bacda8a05513e0da3231f1cef15d6c5fc6831f9a9b17c803c10209238c",
        ),
        (
            "cluster\n{\n name: a\n }",
            "6c260dd44f0808c1fff8001c2666a7a7df6a90a2b24338df5ccb57d404c18029",
        ),
        (
            "x: abc\npid_file: $x",
            "eb4a0988a3913d9b78aad129822cc3838fbc97e8c0116d2b21cb0859d2f53c35",
        ),
        (
            "cluster { y: def\n name: $y \n }",
            "185693c15ac5a5aa6883e9af3e7862e093a54e4cd2deeba9d07535d65d23ff07",
        ),
        ("server_name: \"é€\"", "272219ff901d7f8bb099c7eeca57d4d467dcecdbe669340d0db2fdf645e9a569"),
        (
            "authorization { timeout: 0.5\n user: a }",
            "a9112479c85586a9d394da2a7defc888559b8debf91b783eec95fd4505642d01",
        ),
        (
            "accounts { A {}, B {jetstream: enabled, users: [{user: x, pass: y}]} }\n",
            "27e3564eea8e40b36b81a4af9d49a43d9564d368d3f50b611a6d23bbbb465584",
        ),
    ] {
        let document = parse_with(&source(text)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(document.digest(), format!("sha256:{digest}"), "{text:?}");
    }
}

#[test]
fn arrays_are_separated_by_commas_or_new_lines() {
    for text in ["a: [x,y]", "a: [ x\n y ]", "a [\nx,\ny,\n]", "a: [x # c\n // d\n, y]"] {
        assert_eq!(words(&root(text), "a"), ["x", "y"], "{text:?}");
    }
    assert!(fails("a: [x y]").ends_with("but got `y`"));
    assert!(fails("a: [x,,y]").contains("unexpected `,`"));
    assert!(fails("a: [x").contains("ends inside an array"));
}

#[test]
fn a_brace_needs_no_blank_before_it() {
    let map = root("cluster{name:C1,listen:localhost:6222}");
    assert_eq!(text_at(&map, "cluster/name"), "C1");
    assert_eq!(text_at(&map, "cluster/listen"), "localhost:6222");
}

#[test]
fn a_value_on_the_next_line_is_one_that_is_no_key() {
    let map = root("cluster\n{\n\"name\":\n  \"C1\"\n}\na:\n[x]");
    assert_eq!(text_at(&map, "cluster/name"), "C1");
    assert_eq!(words(&map, "a"), ["x"]);
    assert!(fails("a:\n\"b\": 1").contains("after the value, but got `:`"));
    assert!(fails("a\n\"b\": 1").contains("expected a value after the key \"a\""));
}

#[test]
fn a_value_may_begin_with_a_comment_sign() {
    // Like NATS: behind the separator, passwords such as `#secret` are values.
    assert_eq!(text_at(&root("pass: #abc"), "pass"), "#abc");
    assert_eq!(text_at(&root("pass: //abc"), "pass"), "//abc");
}

#[test]
fn places_count_lines_and_columns_from_one() {
    let map = root("a: 1\n  é: { bc = 'x' }\n");
    let ValueKind::Map(inner) = at(&map, "é") else { panic!() };
    let entry = inner.get("bc").unwrap();
    assert_eq!(entry.at.to_string(), "dir/main.conf:2:8");
    assert_eq!(entry.value.at.to_string(), "dir/main.conf:2:13");
}

#[test]
fn faults_name_their_place() {
    for (text, complaint) in [
        ("a: 1\nb", "dir/main.conf:2:2: expected a value after the key \"b\""),
        ("a:\nb: 1", "dir/main.conf:1:2: expected a value after the key \"a\""),
        (
            "a: b c",
            "dir/main.conf:1:6: expected a new line, `,` or `;` after the value, but got `c`",
        ),
        (": 4", "dir/main.conf:1:1: unexpected `:`: a key must stand before it"),
        ("a: 1 }", "dir/main.conf:1:6: unexpected `}`: no map is open here"),
        ("a {\n b: 1", "dir/main.conf:1:3: the text ends inside a map that begins here"),
        (
            "{a: 1} b: 2",
            "dir/main.conf:1:8: unexpected text after the brace that closes the configuration",
        ),
        ("a: \"x\ny", "dir/main.conf:1:4: the text ends inside a string that begins here"),
        ("a: (\nx)\n", "dir/main.conf:1:4: the text ends inside a block that begins here"),
        (
            "a: \"\\q\"",
            "dir/main.conf:1:5: `\\q` is no escape: only \\xHH, \\t, \\n, \\r, \\\" and \\\\ are",
        ),
        ("a: -x", "dir/main.conf:1:4: not a number: quote it if it is a string"),
        ("a: 10e", "dir/main.conf:1:4: the integer is out of range"),
    ] {
        assert_eq!(fails(text), complaint);
    }
    let broken = MemorySource::with_file("dir/main.conf", b"ab: 1\nc: \xff".as_slice());
    let error = parse_with(&broken).unwrap_err().to_string();
    assert_eq!(error, "dir/main.conf:2:4: the text is not valid UTF-8");
}

#[test]
fn variables_look_outwards_then_to_the_environment() {
    let source = source("x: 1\nm { x: 2, n { a: $x }, e: $ENV }\nb: $x")
        .with_variable("ENV", "[1k, two]")
        .with_variable("x", "3");
    let map = parse_with(&source).unwrap().root;
    assert!(matches!(at(&map, "m/n/a"), ValueKind::Integer(i) if i.number == 2));
    assert!(matches!(at(&map, "b"), ValueKind::Integer(i) if i.number == 1));
    assert!(matches!(at(&map, "m/e"), ValueKind::Array(items) if items.len() == 2));
    assert!(map.get("x").unwrap().used);
    assert!(!map.get("b").unwrap().used);
}

#[test]
fn a_variable_must_be_defined_before_its_use_and_not_by_itself() {
    assert!(fails("a: $a").contains("variable reference for 'a' can not be found"));
    assert!(fails("x: $y\ny: 1").contains("'y' can not be found"));
    let cycle = source("a: $A").with_variable("A", "$B").with_variable("B", "$A");
    assert!(parse_with(&cycle).unwrap_err().to_string().ends_with("cycle for 'A'"));
    let broken = source("a: $A").with_variable("A", "x y");
    assert!(parse_with(&broken).unwrap_err().to_string().contains("'A' could not be parsed"));
    let empty = source("a: $A").with_variable("A", "");
    assert_eq!(text_at(&parse_with(&empty).unwrap().root, "a"), "");
    assert_eq!(text_at(&root("a: \"$A\", b: x$A"), "a"), "$A");
}

#[test]
fn includes_are_relative_and_work_in_any_map() {
    let source = source("include 'sub/a.conf'\nm { include \"b.conf\" }\nb: 2")
        .file("dir/sub/a.conf", "a: 1\ninclude c.conf\nb: 1")
        .file("dir/sub/c.conf", "c: yes")
        .file("dir/b.conf", "{ d: x }");
    let document = parse_with(&source).unwrap();
    assert_eq!(text_at(&document.root, "m/d"), "x");
    assert!(matches!(at(&document.root, "c"), ValueKind::Bool(true)));
    assert_eq!(document.root.get("a").unwrap().at.to_string(), "dir/sub/a.conf:1:1");
    let [again] = document.repeated.as_slice() else { panic!() };
    assert_eq!(again.key, "b");
    assert_eq!(again.first.to_string(), "dir/sub/a.conf:3:1");
}

#[test]
fn an_include_that_is_absent_or_endless_is_refused() {
    assert!(
        fails("include ./no.conf").starts_with("dir/main.conf:1:1: cannot read \"dir/./no.conf\"")
    );
    assert!(fails("include main.conf").contains("includes itself"));
    let mut chain = source("include 0.conf");
    for index in 0..40 {
        chain = chain.file(format!("dir/{index}.conf"), format!("include {}.conf", index + 1));
    }
    let error = parse_with(&chain).unwrap_err();
    assert!(matches!(error.fault, Fault::TooMuch { .. }), "{error}");
}

#[test]
fn nesting_is_bounded_however_it_comes_about() {
    let nest = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
    root(&nest(MAX_DEPTH));
    assert!(fails(&nest(MAX_DEPTH + 1)).contains("within each other"));
    assert!(fails(&"a {".repeat(100_000)).contains("within each other"));

    let chain: String = (1..200).map(|n| format!("v{n}: [$v{}]\n", n - 1)).collect();
    assert!(fails(&format!("v0: 1\n{chain}")).contains("within each other"));
}

#[test]
fn variables_cannot_multiply_without_bound() {
    let mut bomb = String::from("v0: [aaaaaaaaaaaaaaaa]\n");
    for n in 1..40 {
        let before = n - 1;
        bomb.push_str(&format!("v{n}: [$v{before}, $v{before}, $v{before}, $v{before}]\n"));
    }
    assert!(fails(&bomb).contains("variables expanded"));
}

#[test]
fn debug_shows_no_content() {
    let map = root("authorization { pass: s3cret }");
    assert!(!format!("{map:?}").contains("s3cret"));
}
