//! `$JS.API.…`: which request a subject is. Names stay slices of the subject.

use crate::error::{ApiError, ErrorKind};
use crate::reply::ReplyKind;

/// What all requests begin with.
pub const API_PREFIX: &str = "$JS.API.";

/// A request, as its subject names it. The slices are single tokens, except where said.
///
/// A name here may still be invalid; only that it is one token is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiSubject<'a> {
    /// `INFO`
    AccountInfo,
    /// `STREAM.CREATE.<stream>`
    StreamCreate(&'a str),
    /// `STREAM.UPDATE.<stream>`
    StreamUpdate(&'a str),
    /// `STREAM.NAMES`
    StreamNames,
    /// `STREAM.LIST`
    StreamList,
    /// `STREAM.INFO.<stream>`
    StreamInfo(&'a str),
    /// `STREAM.DELETE.<stream>`
    StreamDelete(&'a str),
    /// `STREAM.PURGE.<stream>`
    StreamPurge(&'a str),
    /// `STREAM.MSG.GET.<stream>`
    MessageGet(&'a str),
    /// `STREAM.MSG.DELETE.<stream>`
    MessageDelete(&'a str),
    /// `STREAM.PEER.REMOVE.<stream>`
    StreamPeerRemove(&'a str),
    /// `STREAM.LEADER.STEPDOWN.<stream>`
    StreamLeaderStepDown(&'a str),
    /// `CONSUMER.CREATE.<stream>[.<name>[.<filter…>]]` or `CONSUMER.DURABLE.CREATE.<stream>.<name>`
    ConsumerCreate {
        /// The stream it reads.
        stream: &'a str,
        /// Which of the forms, and the name in it.
        form: CreateForm<'a>,
    },
    /// `CONSUMER.NAMES.<stream>`
    ConsumerNames(&'a str),
    /// `CONSUMER.LIST.<stream>`
    ConsumerList(&'a str),
    /// `CONSUMER.INFO.<stream>.<consumer>`
    ConsumerInfo(&'a str, &'a str),
    /// `CONSUMER.DELETE.<stream>.<consumer>`
    ConsumerDelete(&'a str, &'a str),
    /// `CONSUMER.LEADER.STEPDOWN.<stream>.<consumer>`
    ConsumerLeaderStepDown(&'a str, &'a str),
    /// `CONSUMER.MSG.NEXT.<stream>.<consumer>`, answered with messages or a status.
    ConsumerNext(&'a str, &'a str),
    /// `DIRECT.GET.<stream>`, answered with a message or a status.
    DirectGet(&'a str),
    /// `DIRECT.GET.<stream>.<subject…>`: the last message of a subject of any number of tokens.
    DirectGetLast(&'a str, &'a str),
    /// `META.LEADER.STEPDOWN`, for the system account only.
    MetaLeaderStepDown,
    /// `SERVER.REMOVE`, for the system account only.
    ServerRemove,
    /// A request of the protocol that this server does not carry out.
    Unsupported(UnsupportedApi),
}

/// The forms in which a consumer's creation is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateForm<'a> {
    /// The name, if any, is in the request. Must not be durable.
    Unnamed,
    /// The name is in the subject; durable or not is said in the request.
    Named {
        /// The consumer's name.
        name: &'a str,
        /// The one filter, of any number of tokens, put into the subject so that permissions can
        /// limit it.
        filter: Option<&'a str>,
    },
    /// The older form for durable consumers.
    Durable {
        /// The consumer's name.
        name: &'a str,
    },
}

/// Requests of later versions of the protocol, or left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsupportedApi {
    /// `STREAM.SNAPSHOT.<stream>`
    StreamSnapshot,
    /// `STREAM.RESTORE.<stream>`
    StreamRestore,
    /// `STREAM.PEER.EVACUATE.<stream>`
    StreamPeerEvacuate,
    /// `STREAM.CANCEL_MOVE.<stream>`
    StreamCancelMove,
    /// `CONSUMER.PAUSE.<stream>.<consumer>`
    ConsumerPause,
    /// `CONSUMER.UNPIN.<stream>.<consumer>`
    ConsumerUnpin,
    /// `CONSUMER.RESET.<stream>.<consumer>`
    ConsumerReset,
    /// `SERVER.EVACUATE`
    ServerEvacuate,
    /// `META.RESCUE`
    MetaRescue,
    /// `ACCOUNT.PURGE.<account>`
    AccountPurge,
    /// `ACCOUNT.STREAM.MOVE.<account>.<stream>`
    AccountStreamMove,
    /// `ACCOUNT.STREAM.CANCEL_MOVE.<account>.<stream>`
    AccountStreamCancelMove,
}

impl<'a> ApiSubject<'a> {
    /// The request that `subject` is. `None` when it is none of the API, which the reference
    /// answers with 10003 ([`crate::ErrorKind::BadRequest`]) or not at all.
    #[must_use]
    pub fn parse(subject: &'a str) -> Option<Self> {
        Self::parse_request(subject.strip_prefix(API_PREFIX)?)
    }

    /// As [`Self::parse`], for `$JS.<domain>.API.…` too.
    #[must_use]
    pub fn parse_in_domain(subject: &'a str, domain: &str) -> Option<Self> {
        let in_domain = || {
            let rest = subject.strip_prefix("$JS.")?.strip_prefix(domain)?;
            Self::parse_request(rest.strip_prefix(".API.")?)
        };
        Self::parse(subject).or_else(in_domain)
    }

    fn parse_request(request: &'a str) -> Option<Self> {
        let (area, rest) = request.split_once('.').unwrap_or((request, ""));
        match area {
            "INFO" if rest.is_empty() && !request.ends_with('.') => Some(Self::AccountInfo),
            "STREAM" => stream_request(rest),
            "CONSUMER" => consumer_request(rest),
            "DIRECT" => direct_request(rest),
            "META" | "SERVER" | "ACCOUNT" => system_request(request),
            _ => None,
        }
    }

    /// What replies of this request are. `None` where messages and statuses are the answer.
    #[must_use]
    pub fn reply_kind(&self) -> Option<ReplyKind> {
        Some(match self {
            Self::AccountInfo => ReplyKind::AccountInfo,
            Self::StreamCreate(_) => ReplyKind::StreamCreate,
            Self::StreamUpdate(_) => ReplyKind::StreamUpdate,
            Self::StreamNames => ReplyKind::StreamNames,
            Self::StreamList => ReplyKind::StreamList,
            Self::StreamInfo(_) => ReplyKind::StreamInfo,
            Self::StreamDelete(_) => ReplyKind::StreamDelete,
            Self::StreamPurge(_) => ReplyKind::StreamPurge,
            Self::MessageGet(_) => ReplyKind::MessageGet,
            Self::MessageDelete(_) => ReplyKind::MessageDelete,
            Self::StreamPeerRemove(_) => ReplyKind::StreamPeerRemove,
            Self::StreamLeaderStepDown(_) => ReplyKind::StreamLeaderStepDown,
            Self::ConsumerCreate { .. } => ReplyKind::ConsumerCreate,
            Self::ConsumerNames(_) => ReplyKind::ConsumerNames,
            Self::ConsumerList(_) => ReplyKind::ConsumerList,
            Self::ConsumerInfo(..) => ReplyKind::ConsumerInfo,
            Self::ConsumerDelete(..) => ReplyKind::ConsumerDelete,
            Self::ConsumerLeaderStepDown(..) => ReplyKind::ConsumerLeaderStepDown,
            Self::MetaLeaderStepDown => ReplyKind::MetaLeaderStepDown,
            Self::ServerRemove => ReplyKind::ServerRemove,
            Self::Unsupported(api) => api.reply_kind(),
            Self::ConsumerNext(..) | Self::DirectGet(_) | Self::DirectGetLast(..) => return None,
        })
    }
}

impl UnsupportedApi {
    /// What the client is told: the error of a server that does not know the request, and for
    /// snapshots, which servers have always known, that it failed and why.
    #[must_use]
    pub fn error(self) -> ApiError {
        let cause = "not supported by this server";
        match self {
            Self::StreamSnapshot => ErrorKind::StreamSnapshot.because(cause),
            Self::StreamRestore => ErrorKind::StreamRestore.because(cause),
            _ => ErrorKind::BadRequest.error(),
        }
    }

    fn reply_kind(self) -> ReplyKind {
        match self {
            Self::StreamSnapshot => ReplyKind::StreamSnapshot,
            Self::StreamRestore => ReplyKind::StreamRestore,
            Self::StreamPeerEvacuate => ReplyKind::StreamPeerRemove,
            Self::ConsumerPause => ReplyKind::ConsumerPause,
            Self::ConsumerUnpin => ReplyKind::ConsumerUnpin,
            Self::ConsumerReset => ReplyKind::ConsumerReset,
            Self::ServerEvacuate => ReplyKind::ServerRemove,
            Self::MetaRescue => ReplyKind::MetaRescue,
            Self::AccountPurge => ReplyKind::AccountPurge,
            Self::StreamCancelMove | Self::AccountStreamMove | Self::AccountStreamCancelMove => {
                ReplyKind::StreamUpdate
            }
        }
    }
}

fn stream_request(rest: &str) -> Option<ApiSubject<'_>> {
    match rest {
        "NAMES" => return Some(ApiSubject::StreamNames),
        "LIST" => return Some(ApiSubject::StreamList),
        _ => {}
    }
    // The stream is the last token of all the others.
    let (verb, stream) = rest.rsplit_once('.')?;
    if stream.is_empty() {
        return None;
    }
    Some(match verb {
        "CREATE" => ApiSubject::StreamCreate(stream),
        "UPDATE" => ApiSubject::StreamUpdate(stream),
        "INFO" => ApiSubject::StreamInfo(stream),
        "DELETE" => ApiSubject::StreamDelete(stream),
        "PURGE" => ApiSubject::StreamPurge(stream),
        "MSG.GET" => ApiSubject::MessageGet(stream),
        "MSG.DELETE" => ApiSubject::MessageDelete(stream),
        "PEER.REMOVE" => ApiSubject::StreamPeerRemove(stream),
        "LEADER.STEPDOWN" => ApiSubject::StreamLeaderStepDown(stream),
        "SNAPSHOT" => ApiSubject::Unsupported(UnsupportedApi::StreamSnapshot),
        "RESTORE" => ApiSubject::Unsupported(UnsupportedApi::StreamRestore),
        "PEER.EVACUATE" => ApiSubject::Unsupported(UnsupportedApi::StreamPeerEvacuate),
        "CANCEL_MOVE" => ApiSubject::Unsupported(UnsupportedApi::StreamCancelMove),
        _ => return None,
    })
}

fn consumer_request(rest: &str) -> Option<ApiSubject<'_>> {
    let (verb, names) = rest.split_once('.')?;
    match verb {
        "CREATE" => return create_request(names),
        "NAMES" => return single(names).map(ApiSubject::ConsumerNames),
        "LIST" => return single(names).map(ApiSubject::ConsumerList),
        _ => {}
    }
    // The consumer and its stream are the last two tokens of all the others.
    let (rest, consumer) = rest.rsplit_once('.')?;
    let (verb, stream) = rest.rsplit_once('.')?;
    if stream.is_empty() || consumer.is_empty() {
        return None;
    }
    Some(match verb {
        "INFO" => ApiSubject::ConsumerInfo(stream, consumer),
        "DELETE" => ApiSubject::ConsumerDelete(stream, consumer),
        "MSG.NEXT" => ApiSubject::ConsumerNext(stream, consumer),
        "LEADER.STEPDOWN" => ApiSubject::ConsumerLeaderStepDown(stream, consumer),
        "DURABLE.CREATE" => {
            ApiSubject::ConsumerCreate { stream, form: CreateForm::Durable { name: consumer } }
        }
        "PAUSE" => ApiSubject::Unsupported(UnsupportedApi::ConsumerPause),
        "UNPIN" => ApiSubject::Unsupported(UnsupportedApi::ConsumerUnpin),
        "RESET" => ApiSubject::Unsupported(UnsupportedApi::ConsumerReset),
        _ => return None,
    })
}

fn create_request(names: &str) -> Option<ApiSubject<'_>> {
    let (stream, rest) = head(names)?;
    let form = match rest.map(head) {
        None => CreateForm::Unnamed,
        Some(None) => return None,
        Some(Some((name, None))) => CreateForm::Named { name, filter: None },
        Some(Some((name, Some(filter)))) => {
            CreateForm::Named { name, filter: Some(several(filter)?) }
        }
    };
    Some(ApiSubject::ConsumerCreate { stream, form })
}

fn direct_request(rest: &str) -> Option<ApiSubject<'_>> {
    let (stream, subject) = head(rest.strip_prefix("GET.")?)?;
    Some(match subject {
        None => ApiSubject::DirectGet(stream),
        Some(subject) => ApiSubject::DirectGetLast(stream, several(subject)?),
    })
}

fn system_request(request: &str) -> Option<ApiSubject<'_>> {
    let unsupported = match request {
        "META.LEADER.STEPDOWN" => return Some(ApiSubject::MetaLeaderStepDown),
        "SERVER.REMOVE" => return Some(ApiSubject::ServerRemove),
        "SERVER.EVACUATE" => UnsupportedApi::ServerEvacuate,
        "META.RESCUE" => UnsupportedApi::MetaRescue,
        _ => {
            let names = request.strip_prefix("ACCOUNT.")?;
            if let Some(account) = names.strip_prefix("PURGE.") {
                single(account).map(|_| UnsupportedApi::AccountPurge)?
            } else if let Some(names) = names.strip_prefix("STREAM.MOVE.") {
                pair(names).map(|_| UnsupportedApi::AccountStreamMove)?
            } else {
                let names = names.strip_prefix("STREAM.CANCEL_MOVE.")?;
                pair(names).map(|_| UnsupportedApi::AccountStreamCancelMove)?
            }
        }
    };
    Some(ApiSubject::Unsupported(unsupported))
}

/// The first token, which is not empty, and the text behind it.
fn head(text: &str) -> Option<(&str, Option<&str>)> {
    let (token, rest) = match text.split_once('.') {
        Some((token, rest)) => (token, Some(rest)),
        None => (text, None),
    };
    (!token.is_empty()).then_some((token, rest))
}

/// `text` when it is one token.
fn single(text: &str) -> Option<&str> {
    head(text).filter(|(_, rest)| rest.is_none()).map(|(token, _)| token)
}

/// Both tokens, when `text` is two.
fn pair(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = head(text)?;
    Some((first, single(rest?)?))
}

/// `text` when it is one or more tokens, none of them empty.
fn several(text: &str) -> Option<&str> {
    (!text.split('.').any(str::is_empty)).then_some(text)
}

#[cfg(test)]
mod tests;
