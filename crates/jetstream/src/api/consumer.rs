//! Consumers are created, changed, described and deleted.

use flotilla_host::{Answer, ConsumerAnswer, ConsumerRequest, MetaRequest, Request};
use flotilla_jsapi::consumer::{
    ConsumerAction, ConsumerConfig, ConsumerInfo, CreateRequest, SequenceInfo, resolve_name,
    validate,
};
use flotilla_jsapi::request::decode;
use flotilla_jsapi::{ApiError, CreateForm, Success, Time};
use flotilla_meta as meta;
use flotilla_stream::{StorageKind, Timestamp};
use rand::RngExt;

use super::cluster_info::Kind;
use super::context::{Context, done, now, unexpected};
use super::request::ApiRequest;

/// How many characters the name of a consumer has that the client did not name.
const INVENTED_LENGTH: usize = 8;

/// `CONSUMER.CREATE` in all its forms. It changes a consumer that exists, unless the client does not want that.
pub(super) async fn create(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
    form: CreateForm<'_>,
) -> Result<ConsumerInfo, ApiError> {
    let asked: CreateRequest = decode(&request.payload)?;
    let name = resolve_name(stream, form, &asked)?.unwrap_or_else(invent_name);
    let of = context.stream(request, stream).await?.config;
    let bounds = &context.options.consumer_bounds;
    let config = validate(&name, &asked.config, &of, bounds, asked.pedantic)?;
    let change = MetaRequest::CreateConsumer {
        account: request.account(),
        stream: stream.to_owned(),
        config: Box::new(config.clone()),
        action: match asked.action {
            ConsumerAction::CreateOrUpdate => meta::ConsumerAction::CreateOrUpdate,
            ConsumerAction::Create => meta::ConsumerAction::Create,
            ConsumerAction::Update => meta::ConsumerAction::Update,
        },
        max_consumers: u64::try_from(request.limits.max_consumers).ok(),
    };
    let group = context.change(request, change).await?;
    let follows = |answer: &Answer| matches!(answer, Answer::Consumer(c) if c.config == config);
    let question = Request::Consumer(ConsumerRequest::Info);
    let answer = context.follow(request, (group, &question), follows).await?;
    let Answer::Consumer(consumer) = answer else { return Err(unexpected(&answer)) };
    // What is committed is what the client is told, also if the leader is late.
    Ok(describe(context, stream, &ConsumerAnswer { config, ..*consumer }))
}

/// `CONSUMER.INFO`.
pub(super) async fn info(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
    name: &str,
) -> Result<ConsumerInfo, ApiError> {
    request.require_empty()?;
    let entry = context.consumer(request, stream, name).await?;
    let question = Request::Consumer(ConsumerRequest::Info);
    let answer = context.state(request, (entry.group, &entry.stores), question).await?;
    match answer {
        Answer::Consumer(consumer) => Ok(describe(context, stream, &consumer)),
        other => Err(unexpected(&other)),
    }
}

/// `CONSUMER.DELETE`.
pub(super) async fn delete(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
    name: &str,
) -> Result<Success, ApiError> {
    request.require_empty()?;
    let (account, stream, consumer) = (request.account(), stream.to_owned(), name.to_owned());
    let change = MetaRequest::DeleteConsumer { account, stream, consumer, group: None };
    done(&context.ask_meta(change, request.deadline()).await?)
}

/// A consumer as clients are told.
pub(super) fn describe(context: &Context, stream: &str, consumer: &ConsumerAnswer) -> ConsumerInfo {
    let storage = match consumer.config.memory_storage {
        true => StorageKind::Memory,
        false => StorageKind::File,
    };
    let cluster = context.cluster_info(Kind::Consumer, storage, &consumer.cluster);
    ConsumerInfo {
        stream_name: stream.to_owned(),
        name: consumer.config.name.clone(),
        created: consumer.created.into(),
        config: ConsumerConfig::told(&consumer.config, &context.options.server_version),
        delivered: sequence(consumer.delivered),
        ack_floor: sequence(consumer.ack_floor),
        num_ack_pending: consumer.num_ack_pending,
        num_redelivered: consumer.num_redelivered,
        num_waiting: consumer.num_waiting,
        num_pending: consumer.num_pending,
        cluster: Some(cluster),
        push_bound: false,
        ts: now().into(),
    }
}

fn sequence(
    (consumer_seq, stream_seq, last_active): (u64, u64, Option<Timestamp>),
) -> SequenceInfo {
    SequenceInfo { consumer_seq, stream_seq, last_active: last_active.map(Time::from) }
}

fn invent_name() -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut random = rand::rng();
    let digit = |_| char::from(digits[random.random_range(0..digits.len())]);
    (0..INVENTED_LENGTH).map(digit).collect()
}
