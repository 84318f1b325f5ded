//! `flotilla bench`

use std::time::Duration;

use flotilla_loads::{Figures, Load, LoadError, Servers, Window};
use serde_json::{Value, json};

use crate::connect::{self, ConnectionArgs};
use crate::exit::Failure;
use crate::output::{Output, duration};

/// Put loads on the servers and measure them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Name all servers of the cluster (--server URL,URL,URL): messages are published at the stream's leader. \
    The loads do the same to nats-server. What they create is deleted afterwards."
)]
pub(crate) struct Args {
    /// Only loads whose names contain one of these; "pull", "R3 128 B"
    load: Vec<String>,

    /// Say which loads there are
    #[arg(long, short = 'l')]
    list: bool,

    /// How long each load lasts
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration::parse)]
    length: Duration,

    /// How long it lasts before that, uncounted
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = duration::parse)]
    warm: Duration,
}

/// Runs the command.
///
/// # Errors
/// A server could not be reached, or a load was more than the servers stand.
pub(crate) async fn run(args: &Args, to: &ConnectionArgs, out: &Output) -> Result<(), Failure> {
    let wanted = |load: &Load| {
        args.load.is_empty() || args.load.iter().any(|text| load.name.contains(text.as_str()))
    };
    let loads: Vec<Load> = Load::all().filter(wanted).collect();
    if loads.is_empty() {
        let names: Vec<&str> = Load::all().map(|load| load.name).collect();
        let asked = args.load.join(", ");
        return Err(Failure::Usage(format!("no load is named {asked}: {}", names.join("; "))));
    }
    if args.list {
        let names: Vec<&str> = loads.iter().map(|load| load.name).collect();
        return out.document(&json!(names), || names.join("\n"));
    }
    let urls = connect::plain_urls(to)?;
    let servers = Servers::find(&urls).await?;
    let window = Window { warm: args.warm, length: args.length };
    let mut measured: Vec<(&str, Figures)> = Vec::new();
    for load in &loads {
        out.progress(&format!("{} ...", load.name));
        match load.run(&servers, window, &mut |_| ()).await {
            Ok(figures) => measured.push((load.name, figures)),
            // One load of all does not fit these servers; who asked for it by name hears of it.
            Err(LoadError::Unfit(why)) if args.load.is_empty() => {
                out.progress(&format!("{} is left out: {why}", load.name));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let document: serde_json::Map<String, Value> =
        measured.iter().map(|(name, figures)| ((*name).to_owned(), json!(figures))).collect();
    out.document(&Value::Object(document), || {
        let mut table = out.table(&["Load", "Figure", "Value"]);
        for (name, figures) in &measured {
            for (nth, (figure, value)) in figures.iter().enumerate() {
                let name = if nth == 0 { name } else { "" };
                table.row(&[name, figure, &flotilla_loads::short(value)]);
            }
        }
        table.render()
    })
}
