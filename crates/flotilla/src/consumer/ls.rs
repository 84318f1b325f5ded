//! `flotilla consumer ls`

use serde_json::Value;

use crate::cli::Session;
use crate::exit::Failure;
use crate::name;
use crate::output::{quantity, time};
use crate::reply::Fields;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    /// Only the names, one per line
    #[arg(long, short = 'n')]
    names: bool,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let out = &session.out;
    if args.names {
        let api = format!("CONSUMER.NAMES.{}", args.stream);
        let names = session.nats.call_all(&api, Value::Null, "consumers").await?;
        return out.names(&names, "consumers");
    }
    let api = format!("CONSUMER.LIST.{}", args.stream);
    let list = session.nats.call_all(&api, Value::Null, "consumers").await?;
    let list = Fields(&list);
    for missing in list.texts("missing") {
        out.progress(&format!("Consumer {missing} did not answer: it has no leader at the moment"));
    }
    out.document(list.0, || {
        let mut table = out.table(&[
            "Name",
            "Leader",
            "Ack Pending",
            "Redelivered",
            "Unprocessed",
            "Last Delivery",
        ]);
        for consumer in list.list("consumers") {
            table.row(&row(consumer));
        }
        table.render()
    })
}

fn row(consumer: Fields<'_>) -> [String; 6] {
    let last = consumer.at("delivered").text("last_active");
    [
        consumer.text("name").to_owned(),
        consumer.at("cluster").text("leader").to_owned(),
        quantity::count(consumer.number("num_ack_pending")),
        quantity::count(consumer.number("num_redelivered")),
        quantity::count(consumer.number("num_pending")),
        if time::is_set(last) { time::local(last) } else { "never".to_owned() },
    ]
}
