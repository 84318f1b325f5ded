//! Leaders step down, for whoever the client would rather have.

use flotilla_host::{ConsumerRequest, MetaRequest, Request, StreamRequest};
use flotilla_jsapi::cluster::{Placement, StepDownRequest};
use flotilla_jsapi::request::decode_optional;
use flotilla_jsapi::{ApiError, ErrorKind, Success};
use flotilla_meta::Server;
use flotilla_raft::{GroupId, StoreId};
use rand::seq::SliceRandom;

use super::context::{Context, done};
use super::request::ApiRequest;

/// `STREAM.LEADER.STEPDOWN`.
pub(super) async fn of_stream(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
) -> Result<Success, ApiError> {
    context.require_cluster()?;
    let entry = context.stream(request, stream).await?;
    let question = |preferred| Request::Stream(StreamRequest::StepDown { preferred });
    step_down(context, request, entry.group, &entry.stores, question).await
}

/// `CONSUMER.LEADER.STEPDOWN`.
pub(super) async fn of_consumer(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
    consumer: &str,
) -> Result<Success, ApiError> {
    context.require_cluster()?;
    let entry = context.consumer(request, stream, consumer).await?;
    let question = |preferred| Request::Consumer(ConsumerRequest::StepDown { preferred });
    step_down(context, request, entry.group, &entry.stores, question).await
}

/// `META.LEADER.STEPDOWN`.
pub(super) async fn of_meta(context: &Context, request: &ApiRequest) -> Result<Success, ApiError> {
    context.require_cluster()?;
    let members: Vec<StoreId> = context.with(|meta| {
        let members = meta.servers().filter(|server| server.takes_assets());
        members.map(|server| server.store).collect()
    })?;
    let question = |preferred| Request::Meta(MetaRequest::StepDown { preferred });
    step_down(context, request, GroupId::META, &members, question).await
}

async fn step_down(
    context: &Context,
    request: &ApiRequest,
    group: GroupId,
    stores: &[StoreId],
    question: impl Fn(Option<StoreId>) -> Request,
) -> Result<Success, ApiError> {
    let asked: StepDownRequest = decode_optional(&request.payload)?;
    // With one replica there is nobody else, which the reference server takes for done.
    if let ([_], true) = (stores, group != GroupId::META) {
        return Ok(Success::DONE);
    }
    let candidates = candidates(context, asked.placement.as_ref(), group, stores)?;
    let mut outcome = Err(no_peers("no replacement peer connected"));
    for candidate in candidates {
        outcome = context.ask(group, question(candidate), request.deadline()).await;
        // Only that this one cannot lead makes the next one worth a try.
        if !matches!(&outcome, Err(e) if e.kind() == Some(ErrorKind::ClusterNoPeers)) {
            break;
        }
    }
    done(&outcome?)
}

/// Who may lead instead, in the order in which they are tried; `None` leaves the choice to the leader.
fn candidates(
    context: &Context,
    placement: Option<&Placement>,
    group: GroupId,
    stores: &[StoreId],
) -> Result<Vec<Option<StoreId>>, ApiError> {
    let Some(placement) = placement.filter(|p| **p != Placement::default()) else {
        return Ok(vec![None]);
    };
    let leader = context.leaders.of(group);
    let preferred = &placement.preferred;
    if !preferred.is_empty() {
        let is_it = |store: &&StoreId| context.server_name(**store) == *preferred;
        return match stores.iter().find(is_it) {
            None => Err(no_peers(&format!("preferred server {preferred:?} not known"))),
            Some(store) if Some(*store) == leader => {
                Err(no_peers(&format!("preferred server {preferred:?} is already leader")))
            }
            Some(store) => Ok(vec![Some(*store)]),
        };
    }
    let mut fitting: Vec<Option<StoreId>> = context.with(|meta| {
        let others = stores.iter().filter(|store| Some(**store) != leader);
        let fitting = others.filter(|s| meta.server(**s).is_some_and(|s| fits(s, placement)));
        fitting.map(|store| Some(*store)).collect()
    })?;
    fitting.shuffle(&mut rand::rng());
    Ok(fitting)
}

fn fits(server: &Server, placement: &Placement) -> bool {
    let has = |tag: &str| server.tags.iter().any(|own| own.eq_ignore_ascii_case(tag));
    let tag_fits = |tag: &String| match tag.strip_prefix('!') {
        Some(forbidden) => !has(forbidden),
        None => has(tag),
    };
    let cluster_fits = placement.cluster.is_empty() || placement.cluster == server.cluster;
    cluster_fits && placement.tags.iter().all(tag_fits)
}

fn no_peers(why: &str) -> ApiError {
    ErrorKind::ClusterNoPeers.because(why)
}
