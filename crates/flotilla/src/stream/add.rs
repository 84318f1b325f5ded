//! `flotilla stream add`

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{config::ConfigArgs, info};
use crate::cli::Session;
use crate::exit::Failure;
use crate::name;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    /// Where messages are kept [default: file]
    #[arg(long, value_parser = ["file", "memory"])]
    storage: Option<String>,

    /// What ends a message's life: limits, no more interest, or being worked on [default: limits]
    #[arg(long, value_parser = ["limits", "interest", "workqueue", "work"])]
    retention: Option<String>,

    /// Compress stored messages
    #[arg(long, value_parser = ["none", "s2"])]
    compression: Option<String>,

    /// Let a message replace all earlier ones of its subject or of the stream
    #[arg(long)]
    allow_rollup: bool,

    /// Never let messages be deleted one by one
    #[arg(long)]
    deny_delete: bool,

    /// Never let the stream be purged
    #[arg(long)]
    deny_purge: bool,

    /// Do not let followers answer reads
    #[arg(long)]
    no_allow_direct: bool,

    /// Do not acknowledge what is published
    #[arg(long)]
    no_ack: bool,

    /// Take the configuration from this JSON file; arguments change it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    changeable: ConfigArgs,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let config = configuration(args)?;
    let reply = session.nats.call(&format!("STREAM.CREATE.{}", args.stream), &config).await?;
    if reply.fields().flag("did_create") {
        session.out.progress(&format!("Stream {} was created", args.stream));
    } else {
        session.out.progress(&format!("Stream {} exists with this configuration", args.stream));
    }
    session.out.reply(&reply, || info::describe(reply.fields(), session.out.paint))
}

fn configuration(args: &Args) -> Result<Value, Failure> {
    let mut config = match &args.config {
        Some(path) => read(path)?,
        None => Map::new(),
    };
    config.insert("name".into(), args.stream.as_str().into());
    for (name, given, default) in [
        ("storage", args.storage.as_deref(), Some("file")),
        ("retention", args.retention.as_deref(), Some("limits")),
        ("compression", args.compression.as_deref(), None),
    ] {
        let given = if given == Some("work") { Some("workqueue") } else { given };
        if let Some(given) = given {
            config.insert(name.into(), given.into());
        } else if let (Some(default), false) = (default, config.contains_key(name)) {
            config.insert(name.into(), default.into());
        }
    }
    for (name, given) in [
        ("allow_rollup_hdrs", args.allow_rollup),
        ("deny_delete", args.deny_delete),
        ("deny_purge", args.deny_purge),
        ("no_ack", args.no_ack),
    ] {
        if given {
            config.insert(name.into(), true.into());
        }
    }
    if args.no_allow_direct {
        config.insert("allow_direct".into(), false.into());
    } else {
        config.entry("allow_direct").or_insert(Value::Bool(true));
    }
    args.changeable.apply(&mut config);
    config.entry("num_replicas").or_insert(1.into());
    Ok(Value::Object(config))
}

fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let wrong = |reason: String| Failure::Usage(format!("{}: {reason}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(format!("not a configuration: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn configured(line: &[&str]) -> Value {
        let line = ["add"].iter().chain(line);
        configuration(&Line::try_parse_from(line).unwrap().args).unwrap()
    }

    #[test]
    fn defaults_are_a_file_stream_of_one_copy() {
        let expected = json!({"name": "S", "storage": "file", "retention": "limits",
            "allow_direct": true, "num_replicas": 1});
        assert_eq!(configured(&["S"]), expected);
    }

    #[test]
    fn arguments_go_before_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, br#"{"storage":"memory","num_replicas":5,"x":1}"#)
            .unwrap();
        let path = file.path().to_str().unwrap();
        let config = configured(&["S", "--config", path, "--replicas", "3", "--retention", "work"]);
        let expected = json!({"name": "S", "storage": "memory", "retention": "workqueue", "x": 1,
            "allow_direct": true, "num_replicas": 3});
        assert_eq!(config, expected);
    }
}
