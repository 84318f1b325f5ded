//! Streams are created, changed, described and deleted.

use flotilla_host::{Answer, MetaRequest, Request, StreamAnswer, StreamRequest};
use flotilla_jsapi::request::{decode, decode_optional};
use flotilla_jsapi::stream::{
    Accepted, InfoRequest, StreamConfig, StreamCreated, StreamDescription, StreamInfo, StreamState,
    check_name, validate_create, validate_update,
};
use flotilla_jsapi::{ApiError, Paging, SUBJECTS_PER_PAGE, Success, Time};
use flotilla_stream as domain;

use super::cluster_info::Kind;
use super::context::{Context, done, now, unexpected};
use super::request::ApiRequest;

/// `STREAM.CREATE`. A stream that exists as asked for is as good as a new one.
pub(super) async fn create(
    context: &Context,
    request: &ApiRequest,
    name: &str,
) -> Result<StreamCreated, ApiError> {
    let asked: StreamConfig = decode(&request.payload)?;
    let config = accept(validate_create(name, &asked, &context.options.stream_limits)?);
    let (account, wanted) = (request.account(), Box::new(config.clone()));
    let max_streams = u64::try_from(request.limits.max_streams).ok();
    let change = MetaRequest::CreateStream { account, config: wanted, max_streams };
    let info = change_and_describe(context, request, change, config).await?;
    Ok(StreamCreated { info, did_create: true })
}

/// `STREAM.UPDATE`.
pub(super) async fn update(
    context: &Context,
    request: &ApiRequest,
    name: &str,
) -> Result<StreamInfo, ApiError> {
    let asked: StreamConfig = decode(&request.payload)?;
    check_name(name, &asked)?;
    let old = context.stream(request, name).await?.config;
    let config = accept(validate_update(name, &old, &asked, &context.options.stream_limits)?);
    let (account, wanted) = (request.account(), Box::new(config.clone()));
    let change = MetaRequest::UpdateStream { account, config: wanted };
    change_and_describe(context, request, change, config).await
}

/// `STREAM.INFO`.
pub(super) async fn info(
    context: &Context,
    request: &ApiRequest,
    name: &str,
) -> Result<StreamDescription, ApiError> {
    let asked: InfoRequest = decode_optional(&request.payload)?;
    let entry = context.stream(request, name).await?;
    let question = Request::Stream(StreamRequest::Info {
        deleted_details: asked.deleted_details,
        subjects_filter: Some(asked.subjects_filter.clone()).filter(|filter| !filter.is_empty()),
        offset: asked.start(),
    });
    let answer = context.state(request, (entry.group, &entry.stores), question).await?;
    match answer {
        Answer::Stream(stream) => {
            let counted = stream.subjects.as_ref().map(|(_, total)| *total);
            let paging = counted.map(|total| Paging {
                total,
                offset: asked.start().min(total),
                limit: SUBJECTS_PER_PAGE,
            });
            let info = describe(context, *stream, entry.consumers);
            Ok(StreamDescription { paging: paging.unwrap_or_default(), info })
        }
        other => Err(unexpected(&other)),
    }
}

/// `STREAM.DELETE`.
pub(super) async fn delete(
    context: &Context,
    request: &ApiRequest,
    name: &str,
) -> Result<Success, ApiError> {
    request.require_empty()?;
    let (account, stream) = (request.account(), name.to_owned());
    let change = MetaRequest::DeleteStream { account, stream };
    done(&context.ask_meta(change, request.deadline()).await?)
}

/// Nothing in the protocol carries warnings to the client.
fn accept(accepted: Accepted) -> domain::StreamConfig {
    for warning in accepted.warnings {
        log::warn!("Stream '{}': {warning}", accepted.config.name);
    }
    accepted.config
}

/// Has the meta group change a stream, and describes it once its leader obeys.
async fn change_and_describe(
    context: &Context,
    request: &ApiRequest,
    change: MetaRequest,
    config: domain::StreamConfig,
) -> Result<StreamInfo, ApiError> {
    let group = context.change(request, change).await?;
    let follows = |answer: &Answer| matches!(answer, Answer::Stream(s) if s.config == config);
    let answer = context.follow(request, (group, &plain_info()), follows).await?;
    let Answer::Stream(stream) = answer else { return Err(unexpected(&answer)) };
    let account = request.account.name();
    let consumers = context.with(|meta| {
        meta.stream(account, &config.name).map_or(0, |asset| asset.consumers.len() as u64)
    })?;
    // What is committed is what the client is told, also if the leader is late.
    Ok(describe(context, StreamAnswer { config, ..*stream }, consumers))
}

/// The question for a stream's state, without details.
pub(super) fn plain_info() -> Request {
    let (deleted_details, subjects_filter, offset) = (false, None, 0);
    Request::Stream(StreamRequest::Info { deleted_details, subjects_filter, offset })
}

/// A stream as clients are told.
pub(super) fn describe(context: &Context, stream: StreamAnswer, consumers: u64) -> StreamInfo {
    let cluster = context.cluster_info(Kind::Stream, stream.config.storage, &stream.cluster);
    let subjects = stream.subjects.map(|(subjects, _)| subjects).unwrap_or_default();
    StreamInfo {
        config: StreamConfig::told(&stream.config, &context.options.server_version),
        created: stream.created.into(),
        state: StreamState {
            messages: stream.messages,
            bytes: stream.bytes,
            first_seq: stream.first_seq,
            first_ts: Time(stream.first_time),
            last_seq: stream.last_seq,
            last_ts: Time(stream.last_time),
            num_subjects: stream.num_subjects,
            subjects: subjects.into_iter().collect(),
            num_deleted: stream.num_deleted,
            deleted: stream.deleted.unwrap_or_default(),
            lost: None,
            consumer_count: consumers,
        },
        domain: context.options.domain.clone(),
        cluster: Some(cluster),
        mirror: None,
        sources: Vec::new(),
        alternates: Vec::new(),
        ts: now().into(),
    }
}
