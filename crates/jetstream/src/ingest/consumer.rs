//! Pull requests and acknowledgements, on their way to the leader of their consumer.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_host::ConsumerInput;
use flotilla_jsapi::ack::{AckKind as AckWord, AckSubject};
use flotilla_jsapi::level::check_required_level;
use flotilla_jsapi::pull::PullRequest as PullBody;
use flotilla_jsapi::{ApiSubject, Status};
use flotilla_raft::{GroupId, StoreId};
use flotilla_server_core::{Message, Origin};
use flotilla_stream::{Ack, AckKind, PullRequest};

use super::Ingest;

/// The most bytes of a reason that are kept; it ends in an advisory.
const MAX_REASON: usize = 4096;

/// What became of a message for a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is on its way, or its sender was told that it is not.
    Settled,
    /// This server does not know the consumer, perhaps not yet.
    Unknown,
}

/// Where a consumer's leader is.
enum Leader {
    Here(GroupId),
    There(StoreId),
    Nowhere,
}

impl Ingest {
    /// Takes a client's pull request, wherever the consumer's leader is.
    pub(crate) fn pull(&self, message: &Message<'_>, stream: &str, consumer: &str) -> Fate {
        match self.leader(message, stream, consumer) {
            None => return Fate::Unknown,
            Some(Leader::Here(group)) => self.take_pull(message, group, (stream, consumer)),
            Some(Leader::There(store)) => self.forward(store, message),
            Some(Leader::Nowhere) => self.nobody(message),
        }
        Fate::Settled
    }

    /// Takes a client's acknowledgement, likewise. What is no acknowledgement of a delivery is passed over.
    pub(crate) fn ack(&self, message: &Message<'_>) {
        let Some(delivery) = AckSubject::parse(message.subject) else { return };
        match self.leader(message, delivery.stream, delivery.consumer) {
            Some(Leader::Here(group)) => self.take_ack(message, group, &delivery),
            Some(Leader::There(store)) => self.forward(store, message),
            Some(Leader::Nowhere) | None => self.nobody(message),
        }
    }

    /// Takes what another server forwarded, believing that this one leads the consumer. It goes no further: if the
    /// leader moved on meanwhile, the client is told that nobody is there, and asks again. It is dealt with once
    /// [`settle`](Self::settle) is called.
    pub fn forwarded(
        &self,
        account: &str,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&Bytes>,
        payload: &Bytes,
    ) {
        let Some(account) = self.router.find_account(account) else { return };
        let origin = Origin::Server;
        let message =
            Message { account: &account, subject, shown: None, reply, headers, payload, origin };
        let taken = if let Some(delivery) = AckSubject::parse(subject) {
            match self.leader(&message, delivery.stream, delivery.consumer) {
                Some(Leader::Here(group)) => {
                    self.take_ack(&message, group, &delivery);
                    true
                }
                _ => false,
            }
        } else if let Some(ApiSubject::ConsumerNext(stream, consumer)) = self.parse(subject) {
            match self.leader(&message, stream, consumer) {
                Some(Leader::Here(group)) => {
                    self.take_pull(&message, group, (stream, consumer));
                    true
                }
                _ => false,
            }
        } else {
            false
        };
        if !taken {
            self.nobody(&message);
        }
    }

    /// Which request of the API a subject is, in this server's domain too.
    pub(crate) fn parse<'a>(&self, subject: &'a str) -> Option<ApiSubject<'a>> {
        match &self.domain {
            Some(domain) => ApiSubject::parse_in_domain(subject, domain),
            None => ApiSubject::parse(subject),
        }
    }

    /// `None` when there is no such consumer as far as the directory knows. A look-up there allocates nothing, so
    /// there is no cache before it that could be out of date.
    fn leader(&self, message: &Message<'_>, stream: &str, consumer: &str) -> Option<Leader> {
        let account = message.account.name();
        let group = self
            .directory
            .with(|meta| meta.consumer(account, stream, consumer).map(|asset| asset.group.id))??;
        Some(match self.leaders.of(group) {
            Some(store) if store == self.store => Leader::Here(group),
            Some(store) => Leader::There(store),
            None => Leader::Nowhere,
        })
    }

    fn forward(&self, to: StoreId, message: &Message<'_>) {
        let Message { account, subject, reply, headers, payload, .. } = *message;
        if !self.remote.forward(to, account.name(), subject, reply, headers, payload) {
            self.nobody(message);
        }
    }

    fn take_pull(&self, message: &Message<'_>, group: GroupId, (stream, consumer): (&str, &str)) {
        // Without a place for messages there is nothing to deliver.
        let Some(reply) = message.reply else { return };
        let headers = message.headers.map_or(&[][..], |headers| headers);
        let checked = match check_required_level(headers) {
            Ok(()) => PullBody::parse(message.payload),
            Err(_) => Err(Status::RequiredApiLevel),
        }
        .and_then(|body| self.check(message, (stream, consumer), body));
        let taken = checked.and_then(|body| {
            let input = ConsumerInput::Pull(pull_request(reply, body));
            let is_taken = self.inboxes.of(group).consumer(group, reply.len(), input);
            if is_taken { Ok(()) } else { Err(Status::MaxWaitingExceeded) }
        });
        if let Err(status) = taken {
            self.tell(message, reply, &status);
        }
    }

    fn check(
        &self,
        message: &Message<'_>,
        (stream, consumer): (&str, &str),
        body: PullBody,
    ) -> Result<PullBody, Status> {
        let account = message.account.name();
        let checked = self.directory.with(|meta| {
            let asset = meta.consumer(account, stream, consumer)?;
            Some(body.check(&asset.config))
        });
        // Deleted this very moment.
        checked.flatten().unwrap_or(Err(Status::ConsumerDeleted)).map(|()| body)
    }

    fn take_ack(&self, message: &Message<'_>, group: GroupId, delivery: &AckSubject<'_>) {
        let Some(word) = AckWord::parse(message.payload) else { return };
        let mut reply = message.reply;
        let kind = match word {
            AckWord::Ack => AckKind::Ack,
            AckWord::Nak { delay } => AckKind::Nak { delay: delay.unwrap_or(0) },
            AckWord::Progress => AckKind::Progress,
            AckWord::Next(body) => match (reply.take(), PullBody::parse(body)) {
                (Some(reply), Ok(body)) => AckKind::Next(pull_request(reply, body)),
                (Some(reply), Err(status)) => {
                    self.tell(message, reply, &status);
                    AckKind::Ack
                }
                (None, _) => AckKind::Ack,
            },
            AckWord::Terminate { reason } => {
                let reason = reason.get(..MAX_REASON).unwrap_or(reason);
                AckKind::Term { reason: String::from_utf8_lossy(reason).into_owned() }
            }
        };
        let size = reply.map_or(0, str::len) + message.payload.len().min(MAX_REASON);
        let ack = Ack {
            stream_seq: delivery.stream_sequence,
            consumer_seq: delivery.consumer_sequence,
            deliveries: delivery.delivered,
            kind,
            reply: reply.map(Arc::from),
        };
        if !self.inboxes.of(group).consumer(group, size, ConsumerInput::Ack(ack)) && reply.is_some()
        {
            self.nobody(message);
        }
    }

    fn tell(&self, message: &Message<'_>, reply: &str, status: &Status) {
        let mut headers = Vec::new();
        status.write(&mut headers);
        let nothing = Bytes::new();
        self.router.publish_internal(message.account, reply, None, Some(&headers.into()), &nothing);
    }
}

fn pull_request(reply: &str, body: PullBody) -> PullRequest {
    PullRequest {
        reply: reply.into(),
        batch: body.batch.into(),
        max_bytes: body.max_bytes,
        expires: body.expires,
        no_wait: body.no_wait,
        idle_heartbeat: body.heartbeat,
    }
}
