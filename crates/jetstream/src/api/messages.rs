//! Single messages are read and deleted, and streams purged, through the API.

use flotilla_host::{Answer, Get, Request, StreamRequest};
use flotilla_jsapi::message::{
    Base64, DeleteRequest, GetRequest, MessageFound, Selector, StoredMessage,
};
use flotilla_jsapi::request::{decode_optional, decode_required};
use flotilla_jsapi::stream::{PurgeRequest, Purged};
use flotilla_jsapi::{ApiError, ErrorKind, Success};

use super::context::{Context, done, unexpected};
use super::request::ApiRequest;

/// `STREAM.MSG.GET`.
pub(super) async fn get(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
) -> Result<MessageFound, ApiError> {
    let asked: GetRequest = decode_required(&request.payload)?;
    let no_headers = asked.no_hdr;
    let wanted = wanted(asked.selector()?).ok_or_else(|| ErrorKind::BadRequest.error())?;
    let entry = context.stream(request, stream).await?;
    let question = Request::Stream(StreamRequest::Get(wanted));
    match context.ask(entry.group, question, request.deadline()).await? {
        Answer::Message(message) => {
            let headers = if no_headers { Vec::new() } else { message.headers.into() };
            let message = StoredMessage {
                subject: message.subject,
                seq: message.seq,
                hdrs: Base64(headers),
                data: Base64(message.payload.into()),
                time: message.time.into(),
            };
            Ok(MessageFound { message })
        }
        other => Err(unexpected(&other)),
    }
}

/// What a stream is asked for; `None` for a time, which servers of this level of the API do not take.
pub(super) fn wanted(selector: Selector) -> Option<Get> {
    match selector {
        Selector::Sequence(seq) => Some(Get::Seq(seq)),
        Selector::Last(subject) => Some(Get::LastBySubject(subject)),
        Selector::Next { subject, from } => Some(Get::NextBySubject { subject, seq: from }),
        Selector::Since { .. } => None,
    }
}

/// `STREAM.MSG.DELETE`.
pub(super) async fn delete(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
) -> Result<Success, ApiError> {
    let DeleteRequest { seq, no_erase } = decode_required(&request.payload)?;
    let entry = context.stream(request, stream).await?;
    let change = Request::Stream(StreamRequest::Delete { seq, erase: !no_erase });
    done(&context.ask(entry.group, change, request.deadline()).await?)
}

/// `STREAM.PURGE`.
pub(super) async fn purge(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
) -> Result<Purged, ApiError> {
    let asked: PurgeRequest = decode_optional(&request.payload)?;
    asked.check()?;
    let entry = context.stream(request, stream).await?;
    let change = Request::Stream(StreamRequest::Purge {
        filter: Some(asked.filter).filter(|filter| !filter.is_empty()),
        up_to: Some(asked.seq).filter(|seq| *seq > 0),
        keep: Some(asked.keep).filter(|keep| *keep > 0),
    });
    match context.ask(entry.group, change, request.deadline()).await? {
        Answer::Purged(purged) => Ok(Purged { success: true, purged }),
        other => Err(unexpected(&other)),
    }
}
