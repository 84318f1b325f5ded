//! `flotilla stream cluster`: the stream's Raft group.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::info;
use crate::cli::Session;
use crate::exit::Failure;
use crate::output::cluster;
use crate::reply::Reply;
use crate::server::election;
use crate::{name, prompt};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Let another server lead the stream
    #[command(visible_aliases = ["stepdown", "sd", "elect"])]
    StepDown(StepDown),
    /// Take the stream's copy away from a server; another one takes its place
    #[command(visible_alias = "pr")]
    PeerRemove(PeerRemove),
}

#[derive(Debug, Args)]
pub(crate) struct StepDown {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    /// The server that shall lead
    #[arg(long, value_name = "SERVER")]
    preferred: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PeerRemove {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    /// The server's name; asked for at a terminal
    peer: Option<String>,

    /// Do not ask, even if the stream has no other copy
    #[arg(long, short = 'f')]
    force: bool,
}

pub(super) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::StepDown(args) => step_down(&args, session).await,
        Command::PeerRemove(args) => peer_remove(&args, session).await,
    }
}

async fn information(stream: &str, session: &Session) -> Result<Reply, Failure> {
    Ok(session.nats.call(&format!("STREAM.INFO.{stream}"), &Value::Null).await?)
}

async fn step_down(args: &StepDown, session: &Session) -> Result<(), Failure> {
    let before = information(&args.stream, session).await?;
    let group = before.fields().at("cluster");
    let leader = group.text("leader");
    if leader.is_empty() {
        return Err(Failure::Failed(format!("stream {} has no leader at the moment", args.stream)));
    }
    let size = cluster::size(group);
    session.out.progress(&format!(
        "Requesting leader step down of {leader:?} in a {size} peer RAFT group"
    ));
    let request = election::request(args.preferred.as_deref());
    session.nats.call(&format!("STREAM.LEADER.STEPDOWN.{}", args.stream), &request).await?;

    let look = async || {
        let reply = information(&args.stream, session).await.ok()?;
        Some((reply.fields().at("cluster").text("leader").to_owned(), reply))
    };
    let (now, reply) = election::concluded(leader, look).await?;
    session.out.progress(&format!("New leader elected {now:?}"));
    session.out.reply(&reply, || format!("\n{}", info::describe(reply.fields(), session.out.paint)))
}

async fn peer_remove(args: &PeerRemove, session: &Session) -> Result<(), Failure> {
    let info = information(&args.stream, session).await?;
    let group = info.fields().at("cluster");
    let peer = match &args.peer {
        Some(peer) => peer.clone(),
        None => {
            let missing = "which peer? Name one after the stream";
            prompt::select("Select a Peer", &cluster::members(group), missing).await?
        }
    };
    if info.fields().at("config").number("num_replicas") <= 1 {
        let question = format!(
            "{peer} has the only copy of {}, its messages will be lost. Remove it?",
            args.stream
        );
        prompt::confirm(&question, args.force).await?;
    }
    session.out.progress(&format!("Removing peer {peer:?}"));
    let api = format!("STREAM.PEER.REMOVE.{}", args.stream);
    let reply = session.nats.call(&api, &json!({"peer": peer})).await?;
    session.out.progress(&format!("Requested removal of peer {peer:?}"));
    if session.out.json { session.out.reply(&reply, String::new) } else { Ok(()) }
}
