//! Direct gets: a message as it is, with its origin in headers; errors are statuses.
//!
//! The stream's leader is asked. A stream that does not allow direct gets, or is not there, has nobody to answer them,
//! and that is what the client is told.

use std::time::Duration;

use bytes::Bytes;
use flotilla_host::{Answer, Request, StreamRequest};
use flotilla_jsapi::direct::{DirectGet, Origin};
use flotilla_jsapi::level::check_required_level;
use flotilla_jsapi::{ErrorKind, Status};
use flotilla_raft::GroupId;

use super::context::Context;
use super::messages::wanted;
use super::request::ApiRequest;

/// How long a leader is waited for. A client that is told that nobody is there tries again by itself.
const LEADER_PATIENCE: Duration = Duration::from_secs(2);

/// `DIRECT.GET.<stream>`.
pub(super) async fn get(context: &Context, request: &ApiRequest, stream: &str) {
    answer(context, request, stream, || DirectGet::parse(&request.payload)).await;
}

/// `DIRECT.GET.<stream>.<subject>`.
pub(super) async fn last(context: &Context, request: &ApiRequest, stream: &str, subject: &str) {
    answer(context, request, stream, || DirectGet::parse_last(subject, &request.payload)).await;
}

async fn answer(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
    parse: impl FnOnce() -> Result<DirectGet, Status>,
) {
    let Some(group) = group(context, request, stream).await else {
        return context.ingest.nobody(&request.message());
    };
    let asked = match check_required_level(&request.headers) {
        Ok(()) => parse(),
        Err(_) => Err(Status::RequiredApiLevel),
    };
    let found = match asked {
        Ok(asked) => read(context, request, (stream, group), asked).await,
        Err(status) => Err(Some(status)),
    };
    match found {
        Ok((headers, payload)) => context.reply(request, headers.as_ref(), &payload),
        Err(status) => {
            let Some(status) = status else { return context.ingest.nobody(&request.message()) };
            let mut headers = Vec::new();
            status.write(&mut headers);
            context.reply(request, Some(&headers.into()), &Bytes::new());
        }
    }
}

/// The stream's group, if it allows direct gets. Only a stream that is not known here is worth a barrier: reads may lag.
async fn group(context: &Context, request: &ApiRequest, stream: &str) -> Option<GroupId> {
    let look = || {
        let account = request.account.name();
        let found = context.with(|meta| {
            let asset = meta.stream(account, stream)?;
            Some((asset.group.id, asset.config.allow_direct))
        });
        found.ok().flatten()
    };
    let found = match look() {
        Some(found) => found,
        None => {
            context.current().await.ok()?;
            look()?
        }
    };
    Some(found.0).filter(|_| found.1)
}

/// Headers and payload of the message. Nothing to say when there is no leader.
async fn read(
    context: &Context,
    request: &ApiRequest,
    (stream, group): (&str, GroupId),
    asked: DirectGet,
) -> Result<(Option<Bytes>, Bytes), Option<Status>> {
    let get = wanted(asked.selector).ok_or(Some(Status::ContradictoryRequest))?;
    let question = Request::Stream(StreamRequest::Get(get));
    let answer = context.ask(group, question, request.within(LEADER_PATIENCE)).await;
    let message = match answer {
        Ok(Answer::Message(message)) => message,
        Ok(_) => return Err(None),
        Err(error) => {
            return Err(match error.kind() {
                Some(ErrorKind::NoMessageFound) => Some(Status::MessageNotFound),
                Some(ErrorKind::ClusterNotAvail) => None,
                _ => Some(Status::Failed(error.description.into_owned())),
            });
        }
    };
    if asked.no_headers {
        return Ok((None, message.payload));
    }
    let mut headers = Vec::with_capacity(message.headers.len() + 192);
    let origin = Origin {
        stream,
        subject: &message.subject,
        sequence: message.seq,
        timestamp: message.time,
        last_sequence: None,
    };
    origin.write(&message.headers, &mut headers);
    Ok((Some(headers.into()), message.payload))
}
