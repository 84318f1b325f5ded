//! What documents point to.

/// The targets of links that stay within the tree, without the place inside the target.
pub(crate) fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            let Some(end) = rest.find(')') else { continue };
            let target = rest[..end].split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                found.push((index + 1, target.to_owned()));
            }
        }
    }
    found
}

/// Files and folders that stand in backquotes: what has a slash and is neither a pattern nor on another machine.
pub(crate) fn paths(text: &str) -> Vec<(usize, String)> {
    let roots = ["crates/", "docs/", "tests/", "tools/", "conf/"];
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
        for path in quoted.filter(|path| path.chars().all(plain)) {
            if path.contains("/src/") || roots.iter().any(|root| path.starts_with(root)) {
                found.push((index + 1, path.to_owned()));
            }
        }
    }
    found
}

mod tests {
    use super::*;

    #[test]
    fn finds_links_and_paths_of_the_tree() {
        let text = "[a](docs/a.md#part) [b](https://host/b)\n`raft/src/a.rs` `cargo test` `a/b` `docs/c.md`";
        assert_eq!(links(text), [(1, "docs/a.md".to_owned())]);
        let expected = [(2, "raft/src/a.rs".to_owned()), (2, "docs/c.md".to_owned())];
        assert_eq!(paths(text), expected);
    }
}
