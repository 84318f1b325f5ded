//! From clients into entries, and acknowledgements back.

use std::collections::VecDeque;

use bytes::Bytes;
use flotilla_jsapi::ErrorKind;
use flotilla_raft::ProposeError;
use flotilla_stream::{PublishBatchBuilder, PublishOutcome};

use super::{Owed, StreamMachine};
use crate::ack;
use crate::replica::Replica;
use crate::turn::{Cx, Publish};

/// The most bytes in one entry. One larger message makes an entry by itself.
const ENTRY_BYTES: usize = 256 << 10;
/// The most messages in one entry.
const ENTRY_MESSAGES: usize = 4096;

/// A message for a stream, as a client published it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Its subject; valid, and one that the stream captures.
    pub subject: Bytes,
    /// Where the acknowledgement goes.
    pub reply: Option<Bytes>,
    /// Its header block, without a status; or nothing.
    pub headers: Bytes,
    /// Its payload.
    pub payload: Bytes,
}

impl Inbound {
    fn len(&self) -> usize {
        self.subject.len() + self.headers.len() + self.payload.len() + 64
    }
}

impl Replica<StreamMachine> {
    /// Takes messages of clients. If this replica does not serve, nothing is answered: the client's retry finds the
    /// leader, or is told that there is none.
    pub(crate) fn publish(&mut self, messages: Vec<Inbound>, cx: &mut Cx) {
        if !self.serves() {
            return;
        }
        self.wake();
        for message in messages {
            let all = cx.queued.saturating_add(self.machine.queue_bytes);
            let is_full = self.machine.queue_bytes > cx.thresholds.stream_queue
                || self.machine.queue.len() >= cx.thresholds.stream_queue_messages;
            if is_full || all > cx.thresholds.queues {
                self.machine.refuse(message.reply, ErrorKind::StreamTooManyRequests, cx);
                continue;
            }
            self.machine.queue_bytes += message.len();
            self.machine.queue.push_back(message);
        }
    }

    /// Proposes what waits: everything that came since the last turn becomes one entry, or as few as the limits
    /// allow. Without room for it, it is refused.
    pub(crate) fn propose_queue(&mut self, cx: &mut Cx) {
        if !self.machine.queue.is_empty() && !self.has_room(cx) {
            return self.refuse_queue(cx);
        }
        while !self.machine.queue.is_empty()
            && self.machine.pending_bytes < self.machine.pace.limit(cx.thresholds.stream_in_flight)
            && self.serves()
        {
            let batch = self.machine.take_batch();
            let Batch { builder, taken } = batch;
            let size = builder.encoded_size();
            let data = builder.finish(self.machine.now(cx));
            match self.raft.propose(data) {
                Ok((index, term)) => {
                    let replies = taken.into_iter().map(|m| m.reply).collect();
                    self.machine.pending_bytes += size;
                    let owed = Owed::Acks { replies, bytes: size, at: cx.now.mono };
                    self.machine.pending.insert(index, (term, owed));
                }
                Err(ProposeError::NotLeader | ProposeError::Poisoned(_)) => {
                    self.machine.forget_queue();
                }
                // Taken up again when something was committed, or the transfer is over.
                Err(_) => {
                    self.machine.put_back(taken);
                    return;
                }
            }
        }
    }
}

struct Batch {
    builder: PublishBatchBuilder,
    taken: VecDeque<Inbound>,
}

impl StreamMachine {
    fn take_batch(&mut self) -> Batch {
        let most = self.pace.limit(ENTRY_BYTES);
        let mut builder = PublishBatchBuilder::with_capacity(self.queue_bytes.min(most));
        let mut taken = VecDeque::new();
        while let Some(message) = self.queue.pop_front() {
            let full =
                builder.len() == ENTRY_MESSAGES || builder.encoded_size() + message.len() > most;
            if full && !builder.is_empty() {
                self.queue.push_front(message);
                break;
            }
            self.queue_bytes -= message.len();
            // Subjects were checked by the parser; what is too long was refused there.
            let Ok(subject) = std::str::from_utf8(&message.subject) else { continue };
            if builder.push(subject, &message.headers, &message.payload).is_ok() {
                taken.push_back(message);
            }
        }
        Batch { builder, taken }
    }

    fn put_back(&mut self, taken: VecDeque<Inbound>) {
        for message in taken.into_iter().rev() {
            self.queue_bytes += message.len();
            self.queue.push_front(message);
        }
    }

    pub(super) fn forget_queue(&mut self) {
        self.queue.clear();
        self.queue_bytes = 0;
    }

    pub(super) fn refuse(&self, reply: Option<Bytes>, why: ErrorKind, cx: &mut Cx) {
        if let Some(subject) = reply.filter(|_| !self.stream.config().no_ack) {
            let payload = ack::refused(&self.stream.config().name, &why.error());
            let headers = Bytes::new();
            cx.out.publishes.push(Publish {
                account: self.account.clone(),
                to: subject.clone(),
                subject,
                reply: None,
                headers,
                payload,
            });
        }
    }

    /// Answers the publishers of an entry.
    pub(super) fn acknowledge(
        &self,
        replies: Vec<Option<Bytes>>,
        outcomes: &[PublishOutcome],
        cx: &mut Cx,
    ) {
        if self.stream.config().no_ack {
            return;
        }
        let name = &self.stream.config().name;
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            let Some(subject) = reply else { continue };
            let payload = ack::outcome(name, outcome);
            cx.out.publishes.push(Publish {
                account: self.account.clone(),
                to: subject.clone(),
                subject,
                reply: None,
                headers: Bytes::new(),
                payload,
            });
        }
    }
}
