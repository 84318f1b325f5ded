//! `flotilla consumer add`

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::info;
use crate::cli::Session;
use crate::exit::Failure;
use crate::name;
use crate::output::duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    /// The consumer's name
    #[arg(value_parser = name::parse)]
    consumer: String,

    /// Fetch messages when they are wanted; the default, spelled out for scripts
    #[arg(long, conflicts_with = "target")]
    pull: bool,

    /// Push messages to this subject
    #[arg(long, value_name = "SUBJECT")]
    target: Option<String>,

    /// Share the pushed messages among this queue group's members
    #[arg(long, value_name = "GROUP", requires = "target")]
    deliver_group: Option<String>,

    /// Let the server delete the consumer after this long without use
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    inactive_threshold: Option<Duration>,

    /// Do not keep the consumer across its last use: see --inactive-threshold
    #[arg(long)]
    ephemeral: bool,

    /// Only messages of these subjects, comma-separated or repeated
    #[arg(long, value_delimiter = ',', value_name = "SUBJECT")]
    filter: Vec<String>,

    /// Where to begin: all, last, new, last_per_subject, or a sequence number
    #[arg(long, default_value = "all", value_name = "WHERE", value_parser = parse_start)]
    deliver: Start,

    /// How messages are acknowledged
    #[arg(long, default_value = "explicit", value_parser = ["explicit", "all", "none"])]
    ack: String,

    /// How fast: at once, or as fast as they were published
    #[arg(long, default_value = "instant", value_parser = ["instant", "original"])]
    replay: String,

    /// How long to wait for an acknowledgment before delivering again
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,

    /// How often to deliver a message at most
    #[arg(long, value_name = "N")]
    max_deliver: Option<u64>,

    /// How many messages may wait for their acknowledgments
    #[arg(long, value_name = "N")]
    max_pending: Option<u64>,

    /// How many pull requests may wait
    #[arg(long, value_name = "N", conflicts_with = "target")]
    max_waiting: Option<u64>,

    /// Servers that keep the consumer's state [default: as many as the stream]
    #[arg(long, value_name = "N")]
    replicas: Option<u64>,

    /// Keep the state in memory only
    #[arg(long)]
    memory: bool,

    /// Deliver headers only
    #[arg(long)]
    headers_only: bool,

    /// What the consumer is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Where a consumer begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Start {
    Policy(&'static str),
    Sequence(u64),
}

fn parse_start(text: &str) -> Result<Start, String> {
    const POLICIES: [&str; 4] = ["all", "last", "new", "last_per_subject"];
    if let Some(policy) = POLICIES.into_iter().find(|&policy| policy == text) {
        return Ok(Start::Policy(policy));
    }
    match text.parse() {
        Ok(sequence) if sequence > 0 => Ok(Start::Sequence(sequence)),
        _ => Err(format!("{} or a sequence number is expected", POLICIES.join(", "))),
    }
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let request =
        json!({"stream_name": args.stream, "config": configuration(args), "action": "create"});
    let reply = session.nats.call(&api(args), &request).await?;
    session.out.reply(&reply, || info::describe(reply.fields(), session.out.paint))
}

/// A consumer with one filter is created under a subject that names it, so that permissions can tell filters
/// apart.
fn api(args: &Args) -> String {
    match args.filter.as_slice() {
        [filter] => format!("CONSUMER.CREATE.{}.{}.{filter}", args.stream, args.consumer),
        _ => format!("CONSUMER.CREATE.{}.{}", args.stream, args.consumer),
    }
}

fn configuration(args: &Args) -> Value {
    let mut config = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    let nanoseconds =
        |duration: Option<Duration>| duration.map(|d| duration::nanoseconds(d).into());
    set("name", Some(args.consumer.as_str().into()));
    set("durable_name", (!args.ephemeral).then(|| args.consumer.as_str().into()));
    set("ack_policy", Some(args.ack.as_str().into()));
    set("replay_policy", Some(args.replay.as_str().into()));
    match &args.deliver {
        Start::Policy(policy) => set("deliver_policy", Some((*policy).into())),
        Start::Sequence(sequence) => {
            set("deliver_policy", Some("by_start_sequence".into()));
            set("opt_start_seq", Some((*sequence).into()));
        }
    }
    match args.filter.as_slice() {
        [] => {}
        [filter] => set("filter_subject", Some(filter.as_str().into())),
        filters => set("filter_subjects", Some(filters.into())),
    }
    set("deliver_subject", args.target.as_deref().map(Value::from));
    set("deliver_group", args.deliver_group.as_deref().map(Value::from));
    set("description", args.description.as_deref().map(Value::from));
    set("ack_wait", nanoseconds(args.wait));
    set("inactive_threshold", nanoseconds(args.inactive_threshold));
    set("max_deliver", args.max_deliver.map(Value::from));
    set("max_ack_pending", args.max_pending.map(Value::from));
    set("max_waiting", args.max_waiting.map(Value::from));
    set("num_replicas", args.replicas.map(Value::from));
    set("mem_storage", args.memory.then(|| true.into()));
    set("headers_only", args.headers_only.then(|| true.into()));
    Value::Object(config)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &[&str]) -> Args {
        Line::try_parse_from(["add"].iter().chain(line)).unwrap().args
    }

    #[test]
    fn a_durable_pull_consumer_is_the_default() {
        let args = parsed(&["ORDERS", "c1", "--pull"]);
        let expected = json!({"name": "c1", "durable_name": "c1", "ack_policy": "explicit",
            "replay_policy": "instant", "deliver_policy": "all"});
        assert_eq!(configuration(&args), expected);
        assert_eq!(api(&args), "CONSUMER.CREATE.ORDERS.c1");
    }

    #[test]
    fn one_filter_stands_in_the_subject() {
        let args = parsed(&["S", "c", "--filter", "a.*", "--deliver", "17", "--wait", "1m"]);
        assert_eq!(api(&args), "CONSUMER.CREATE.S.c.a.*");
        let config = configuration(&args);
        assert_eq!(config["filter_subject"], "a.*");
        assert_eq!(config["opt_start_seq"], 17);
        assert_eq!(config["ack_wait"], 60_000_000_000_u64);
        assert_eq!(api(&parsed(&["S", "c", "--filter", "a,b"])), "CONSUMER.CREATE.S.c");
    }

    #[test]
    fn a_start_that_is_no_position_is_refused() {
        assert_eq!(parse_start("new"), Ok(Start::Policy("new")));
        for text in ["0", "-1", "newest", ""] {
            assert!(parse_start(text).is_err(), "{text:?}");
        }
    }
}
