//! The part of a stream's configuration that can be given on the command line, for `add` and for `edit`.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::output::{duration, quantity};

/// Configuration that may change during a stream's life.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigArgs {
    /// Subjects the stream stores, comma-separated or repeated [default: the stream's name]
    #[arg(long, value_delimiter = ',', value_name = "SUBJECT")]
    subjects: Vec<String>,

    /// Servers that keep a copy; an odd number, quorum is more than half of it
    #[arg(long, value_name = "N")]
    replicas: Option<u64>,

    /// What the stream is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// Messages to keep at most
    #[arg(long, value_name = "N")]
    max_msgs: Option<u64>,

    /// Messages to keep at most of each subject
    #[arg(long, value_name = "N")]
    max_msgs_per_subject: Option<u64>,

    /// Bytes to keep at most (10MB, 2GiB)
    #[arg(long, value_name = "SIZE", value_parser = quantity::parse_bytes)]
    max_bytes: Option<u64>,

    /// Age of the oldest message to keep (24h, 7d)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    max_age: Option<Duration>,

    /// Size of the largest message to accept
    #[arg(long, value_name = "SIZE", value_parser = quantity::parse_bytes)]
    max_msg_size: Option<u64>,

    /// Consumers to allow at most
    #[arg(long, value_name = "N")]
    max_consumers: Option<u64>,

    /// How long message ids are remembered against duplicates
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    dupe_window: Option<Duration>,

    /// What to do with a message beyond the limits: drop the oldest, or refuse the new
    #[arg(long, value_parser = ["old", "new"])]
    discard: Option<String>,

    /// Only servers with this tag keep copies; repeatable
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,

    /// Only servers of this cluster keep copies
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,

    /// A note for tools, as KEY=VALUE; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    metadata: Vec<(String, String)>,
}

impl ConfigArgs {
    /// Writes what was given into a configuration in the API's form, and leaves the rest of it alone.
    pub(crate) fn apply(&self, config: &mut Map<String, Value>) {
        let numbers = [
            ("num_replicas", self.replicas),
            ("max_msgs", self.max_msgs),
            ("max_msgs_per_subject", self.max_msgs_per_subject),
            ("max_bytes", self.max_bytes),
            ("max_msg_size", self.max_msg_size),
            ("max_consumers", self.max_consumers),
            ("max_age", self.max_age.map(duration::nanoseconds)),
            ("duplicate_window", self.dupe_window.map(duration::nanoseconds)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                config.insert(name.into(), number.into());
            }
        }
        for (name, text) in [("description", &self.description), ("discard", &self.discard)] {
            if let Some(text) = text {
                config.insert(name.into(), text.as_str().into());
            }
        }
        if !self.subjects.is_empty() {
            config.insert("subjects".into(), self.subjects.clone().into());
        }
        self.apply_placement(config);
        for (key, value) in &self.metadata {
            let metadata = config.entry("metadata").or_insert_with(|| json!({}));
            metadata[key.as_str()] = value.as_str().into();
        }
    }

    fn apply_placement(&self, config: &mut Map<String, Value>) {
        if self.cluster.is_none() && self.tag.is_empty() {
            return;
        }
        let placement = config.entry("placement").or_insert_with(|| json!({}));
        if let Some(cluster) = &self.cluster {
            placement["cluster"] = cluster.as_str().into();
        }
        if !self.tag.is_empty() {
            placement["tags"] = self.tag.clone().into();
        }
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("KEY=VALUE is expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_written() {
        let mut config = Map::new();
        config.insert("max_msgs".into(), 5.into());
        let args = ConfigArgs {
            replicas: Some(3),
            max_age: Some(Duration::from_secs(1)),
            cluster: Some("C1".into()),
            metadata: vec![("team".into(), "a".into())],
            ..ConfigArgs::default()
        };
        args.apply(&mut config);
        let expected = json!({
            "max_msgs": 5, "num_replicas": 3, "max_age": 1_000_000_000,
            "placement": {"cluster": "C1"}, "metadata": {"team": "a"},
        });
        assert_eq!(Value::Object(config), expected);
    }
}
