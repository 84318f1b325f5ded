//! `flotilla consumer info`

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

    /// The consumer's name
    #[arg(value_parser = name::parse)]
    consumer: String,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let api = format!("CONSUMER.INFO.{}.{}", args.stream, args.consumer);
    let reply = session.nats.call(&api, &Value::Null).await?;
    session.out.reply(&reply, || describe(reply.fields(), session.out.paint))
}

/// A consumer's information for people.
pub(super) fn describe(info: Fields<'_>, paint: Paint) -> String {
    let mut block = Block::new(format!(
        "Information for Consumer {} > {} created {}",
        info.text("stream_name"),
        paint.strong(info.text("name")),
        time::local(info.text("created"))
    ));
    configuration(&mut block, info.at("config"));
    cluster::describe(&mut block, info.at("cluster"), paint);
    state(&mut block, info);
    block.render()
}

fn configuration(block: &mut Block, config: Fields<'_>) {
    let short = |name| duration::short(Duration::from_nanos(config.number(name)));
    block.heading("Configuration");
    block.field_if("Description", config.text("description"));
    block.field("Durable", if config.text("durable_name").is_empty() { "no" } else { "yes" });
    match config.text("deliver_subject") {
        "" => block.field("Delivery", "pull"),
        subject => block.field("Delivery", format!("push to {subject}")),
    };
    block.field_if("Queue Group", config.text("deliver_group"));
    let one = Some(config.text("filter_subject")).filter(|filter| !filter.is_empty());
    let filters: Vec<&str> = one.into_iter().chain(config.texts("filter_subjects")).collect();
    block.field_if("Filter Subjects", filters.join(", "));
    let start =
        config.limit("opt_start_seq").map(|seq| format!(", sequence {seq}")).unwrap_or_default();
    block.field("Deliver Policy", format!("{}{start}", config.text("deliver_policy")));
    block.field("Ack Policy", config.text("ack_policy"));
    if config.text("ack_policy") != "none" {
        block.field("Ack Wait", short("ack_wait"));
    }
    block.field("Replay Policy", config.text("replay_policy"));
    block
        .field("Maximum Deliveries", quantity::limit(config.limit("max_deliver"), quantity::count));
    block.field(
        "Max Ack Pending",
        quantity::limit(config.limit("max_ack_pending"), quantity::count),
    );
    if config.has("inactive_threshold") {
        block.field("Inactive Threshold", short("inactive_threshold"));
    }
    if let Some(replicas) = config.limit("num_replicas") {
        block.field("Replicas", replicas.to_string());
    }
}

fn state(block: &mut Block, info: Fields<'_>) {
    let position = |position: Fields<'_>| {
        let count = |name| quantity::count(position.number(name));
        let last = Some(position.text("last_active")).filter(|at| time::is_set(at));
        let last = last.map(|at| format!(" @ {}", time::local(at))).unwrap_or_default();
        format!(
            "consumer sequence {}, stream sequence {}{last}",
            count("consumer_seq"),
            count("stream_seq")
        )
    };
    block.heading("State");
    block.field("Last Delivered", position(info.at("delivered")));
    block.field("Acknowledgment Floor", position(info.at("ack_floor")));
    block.field("Outstanding Acks", quantity::count(info.number("num_ack_pending")));
    block.field("Redelivered Messages", quantity::count(info.number("num_redelivered")));
    block.field("Unprocessed Messages", quantity::count(info.number("num_pending")));
    block.field("Waiting Pulls", quantity::count(info.number("num_waiting")));
    if info.flag("paused") {
        let left = Duration::from_nanos(info.number("pause_remaining"));
        block.field("Paused", format!("for another {}", duration::short(left)));
    }
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_consumer_s_state_is_told_in_words() {
        let info = json!({
            "stream_name": "ORDERS", "name": "c1", "created": "2021-02-05T11:07:34Z",
            "config": {"durable_name": "c1", "ack_policy": "explicit", "deliver_policy": "all",
                "ack_wait": 30_000_000_000_u64, "max_deliver": -1, "filter_subject": "ORDERS.new"},
            "delivered": {"consumer_seq": 2, "stream_seq": 3}, "num_pending": 7,
        });
        let text = describe(Fields(&info), Paint::new(ColorChoice::Never, false));
        for words in [
            "Information for Consumer ORDERS > c1 created",
            "Delivery: pull\n",
            "Filter Subjects: ORDERS.new\n",
            "Ack Wait: 30s\n",
            "Maximum Deliveries: unlimited\n",
            "Last Delivered: consumer sequence 2, stream sequence 3\n",
            "Unprocessed Messages: 7\n",
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
    }
}
