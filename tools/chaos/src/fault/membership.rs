//! Replicas that move, come and go, under load.

use std::time::Duration;

use anyhow::{Context, Result};
use flotilla_tests::cluster::request;
use flotilla_tests::eventually;
use serde_json::{Value, json};

use super::{Injected, State};
use crate::arena::Arena;
use crate::load::{LOG, REGISTER};

/// How long a change may take to be accepted and carried out.
const PATIENCE: Duration = Duration::from_secs(45);

pub(super) async fn remove_peer(arena: &mut Arena) -> Result<Injected> {
    let before = arena.group(LOG).await?;
    let peer = before.followers.first().context("a follower")?.clone();
    let api = format!("STREAM.PEER.REMOVE.{LOG}");
    eventually(PATIENCE, &api, async || {
        let client = arena.client();
        let asked = request(&client, &api, &json!({ "peer": peer })).await;
        // Asked again after an answer that got lost, it is no member any more.
        if asked.is_err() && !arena.group(LOG).await?.members().contains(&peer) {
            return Ok(Some(()));
        }
        asked.map(|_| Some(()))
    })
    .await?;
    eventually(PATIENCE, "another server in the removed one's place", async || {
        let members = arena.group(LOG).await?.members();
        let replaced = members.len() == before.members().len() && !members.contains(&peer);
        Ok(replaced.then_some(()))
    })
    .await?;
    let after = arena.group(LOG).await?.members().join(" ");
    Ok(Injected { proof: format!("{peer} removed; members: {after}"), state: State::Over })
}

pub(super) async fn scale(arena: &mut Arena, replicas: usize) -> Result<Injected> {
    let from = arena.group(LOG).await?.members().len();
    let mut members = Vec::new();
    for stream in [LOG, REGISTER] {
        members.push(scale_to(arena, stream, replicas).await?.join(" "));
    }
    let proof = format!("{from} to {replicas} replicas: {}", members.join("; "));
    Ok(Injected { proof, state: State::Scaled { from } })
}

pub(super) async fn scale_back(arena: &mut Arena, replicas: usize) -> Result<String> {
    for stream in [LOG, REGISTER] {
        scale_to(arena, stream, replicas).await?;
    }
    Ok(format!("{replicas} replicas again"))
}

async fn scale_to(arena: &mut Arena, stream: &str, replicas: usize) -> Result<Vec<String>> {
    eventually(PATIENCE, &format!("{stream} to be updated"), async || {
        let client = arena.client();
        let info = request(&client, &format!("STREAM.INFO.{stream}"), &Value::Null).await?;
        let mut config = info["config"].clone();
        config["num_replicas"] = json!(replicas);
        Ok(Some(request(&client, &format!("STREAM.UPDATE.{stream}"), &config).await?))
    })
    .await?;
    eventually(PATIENCE, &format!("{stream} to have {replicas} replicas"), async || {
        let members = arena.group(stream).await?.members();
        Ok((members.len() == replicas).then_some(members))
    })
    .await
}
