//! Messages for a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flotilla_jsapi::ErrorKind;
use flotilla_jsapi::publish::PubAck;
use flotilla_proto::headers::strip_status;
use flotilla_raft::GroupId;
use flotilla_server_core::{Deliver, Message, RouterHandle};

use crate::inbox::Inbox;

/// The most bytes of headers that a message may have, as in the reference server.
const MAX_HEADERS: usize = 65_535;

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
            return self.refuse(message, ErrorKind::StreamHeaderExceedsMaximum);
        }
        // A stored message must never look like a word of the server.
        let headers = message.headers.map(strip_status).unwrap_or_default();
        let Message { subject, reply, payload, .. } = *message;
        let reply = reply.unwrap_or_default();
        if !self.inbox.publish(self.group, subject, reply, &headers, payload) {
            self.refuse(message, ErrorKind::StreamTooManyRequests);
        }
    }

    fn settle(&self) {
        self.inbox.offer();
    }
}
