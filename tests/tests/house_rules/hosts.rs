//! The hosts that the tree names.

/// Hosts that the tree may name: whoever reads it can reach them, and nothing depends on where it was written.
pub(crate) const PUBLIC_HOSTS: &[&str] = &[
    "apache.org",
    "crates.io",
    "docs.rs",
    "github.com",
    "ietf.org",
    "nats.io",
    "raft.github.io",
    "rust-lang.org",
    "rustup.rs",
    "spdx.org",
    "doi.org",
    "usenix.org",
];

/// Hosts in URLs that are neither public nor made up: a number or a single word is made up.
pub(crate) fn hosts(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for scheme in ["http://", "https://"] {
            for (at, _) in line.match_indices(scheme) {
                let rest = &line[at + scheme.len()..];
                let host = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
                let host = &rest[..rest.find(|c| !host(c)).unwrap_or(rest.len())];
                let host = host.trim_end_matches('.');
                let made_up = !host.contains('.') || host.starts_with(|c: char| c.is_ascii_digit());
                let known = |known: &&str| {
                    host.strip_suffix(*known)
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                };
                if !made_up && !PUBLIC_HOSTS.iter().any(known) {
                    found.push((index + 1, host.to_owned()));
                }
            }
        }
    }
    found
}

mod tests {
    use super::*;

    #[test]
    fn knows_public_hosts_and_made_up_ones() {
        let public =
            "https://docs.nats.io/x http://127.0.0.1:8222 https://host/ https://github.com.";
        assert_eq!(hosts(public), []);
        let inner = concat!("see ", "https:", "//crates.internal.example.org/x");
        assert_eq!(hosts(inner), [(1, "crates.internal.example.org".to_owned())]);
        assert_eq!(hosts(concat!("http:", "//notgithub.com"))[0].1, "notgithub.com");
    }
}
