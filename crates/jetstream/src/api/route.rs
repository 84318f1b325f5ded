//! Which request it is, who carries it out, and the one answer.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_jsapi::level::check_required_level;
use flotilla_jsapi::{ApiError, ApiSubject, ErrorKind, ReplyKind};
use flotilla_server_core::account::SYSTEM_ACCOUNT;
use serde::Serialize;

use super::context::{Context, unavailable};
use super::request::ApiRequest;
use super::{account, consumer, direct, leadership, listing, membership, messages, stream};
use crate::ingest::Fate;

/// Carries a request out and answers it, once.
pub(super) async fn answer(context: &Arc<Context>, request: &ApiRequest) {
    let subject = context.ingest.parse(&request.subject);
    match subject {
        Some(ApiSubject::DirectGet(stream)) => return direct::get(context, request, stream).await,
        Some(ApiSubject::DirectGetLast(stream, of)) => {
            return direct::last(context, request, stream, of).await;
        }
        Some(ApiSubject::ConsumerNext(stream, consumer)) => {
            return pull(context, request, stream, consumer).await;
        }
        _ => {}
    }
    if subject.is_some_and(is_for_operators) && request.account.name() != SYSTEM_ACCOUNT {
        // The reference server does not answer these either.
        log::debug!("{} outside of the system account is ignored", request.subject);
        return;
    }
    let kind = subject.and_then(|s| s.reply_kind()).unwrap_or(ReplyKind::System);
    request.counters.begin();
    let outcome = match subject {
        // It waited too long for its turn: the client has given up, and may have asked again.
        _ if request.is_late() => Err(unavailable()),
        Some(subject) => carry_out(context, request, subject, kind).await,
        None => Err(ErrorKind::BadRequest.error()),
    };
    let reply = outcome.unwrap_or_else(|error| {
        request.counters.fail();
        kind.failure(&error)
    });
    context.reply(request, None, &Bytes::from(reply));
}

fn is_for_operators(subject: ApiSubject<'_>) -> bool {
    matches!(subject, ApiSubject::MetaLeaderStepDown | ApiSubject::ServerRemove)
}

/// The JSON of the reply when it worked.
async fn carry_out(
    context: &Arc<Context>,
    request: &ApiRequest,
    subject: ApiSubject<'_>,
    kind: ReplyKind,
) -> Result<Vec<u8>, ApiError> {
    check_required_level(&request.headers)?;
    match subject {
        ApiSubject::AccountInfo => json(kind, &account::info(context, request).await?),
        ApiSubject::StreamCreate(name) => {
            json(kind, &stream::create(context, request, name).await?)
        }
        ApiSubject::StreamUpdate(name) => {
            json(kind, &stream::update(context, request, name).await?)
        }
        ApiSubject::StreamInfo(name) => json(kind, &stream::info(context, request, name).await?),
        ApiSubject::StreamDelete(name) => {
            json(kind, &stream::delete(context, request, name).await?)
        }
        ApiSubject::StreamPurge(name) => {
            json(kind, &messages::purge(context, request, name).await?)
        }
        ApiSubject::MessageGet(name) => json(kind, &messages::get(context, request, name).await?),
        ApiSubject::MessageDelete(name) => {
            json(kind, &messages::delete(context, request, name).await?)
        }
        ApiSubject::StreamNames => json(kind, &listing::stream_names(context, request).await?),
        ApiSubject::StreamList => json(kind, &listing::streams(context, request).await?),
        ApiSubject::StreamPeerRemove(name) => {
            json(kind, &membership::remove_peer(context, request, name).await?)
        }
        ApiSubject::StreamLeaderStepDown(name) => {
            json(kind, &leadership::of_stream(context, request, name).await?)
        }
        ApiSubject::ConsumerCreate { stream, form } => {
            json(kind, &consumer::create(context, request, stream, form).await?)
        }
        ApiSubject::ConsumerNames(stream) => {
            json(kind, &listing::consumer_names(context, request, stream).await?)
        }
        ApiSubject::ConsumerList(stream) => {
            json(kind, &listing::consumers(context, request, stream).await?)
        }
        ApiSubject::ConsumerInfo(stream, name) => {
            json(kind, &consumer::info(context, request, stream, name).await?)
        }
        ApiSubject::ConsumerDelete(stream, name) => {
            json(kind, &consumer::delete(context, request, stream, name).await?)
        }
        ApiSubject::ConsumerLeaderStepDown(stream, name) => {
            json(kind, &leadership::of_consumer(context, request, stream, name).await?)
        }
        ApiSubject::MetaLeaderStepDown => json(kind, &leadership::of_meta(context, request).await?),
        ApiSubject::ServerRemove => json(kind, &membership::remove_server(context, request).await?),
        ApiSubject::Unsupported(api) => Err(api.error()),
        // Answered with messages and statuses, before this.
        ApiSubject::ConsumerNext(..) | ApiSubject::DirectGet(_) | ApiSubject::DirectGetLast(..) => {
            Err(ErrorKind::BadRequest.error())
        }
    }
}

fn json(kind: ReplyKind, payload: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    Ok(kind.success(payload))
}

/// A pull request whose consumer was not known: it is looked for once more, in a directory that is current.
async fn pull(context: &Context, request: &ApiRequest, stream: &str, consumer: &str) {
    let message = request.message();
    let is_current = context.current().await.is_ok();
    if !is_current || context.ingest.pull(&message, stream, consumer) == Fate::Unknown {
        context.ingest.nobody(&message);
    }
    // It came alone, long after the batch in which its client sent it.
    context.ingest.settle();
}
