//! Just enough of Rust's grammar to tell code from comments, strings and tests.

pub(crate) fn lines_with<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.lines()
        .enumerate()
        .filter(move |(_, line)| line.contains(word))
        .map(|(index, _)| index + 1)
}

/// `use std::{fs, io};` as `std::fs` and `std::io`, on the same lines.
pub(crate) fn spell_out_imports(code: &str) -> String {
    let mut spelled = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("std::{") {
        let (before, list) = rest.split_at(at);
        let list = &list["std::{".len()..];
        spelled.push_str(before);
        let mut depth = 1_usize;
        let mut starts = true;
        let mut end = list.len();
        for (index, c) in list.char_indices() {
            depth = match c {
                '{' => depth + 1,
                '}' => depth - 1,
                _ => depth,
            };
            if depth == 0 {
                end = index;
                break;
            }
            if starts && !c.is_whitespace() {
                spelled.push_str("std::");
                starts = false;
            }
            starts |= c == ',' && depth == 1;
            spelled.push(c);
        }
        rest = &list[end..];
    }
    spelled + rest
}

/// The next item under `#[cfg(test)]`, from its attribute to its end.
pub(crate) fn test_item(code: &str) -> Option<(usize, usize)> {
    let from = code.find("#[cfg(test)]").or_else(|| code.find("#[cfg(all(test"))?;
    let body = from + code[from..].find(['{', ';'])?;
    if code.as_bytes()[body] == b';' {
        return Some((from, body + 1));
    }
    let mut depth = 0_usize;
    for (at, c) in code[body..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some((from, body + at + 1)),
            '}' => depth -= 1,
            _ => {}
        }
    }
    Some((from, code.len()))
}

/// Blanks instead of everything between two places, lines kept.
pub(crate) fn blank(text: &str, from: usize, to: usize) -> String {
    let blanks = text[from..to].chars().map(|c| if c == '\n' { '\n' } else { ' ' });
    text[..from].chars().chain(blanks).chain(text[to..].chars()).collect()
}

/// Blanks instead of comments and of what stands in strings and characters.
pub(crate) fn blank_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' | 'b' | '"' if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => {
                string(rest)
            }
            '\'' => character(rest),
            _ => 0,
        };
        let (taken, left) = rest.split_at(skipped.max(first.len_utf8()));
        if skipped == 0 {
            code.push_str(taken);
        } else {
            code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = left;
    }
    code
}

/// How long the string literal is that `text` begins with; 0 when it begins with none.
pub(crate) fn string(text: &str) -> usize {
    let prefix = text.len() - text.trim_start_matches(['b', 'r']).len();
    let raw = text[..prefix.min(2)].contains('r');
    let hashes = text[prefix..].len() - text[prefix..].trim_start_matches('#').len();
    if prefix > 2 || !text[prefix + hashes..].starts_with('"') || (hashes > 0 && !raw) {
        return 0;
    }
    let begin = prefix + hashes + 1;
    if raw {
        let close = format!("\"{}", "#".repeat(hashes));
        return text[begin..].find(&close).map_or(text.len(), |end| begin + end + close.len());
    }
    let mut escaped = false;
    for (at, c) in text[begin..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return begin + at + 1,
            _ => {}
        }
    }
    text.len()
}

/// How long the character literal is that `text` begins with; 0 for a lifetime.
pub(crate) fn character(text: &str) -> usize {
    let inside = &text[1..];
    if inside.starts_with('\\') {
        return inside[2..].find('\'').map_or(0, |end| end + 4);
    }
    let first = inside.chars().next().map_or(0, char::len_utf8);
    if inside[first..].starts_with('\'') { first + 2 } else { 0 }
}
