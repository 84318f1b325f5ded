//! Messages for a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flotilla_host::Inbound;
use flotilla_jsapi::ErrorKind;
use flotilla_jsapi::publish::PubAck;
use flotilla_proto::headers::strip_status;
use flotilla_raft::GroupId;
use flotilla_server_core::{Deliver, Message, RouterHandle};

use crate::inbox::Inbox;

/// The most bytes of headers that a message may have, as in the reference server.
const MAX_HEADERS: usize = 65_535;
/// Up to this size a message is copied: a slice would hold the whole buffer that it was read into.
const COPY: usize = 4096;

/// Where a stream's messages go in.
pub(super) struct Intake {
    router: RouterHandle,
    inbox: Arc<Inbox>,
    group: GroupId,
    stream: String,
    no_ack: AtomicBool,
}

impl Intake {
    pub(super) fn new(
        router: RouterHandle,
        inbox: Arc<Inbox>,
        group: GroupId,
        stream: String,
    ) -> Self {
        Self { router, inbox, group, stream, no_ack: AtomicBool::new(false) }
    }

    pub(super) fn set_no_ack(&self, no_ack: bool) {
        self.no_ack.store(no_ack, Ordering::Relaxed);
    }

    fn refuse(&self, message: &Message<'_>, error: ErrorKind) {
        let Some(reply) = message.reply.filter(|_| !self.no_ack.load(Ordering::Relaxed)) else {
            return;
        };
        let mut refusal = Vec::new();
        PubAck::write_refusal(&mut refusal, &self.stream, &error.error());
        self.router.publish_internal(message.account, reply, None, None, &refusal.into());
    }
}

impl Deliver for Intake {
    /// What the message says is looked at where it is stored; here only what would not get there.
    fn deliver(&self, message: &Message<'_>) {
        if message.headers.is_some_and(|headers| headers.len() > MAX_HEADERS) {
            self.refuse(message, ErrorKind::StreamHeaderExceedsMaximum);
        } else if !self.inbox.publish(self.group, inbound(message)) {
            self.refuse(message, ErrorKind::StreamTooManyRequests);
        }
    }

    fn settle(&self) {
        self.inbox.offer();
    }
}

/// The message as the shard takes it. A status on its version line is taken off: a stored message must never look like
/// a word of the server.
fn inbound(message: &Message<'_>) -> Inbound {
    let headers = message.headers.map(strip_status).unwrap_or_default();
    let payload = message.payload;
    let copies = message.size() <= COPY;
    let copied = if copies { headers.len() + payload.len() } else { 0 };
    let reply = message.reply.unwrap_or_default();
    // One piece of memory for all of it.
    let mut text = Vec::with_capacity(message.subject.len() + reply.len() + copied);
    text.extend_from_slice(message.subject.as_bytes());
    text.extend_from_slice(reply.as_bytes());
    if copies {
        text.extend_from_slice(&headers);
        text.extend_from_slice(payload);
    }
    let mut text = Bytes::from(text);
    let subject = text.split_to(message.subject.len());
    let reply = message.reply.map(|reply| text.split_to(reply.len()));
    if copies {
        let headers = text.split_to(headers.len());
        Inbound { subject, reply, headers, payload: text }
    } else {
        Inbound { subject, reply, headers, payload: payload.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_server_core::Origin;

    #[test]
    fn a_message_keeps_everything_but_a_status() {
        let account = RouterHandle::new().account("$G");
        let small = Bytes::from_static(b"payload");
        let large = Bytes::from(vec![7; COPY + 1]);
        for payload in [&small, &large] {
            let headers = Bytes::from_static(b"NATS/1.0 503 None\r\nA: b\r\n\r\n");
            let message = Message {
                account: &account,
                subject: "orders.new",
                shown: None,
                reply: Some("_INBOX.1"),
                headers: Some(&headers),
                payload,
                origin: Origin::Server,
            };
            let taken = inbound(&message);
            assert_eq!(&taken.subject[..], b"orders.new");
            assert_eq!(taken.reply.as_deref(), Some(&b"_INBOX.1"[..]));
            assert_eq!(&taken.headers[..], b"NATS/1.0\r\nA: b\r\n\r\n");
            assert_eq!(&taken.payload, payload);
            let plain = inbound(&Message { reply: None, headers: None, ..message });
            assert_eq!((plain.reply, plain.headers.len()), (None, 0));
            assert_eq!(&plain.payload, payload);
        }
        let message = Message {
            account: &account,
            subject: "a",
            shown: None,
            reply: None,
            headers: None,
            payload: &small,
            origin: Origin::Server,
        };
        assert_ne!(inbound(&message).payload.as_ptr(), small.as_ptr(), "small ones are copied");
        let message = Message { payload: &large, ..message };
        assert_eq!(inbound(&message).payload.as_ptr(), large.as_ptr(), "large ones are not");
    }
}
