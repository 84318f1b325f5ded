//! From clients into entries, and acknowledgements back.

use std::collections::VecDeque;

use bytes::Bytes;
use flotilla_jsapi::ErrorKind;
use flotilla_raft::ProposeError;
use flotilla_stream::{PublishBatchBuilder, PublishOutcome};

use super::inbound::{Inbound, InboundMessage};
use super::{Owed, StreamMachine};
use crate::ack;
use crate::replica::Replica;
use crate::thresholds::Thresholds;
use crate::turn::{Cx, Publish};

/// The most bytes in one entry. One larger message makes an entry by itself.
const ENTRY_BYTES: usize = 256 << 10;
/// The most messages in one entry.
const ENTRY_MESSAGES: usize = 4096;
/// Room is not made for reply subjects that are longer before they are.
const LIKELY_REPLY: usize = 128;

/// Where the acknowledgements of an entry's messages go.
#[derive(Debug, Default)]
pub(super) struct Replies {
    text: String,
    /// 0: none is wanted.
    lengths: Vec<usize>,
}

impl Replies {
    /// With room for some `most`, as the first message of `queue` has one.
    fn like(queue: &VecDeque<Inbound>, most: usize) -> Self {
        let first = queue.front().and_then(|first| first.iter().next());
        // Subjects of a publisher's replies differ in length by a character or two.
        let each = first.map_or(0, |message| message.reply.len() + 2).min(LIKELY_REPLY);
        Self { text: String::with_capacity(most * each), lengths: Vec::with_capacity(most) }
    }

    fn push(&mut self, reply: &str) {
        self.text.push_str(reply);
        self.lengths.push(reply.len());
    }

    fn into_subjects(self) -> impl Iterator<Item = Bytes> {
        let mut text = Bytes::from(self.text);
        self.lengths.into_iter().map(move |len| text.split_to(len.min(text.len())))
    }
}

impl Replica<StreamMachine> {
    /// Takes messages of clients. If this replica does not serve, nothing is answered: the client's retry finds the
    /// leader, or is told that there is none.
    pub(crate) fn publish(&mut self, messages: Inbound, cx: &mut Cx) {
        if !self.serves() {
            return;
        }
        self.wake();
        let Thresholds { queues, stream_queue, stream_queue_messages, .. } = cx.thresholds;
        let (queued, bytes, waiting) =
            (cx.queued, self.machine.queue_bytes, self.machine.queue_messages);
        let fits = |size: usize, count: usize| {
            let (bytes, messages) = (bytes.saturating_add(size), waiting.saturating_add(count));
            queued.saturating_add(bytes) <= queues
                && bytes <= stream_queue
                && messages <= stream_queue_messages
        };
        if fits(messages.size(), messages.len()) {
            return self.machine.wait_in_queue(messages);
        }
        // One larger than all that may wait is taken when there is room for anything.
        let mut taken = Inbound::default();
        for message in messages.iter() {
            if fits(taken.size(), taken.len() + 1) {
                let payload = Bytes::copy_from_slice(message.payload);
                taken.push(message.subject, message.reply, message.headers, &payload);
            } else {
                self.machine.refuse(message.reply, ErrorKind::StreamTooManyRequests, cx);
            }
        }
        self.machine.wait_in_queue(taken);
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
            let Batch { builder, replies, taken } = self.machine.batch();
            let size = builder.encoded_size();
            let data = builder.finish(self.machine.now(cx));
            match self.raft.propose(data) {
                Ok((index, term)) => {
                    self.machine.leave_queue(taken);
                    self.machine.pending_bytes += size;
                    let owed = Owed::Acks { replies, bytes: size, at: cx.now.mono };
                    self.machine.pending.insert(index, (term, owed));
                }
                Err(ProposeError::NotLeader | ProposeError::Poisoned(_)) => {
                    self.machine.forget_queue();
                }
                // Taken up again when something was committed, or the transfer is over.
                Err(_) => return,
            }
        }
    }
}

/// What is to be the next entry.
struct Batch {
    builder: PublishBatchBuilder,
    replies: Replies,
    /// How many messages of the queue it is.
    taken: usize,
}

impl StreamMachine {
    /// Puts together what waits, as far as one entry takes it. It stays in the queue.
    fn batch(&self) -> Batch {
        let most = self.pace.limit(ENTRY_BYTES);
        let mut builder = PublishBatchBuilder::with_capacity(self.queue_bytes.min(most));
        // As many as it may be, if all are as long as they are on average.
        let share = self.queue_messages.saturating_mul(most) / self.queue_bytes.max(1) + 1;
        let likely = share.min(self.queue_messages).min(ENTRY_MESSAGES);
        let mut replies = Replies::like(&self.queue, likely);
        let mut taken = 0;
        for message in self.queue.iter().flat_map(Inbound::iter) {
            let full =
                builder.len() == ENTRY_MESSAGES || builder.encoded_size() + message.size() > most;
            if full && !builder.is_empty() {
                break;
            }
            taken += 1;
            let InboundMessage { subject, reply, headers, payload } = message;
            // What is too long was refused where it came in.
            if builder.push(subject, headers, payload).is_ok() {
                replies.push(reply);
            }
        }
        Batch { builder, replies, taken }
    }

    fn wait_in_queue(&mut self, messages: Inbound) {
        self.queue_bytes += messages.size();
        self.queue_messages += messages.len();
        self.queue.extend(Some(messages).filter(|messages| !messages.is_empty()));
    }

    /// Takes the first `count` messages out of the queue.
    fn leave_queue(&mut self, mut count: usize) {
        while let Some(first) = self.queue.front_mut().filter(|_| count > 0) {
            let (before, some) = (first.size(), first.len().min(count));
            first.skip(some);
            count -= some;
            self.queue_messages -= some;
            self.queue_bytes -= before - first.size();
            if first.is_empty() {
                self.queue.pop_front();
            }
        }
    }

    pub(super) fn forget_queue(&mut self) {
        self.queue.clear();
        (self.queue_bytes, self.queue_messages) = (0, 0);
    }

    pub(super) fn refuse(&self, reply: &str, why: ErrorKind, cx: &mut Cx) {
        if reply.is_empty() || self.stream.config().no_ack {
            return;
        }
        let payload = ack::refused(&self.stream.config().name, &why.error());
        let to = Bytes::copy_from_slice(reply.as_bytes());
        cx.out.publishes.push(Publish::answer(self.account.clone(), to, payload));
    }

    /// Answers the publishers of an entry.
    pub(super) fn acknowledge(&self, replies: Replies, outcomes: &[PublishOutcome], cx: &mut Cx) {
        if self.stream.config().no_ack {
            return;
        }
        let payloads = ack::outcomes(&self.stream.config().name, outcomes);
        cx.out.publishes.reserve(outcomes.len());
        for (to, payload) in replies.into_subjects().zip(payloads) {
            if !to.is_empty() {
                cx.out.publishes.push(Publish::answer(self.account.clone(), to, payload));
            }
        }
    }
}
