//! The digest of a configuration: SHA-256 over its tree as JSON, written as Go's encoder writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::value::{Map, Value, ValueKind};

/// `sha256:<hex>` of the tree.
pub(super) fn digest(root: &Map) -> String {
    let mut json = String::new();
    write_map(&mut json, root);
    json.push('\n');
    let hash = Sha256::digest(json.as_bytes());
    let mut digest = String::from("sha256:");
    for byte in hash {
        // Writing to a string cannot fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

fn write_map(json: &mut String, map: &Map) {
    let sorted: BTreeMap<&str, &Value> =
        map.iter().map(|(key, entry)| (key, &entry.value)).collect();
    json.push('{');
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        write_text(json, key);
        json.push(':');
        write_value(json, value);
    }
    json.push('}');
}

fn write_value(json: &mut String, value: &Value) {
    match &value.kind {
        ValueKind::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
        ValueKind::Integer(integer) => json.push_str(&integer.number.to_string()),
        ValueKind::Float(number) => json.push_str(&number.to_string()),
        ValueKind::Text(text) | ValueKind::Datetime(text) => write_text(json, text),
        ValueKind::Array(items) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write_value(json, item);
            }
            json.push(']');
        }
        ValueKind::Map(map) => write_map(json, map),
    }
}

/// A JSON string with the escapes of Go's encoder, which also hides what HTML would read.
fn write_text(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            _ => json.push(c),
        }
    }
    json.push('"');
}
