//! `flotilla stream ls`

use serde_json::{Value, json};

use crate::cli::Session;
use crate::exit::Failure;
use crate::output::{quantity, time};
use crate::reply::Fields;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only streams that store messages of this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,

    /// Only the names, one per line
    #[arg(long, short = 'n')]
    names: bool,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let filter = args.subject.as_ref().map_or(Value::Null, |subject| json!({"subject": subject}));
    let out = &session.out;
    if args.names {
        let names = session.nats.call_all("STREAM.NAMES", filter, "streams").await?;
        return out.names(&names, "streams");
    }
    let list = session.nats.call_all("STREAM.LIST", filter, "streams").await?;
    let list = Fields(&list);
    for missing in list.texts("missing") {
        out.progress(&format!("Stream {missing} did not answer: it has no leader at the moment"));
    }
    out.document(list.0, || {
        let mut table = out.table(&[
            "Name",
            "Subjects",
            "Replicas",
            "Leader",
            "Messages",
            "Size",
            "Last Message",
        ]);
        for stream in list.list("streams") {
            table.row(&row(stream));
        }
        table.render()
    })
}

fn row(stream: Fields<'_>) -> [String; 7] {
    let (config, state) = (stream.at("config"), stream.at("state"));
    let last = state.text("last_ts");
    [
        config.text("name").to_owned(),
        config.texts("subjects").join(", "),
        config.number("num_replicas").to_string(),
        stream.at("cluster").text("leader").to_owned(),
        quantity::count(state.number("messages")),
        quantity::bytes(state.number("bytes")),
        if time::is_set(last) { time::local(last) } else { "never".to_owned() },
    ]
}
