//! Which servers a request is meant for.

use serde::Deserialize;

use super::answer::ServerInfo;

/// The part of a request's body that chooses servers. What is empty chooses all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    server_name: String,
    cluster: String,
    host: String,
    /// Name, cluster and host must be equal to what is asked for, rather than contain it.
    exact_match: bool,
    tags: Vec<String>,
    domain: String,
}

impl Filter {
    /// Whether that server is meant. It must have all of the tags, however they are capitalized.
    pub(super) fn admits(&self, server: &ServerInfo) -> bool {
        let admits = |asked: &str, own: &str| match self.exact_match {
            _ if asked.is_empty() => true,
            true => own == asked,
            false => own.contains(asked),
        };
        let has = |tag: &String| server.tags.iter().any(|own| own.eq_ignore_ascii_case(tag));
        admits(&self.server_name, &server.name)
            && admits(&self.cluster, &server.cluster)
            && admits(&self.host, &server.host)
            && self.tags.iter().all(has)
            && (self.domain.is_empty() || self.domain == server.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(body: &str) -> bool {
        let server = ServerInfo {
            name: "n1-c1".into(),
            host: "10.0.0.1".into(),
            cluster: "C1".into(),
            tags: vec!["zone:a".into(), "ssd".into()],
            ..ServerInfo::default()
        };
        serde_json::from_str::<Filter>(body).unwrap().admits(&server)
    }

    #[test]
    fn an_empty_filter_and_the_options_of_a_request_choose_everybody() {
        assert!(admits("{}"));
        assert!(admits(r#"{"server_name":"","tags":[],"leader_only":true,"exact_match":true}"#));
    }

    #[test]
    fn names_are_parts_of_names_unless_they_are_to_match_exactly() {
        assert!(admits(r#"{"server_name":"n1","cluster":"C","host":"10."}"#));
        assert!(!admits(r#"{"server_name":"n1","exact_match":true}"#));
        assert!(admits(r#"{"server_name":"n1-c1","cluster":"C1","exact_match":true}"#));
        assert!(!admits(r#"{"server_name":"n1","cluster":"C2"}"#));
        assert!(!admits(r#"{"host":"10.0.0.2"}"#));
    }

    #[test]
    fn all_tags_are_needed_and_the_domain_is_never_a_part() {
        assert!(admits(r#"{"tags":["ZONE:A","ssd"]}"#));
        assert!(!admits(r#"{"tags":["zone:a","hdd"]}"#));
        assert!(!admits(r#"{"domain":"hub"}"#));
    }
}
