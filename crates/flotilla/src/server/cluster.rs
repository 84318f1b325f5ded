//! `flotilla server cluster`: the meta group.

use async_nats::Request;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::election;
use crate::api::ApiError;
use crate::cli::Session;
use crate::exit::Failure;
use crate::output::cluster;
use crate::reply::Fields;
use crate::{name, prompt};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Let another server lead the meta group
    #[command(visible_aliases = ["stepdown", "sd", "elect"])]
    StepDown(StepDown),
    /// Remove a server for good: everything it held is replicated elsewhere
    #[command(visible_aliases = ["rm", "pr"])]
    PeerRemove(PeerRemove),
}

#[derive(Debug, Args)]
pub(crate) struct StepDown {
    /// The server that shall lead
    #[arg(long, value_name = "SERVER")]
    preferred: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PeerRemove {
    /// The server's name, or its peer id if the name is not known any more
    #[arg(value_parser = name::parse)]
    server: String,

    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::StepDown(args) => step_down(&args, session).await,
        Command::PeerRemove(args) => peer_remove(&args, session).await,
    }
}

/// The meta group as its leader sees it; only the leader answers this request.
async fn meta_group(session: &Session) -> Result<Value, ApiError> {
    const SUBJECT: &str = "$SYS.REQ.SERVER.PING.JSZ";
    let body = json!({"leader_only": true}).to_string();
    let request = Request::new().payload(body.into());
    let answer = session.nats.request(SUBJECT, request).await.map_err(|error| match error {
        ApiError::NoResponders { subject } => ApiError::Denied(format!(
            "nobody answers {subject}: this needs a user of the system account (--user)"
        )),
        other => other,
    })?;
    let answer: Value = serde_json::from_slice(&answer.payload).map_err(|error| {
        ApiError::Unreadable { subject: SUBJECT.into(), reason: error.to_string() }
    })?;
    let group = answer.get("data").and_then(|data| data.get("meta_cluster"));
    group.cloned().ok_or_else(|| ApiError::Unreadable {
        subject: SUBJECT.into(),
        reason: "it names no meta group: these servers are not a cluster".into(),
    })
}

async fn step_down(args: &StepDown, session: &Session) -> Result<(), Failure> {
    let before = meta_group(session).await?;
    let leader = Fields(&before).text("leader").to_owned();
    if leader.is_empty() {
        return Err(Failure::Failed("the meta group has no leader at the moment".into()));
    }
    let size = cluster::size(Fields(&before));
    session.out.progress(&format!(
        "Requesting leader step down of {leader:?} in a {size} peer RAFT group"
    ));
    let reply = session
        .nats
        .call("META.LEADER.STEPDOWN", &election::request(args.preferred.as_deref()))
        .await?;

    let look = async || {
        let group = meta_group(session).await.ok()?;
        Some((Fields(&group).text("leader").to_owned(), ()))
    };
    let (now, ()) = election::concluded(&leader, look).await?;
    session.out.progress(&format!("New leader elected {now:?}"));
    if session.out.json { session.out.reply(&reply, String::new) } else { Ok(()) }
}

async fn peer_remove(args: &PeerRemove, session: &Session) -> Result<(), Failure> {
    let server = &args.server;
    let question = format!("Remove server {server} from the cluster, for good?");
    prompt::confirm(&question, args.force).await?;
    let group = meta_group(session).await?;
    let request = removal(server, Fields(&group));
    session.out.progress(&format!("Removing peer {server:?}"));
    let reply = session.nats.call("SERVER.REMOVE", &request).await?;
    session.out.progress(&format!("Requested removal of peer {server:?}"));
    if session.out.json { session.out.reply(&reply, String::new) } else { Ok(()) }
}

/// What is a peer id in the group is removed by id, anything else by name.
fn removal(server: &str, group: Fields<'_>) -> Value {
    let is_id = group.list("replicas").any(|replica| replica.text("peer") == server);
    if is_id { json!({"peer": "", "peer_id": server}) } else { json!({"peer": server}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_removed_by_name_or_by_id() {
        let group = json!({"replicas": [{"name": "n2-c1", "peer": "bkCGheKT"}]});
        assert_eq!(removal("n2-c1", Fields(&group)), json!({"peer": "n2-c1"}));
        assert_eq!(removal("bkCGheKT", Fields(&group)), json!({"peer": "", "peer_id": "bkCGheKT"}));
        assert_eq!(removal("n9-c1", Fields(&group)), json!({"peer": "n9-c1"}));
    }
}
