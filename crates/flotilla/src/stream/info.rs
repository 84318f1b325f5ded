//! `flotilla stream info`

use std::time::Duration;

use serde_json::Value;

use crate::cli::Session;
use crate::exit::Failure;
use crate::name;
use crate::output::block::Block;
use crate::output::paint::Paint;
use crate::output::{cluster, duration, quantity, time};
use crate::reply::Fields;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let reply = session.nats.call(&format!("STREAM.INFO.{}", args.stream), &Value::Null).await?;
    session.out.reply(&reply, || describe(reply.fields(), session.out.paint))
}

/// A stream's information for people.
pub(super) fn describe(info: Fields<'_>, paint: Paint) -> String {
    let config = info.at("config");
    let mut block = Block::new(format!(
        "Information for Stream {} created {}",
        paint.strong(config.text("name")),
        time::local(info.text("created"))
    ));
    configuration(&mut block, config);
    limits(&mut block, config);
    cluster::describe(&mut block, info.at("cluster"), paint);
    state(&mut block, info.at("state"));
    block.render()
}

fn configuration(block: &mut Block, config: Fields<'_>) {
    block.heading("Configuration");
    block.field_if("Description", config.text("description"));
    block.field_if("Subjects", config.texts("subjects").join(", "));
    block.field("Replicas", config.number("num_replicas").to_string());
    block.field("Storage", config.text("storage"));
    block.field("Retention", config.text("retention"));
    block.field("Discard Policy", config.text("discard"));
    block.field("Acknowledgments", yes_no(!config.flag("no_ack")));
    let window = Duration::from_nanos(config.number("duplicate_window"));
    block.field("Duplicate Window", duration::short(window));
    block.field("Direct Get", yes_no(config.flag("allow_direct")));
    block.field_if(
        "Compression",
        Some(config.text("compression")).filter(|&c| c != "none").unwrap_or(""),
    );
    for (label, name) in [
        ("Allows Rollups", "allow_rollup_hdrs"),
        ("Denies Delete", "deny_delete"),
        ("Denies Purge", "deny_purge"),
        ("Sealed", "sealed"),
    ] {
        if config.flag(name) {
            block.field(label, "yes");
        }
    }
    block.field_if("Mirror of", config.at("mirror").text("name"));
    let sources: Vec<&str> = config.list("sources").map(|source| source.text("name")).collect();
    block.field_if("Sources", sources.join(", "));
    block.field_if("Placement Cluster", config.at("placement").text("cluster"));
    block.field_if("Placement Tags", config.at("placement").texts("tags").join(", "));
}

fn limits(block: &mut Block, config: Fields<'_>) {
    let count = |name| quantity::limit(config.limit(name), quantity::count);
    let bytes = |name| quantity::limit(config.limit(name), quantity::bytes);
    let age = |nanoseconds| duration::short(Duration::from_nanos(nanoseconds));
    block.heading("Limits");
    block.field("Maximum Messages", count("max_msgs"));
    block.field("Maximum Per Subject", count("max_msgs_per_subject"));
    block.field("Maximum Bytes", bytes("max_bytes"));
    block.field("Maximum Age", quantity::limit(config.limit("max_age"), age));
    block.field("Maximum Message Size", bytes("max_msg_size"));
    block.field("Maximum Consumers", count("max_consumers"));
}

/// The section `State`: what the stream holds.
pub(super) fn state(block: &mut Block, state: Fields<'_>) {
    let position = |sequence, at| {
        let at = Some(state.text(at)).filter(|at| time::is_set(at));
        let at = at.map(|at| format!(" @ {}", time::local(at))).unwrap_or_default();
        format!("{}{at}", quantity::count(state.number(sequence)))
    };
    block.heading("State");
    block.field("Messages", quantity::count(state.number("messages")));
    block.field("Bytes", quantity::bytes(state.number("bytes")));
    block.field("First Sequence", position("first_seq", "first_ts"));
    block.field("Last Sequence", position("last_seq", "last_ts"));
    if let Some(deleted) = state.limit("num_deleted") {
        block.field("Deleted Messages", quantity::count(deleted));
    }
    if state.at("lost").has("msgs") {
        block.field("Lost Messages", quantity::count(state.at("lost").list("msgs").count() as u64));
    }
    block.field("Active Consumers", quantity::count(state.number("consumer_count")));
    if let Some(subjects) = state.limit("num_subjects") {
        block.field("Number of Subjects", quantity::count(subjects));
    }
}

fn yes_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_s_words_are_there() {
        let info = json!({
            "created": "2021-02-05T11:07:34Z",
            "config": {"name": "ORDERS", "subjects": ["ORDERS.*"], "num_replicas": 3,
                "storage": "file", "retention": "limits", "discard": "old", "max_msgs": -1,
                "max_bytes": 2048, "duplicate_window": 120_000_000_000_u64},
            "cluster": {"name": "C1", "leader": "n1-c1", "replicas": []},
            "state": {"messages": 1234, "bytes": 135, "first_seq": 1, "last_seq": 1234,
                "first_ts": "2021-02-05T11:07:34Z", "last_ts": "0001-01-01T00:00:00Z"},
        });
        let text = describe(Fields(&info), Paint::new(ColorChoice::Never, false));
        for words in [
            "Information for Stream ORDERS created 2021-02-05T",
            "Replicas: 3\n",
            "Maximum Messages: unlimited\n",
            "Maximum Bytes: 2.0 KiB\n",
            "Duplicate Window: 2m0s\n",
            "Cluster Information:\n",
            "Leader: n1-c1\n",
            "Messages: 1,234\n",
            "Last Sequence: 1,234\n",
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
    }
}
