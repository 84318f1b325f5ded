//! `flotilla stream edit`

use serde_json::{Map, Value};

use super::{config::ConfigArgs, info};
use crate::cli::Session;
use crate::exit::Failure;
use crate::{name, prompt};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    #[command(flatten)]
    changes: ConfigArgs,

    /// Only show what would change
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let current = session.nats.call(&format!("STREAM.INFO.{}", args.stream), &Value::Null).await?;
    let before = configured(current.body.get("config"));
    let mut after = before.clone();
    args.changes.apply(&mut after);
    let differences = differences(&before, &after);
    if differences.is_empty() {
        session.out.progress(&format!("Stream {} is already so", args.stream));
        return session.out.reply(&current, || info::describe(current.fields(), session.out.paint));
    }
    for line in &differences {
        eprintln!("  {line}");
    }
    if args.dry_run {
        return Ok(());
    }
    prompt::confirm(&format!("Change stream {}?", args.stream), args.force).await?;
    let api = format!("STREAM.UPDATE.{}", args.stream);
    let reply = session.nats.call(&api, &Value::Object(after)).await?;
    session.out.progress(&format!("Stream {} was updated", args.stream));
    session.out.reply(&reply, || info::describe(reply.fields(), session.out.paint))
}

/// The configuration as the user set it: the server adds metadata of its own, under a name it reserves.
fn configured(config: Option<&Value>) -> Map<String, Value> {
    let mut config = config.and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(Value::Object(metadata)) = config.get_mut("metadata") {
        metadata.retain(|key, _| !key.starts_with("_nats."));
    }
    config
}

/// What differs, as `field: before -> after`.
fn differences(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    changed
        .map(|(name, value)| {
            let before = before.get(name).map_or_else(|| "unset".to_owned(), Value::to_string);
            format!("{name}: {before} -> {value}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changes_is_shown_and_the_server_s_notes_are_left_out() {
        let info =
            json!({"num_replicas": 3, "max_msgs": -1, "metadata": {"_nats.ver": "2", "team": "a"}});
        let before = configured(Some(&info));
        assert_eq!(before["metadata"], json!({"team": "a"}));
        let mut after = before.clone();
        after.insert("num_replicas".into(), 1.into());
        after.insert("max_age".into(), 5.into());
        assert_eq!(differences(&before, &after), ["max_age: unset -> 5", "num_replicas: 3 -> 1"]);
    }
}
