//! Names and descriptions of many streams or consumers, by pages.

use std::time::Duration;

use flotilla_host::{Answer, ConsumerRequest, Request};
use flotilla_jsapi::consumer::{ConsumerList, ConsumerNames};
use flotilla_jsapi::request::{PageRequest, decode_optional};
use flotilla_jsapi::stream::{ListRequest, StreamList, StreamNames};
use flotilla_jsapi::{ApiError, DESCRIPTIONS_PER_PAGE, ErrorKind, NAMES_PER_PAGE, Paging};
use flotilla_raft::GroupId;

use super::context::Context;
use super::request::ApiRequest;
use super::{consumer, stream};

/// How long leaders are waited for; those that did not answer by then are listed as missing.
const GATHER_PATIENCE: Duration = Duration::from_secs(4);

/// `STREAM.NAMES`.
pub(super) async fn stream_names(
    context: &Context,
    request: &ApiRequest,
) -> Result<StreamNames, ApiError> {
    let asked: ListRequest = decode_optional(&request.payload)?;
    context.current().await?;
    let account = request.account.name();
    context.with(|meta| {
        let wanted = meta.streams_of(account).filter(|(_, s)| asked.wants(&s.config.subjects));
        let names: Vec<&str> = wanted.map(|(name, _)| name).collect();
        let (paging, page) = Paging::of(names.len(), asked.start(), NAMES_PER_PAGE);
        StreamNames { paging, streams: owned(&names[page]) }
    })
}

/// `CONSUMER.NAMES`.
pub(super) async fn consumer_names(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
) -> Result<ConsumerNames, ApiError> {
    let asked: PageRequest = decode_optional(&request.payload)?;
    context.current().await?;
    let account = request.account.name();
    context.with(|meta| {
        let asset =
            meta.stream(account, stream).ok_or_else(|| ErrorKind::StreamNotFound.error())?;
        let names: Vec<&str> = asset.consumers.keys().map(String::as_str).collect();
        let (paging, page) = Paging::of(names.len(), asked.start(), NAMES_PER_PAGE);
        Ok(ConsumerNames { paging, consumers: owned(&names[page]) })
    })?
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// `STREAM.LIST`.
pub(super) async fn streams(
    context: &Context,
    request: &ApiRequest,
) -> Result<StreamList, ApiError> {
    let asked: ListRequest = decode_optional(&request.payload)?;
    let deadline = request.within(GATHER_PATIENCE);
    context.current().await?;
    let account = request.account.name();
    let (paging, page) = context.with(|meta| {
        let all = meta.streams_of(account).filter(|(_, s)| asked.wants(&s.config.subjects));
        let all: Vec<_> = all.collect();
        let (paging, page) = Paging::of(all.len(), asked.start(), DESCRIPTIONS_PER_PAGE);
        let page = all[page].iter();
        let page = page.map(|(n, s)| ((*n).to_owned(), s.group.id, s.consumers.len() as u64));
        (paging, page.collect::<Vec<(String, GroupId, u64)>>())
    })?;
    let questions = page.iter().map(|(_, group, _)| (*group, stream::plain_info())).collect();
    let answers = context.gather(questions, deadline).await;
    let mut list = StreamList { paging, ..StreamList::default() };
    for ((name, _, consumers), answer) in page.into_iter().zip(answers) {
        match answer {
            Some(Answer::Stream(answer)) => {
                list.streams.push(stream::describe(context, *answer, consumers));
            }
            _ => list.missing.push(name),
        }
    }
    Ok(list)
}

/// `CONSUMER.LIST`.
pub(super) async fn consumers(
    context: &Context,
    request: &ApiRequest,
    stream: &str,
) -> Result<ConsumerList, ApiError> {
    let asked: PageRequest = decode_optional(&request.payload)?;
    let deadline = request.within(GATHER_PATIENCE);
    context.current().await?;
    let account = request.account.name();
    let (paging, page) = context.with(|meta| {
        let asset =
            meta.stream(account, stream).ok_or_else(|| ErrorKind::StreamNotFound.error())?;
        let (paging, page) =
            Paging::of(asset.consumers.len(), asked.start(), DESCRIPTIONS_PER_PAGE);
        let page = asset.consumers.iter().skip(page.start).take(page.len());
        let page = page.map(|(name, consumer)| (name.clone(), consumer.group.id));
        Ok::<_, ApiError>((paging, page.collect::<Vec<(String, GroupId)>>()))
    })??;
    let question = || Request::Consumer(ConsumerRequest::Info);
    let questions = page.iter().map(|(_, group)| (*group, question())).collect();
    let answers = context.gather(questions, deadline).await;
    let mut list = ConsumerList { paging, ..ConsumerList::default() };
    for ((name, _), answer) in page.into_iter().zip(answers) {
        match answer {
            Some(Answer::Consumer(answer)) => {
                list.consumers.push(consumer::describe(context, stream, &answer));
            }
            _ => list.missing.push(name),
        }
    }
    Ok(list)
}
