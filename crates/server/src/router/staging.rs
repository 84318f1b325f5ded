//! What one batch has to say to clients, collected per client before any outbox is touched.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ConnectionId;
use super::client::Client;
use super::outbox::Appended;
use super::traffic::Traffic;

/// A batch that has collected this much for one client is flushed early, in bytes.
const FULL: usize = 256 * 1024;
/// A larger buffer is not kept for the next batch, in bytes.
const KEPT: usize = 64 * 1024;

#[derive(Default)]
pub(crate) struct Staging {
    staged: Vec<Staged>,
    /// Where in `staged` a connection is. Only looked up, so its order never shows.
    places: HashMap<ConnectionId, usize, BuildHasherDefault<DefaultHasher>>,
    /// Where the next client probably is: messages that follow each other tend to go to the same clients in the
    /// same order.
    guess: usize,
    is_full: bool,
    spare: Vec<Vec<u8>>,
    /// What a client was sent in the last batch, on average, in bytes: large buffers change their owner, and the
    /// next ones should not grow from nothing again.
    expected: usize,
}

struct Staged {
    client: Arc<Client>,
    bytes: Vec<u8>,
    messages: u64,
    message_bytes: u64,
}

impl Staging {
    /// To be called before each message.
    pub(crate) fn begin_message(&mut self) {
        self.guess = 0;
    }

    /// Has any client's share grown so large that the batch should be flushed?
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Lets `write` append something other than a message to what `client` is sent.
    pub(crate) fn write(&mut self, client: &Arc<Client>, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.of(client).bytes);
    }

    /// Lets `write` append one message with `size` bytes of headers and payload.
    pub(crate) fn message(
        &mut self,
        client: &Arc<Client>,
        size: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let staged = self.of(client);
        write(&mut staged.bytes);
        staged.messages += 1;
        staged.message_bytes += size as u64;
        if staged.bytes.len() >= FULL {
            self.is_full = true;
        }
    }

    fn of(&mut self, client: &Arc<Client>) -> &mut Staged {
        let guessed = self.staged.get(self.guess).is_some_and(|it| Arc::ptr_eq(&it.client, client));
        let place = if guessed {
            self.guess
        } else {
            let staged = &mut self.staged;
            let (spare, expected) = (&mut self.spare, self.expected);
            *self.places.entry(client.id()).or_insert_with(|| {
                staged.push(Staged {
                    client: Arc::clone(client),
                    bytes: spare.pop().unwrap_or_else(|| Vec::with_capacity(expected)),
                    messages: 0,
                    message_bytes: 0,
                });
                staged.len() - 1
            })
        };
        self.guess = place + 1;
        &mut self.staged[place]
    }

    /// Hands everything to the outboxes, to that of `last` after all others: who gets an answer may rely on all
    /// others having theirs. Answers whether any client has so much waiting that publishers should pause.
    pub(crate) fn flush(&mut self, last: Option<ConnectionId>, traffic: &Traffic) -> bool {
        let own = last.and_then(|id| self.places.get(&id).copied());
        if let Some(own) = own {
            let end = self.staged.len() - 1;
            self.staged.swap(own, end);
        }
        let total: usize = self.staged.iter().map(|staged| staged.bytes.len()).sum();
        self.expected = (total / self.staged.len().max(1)).min(KEPT);
        let (mut messages, mut bytes, mut slow, mut crowded) = (0, 0, 0, false);
        for mut staged in self.staged.drain(..) {
            let appended = staged.client.outbox.append(&mut staged.bytes);
            if matches!(appended, Appended::Queued | Appended::Crowded) {
                messages += staged.messages;
                bytes += staged.message_bytes;
                staged.client.out_messages.fetch_add(staged.messages, Ordering::Relaxed);
                staged.client.out_bytes.fetch_add(staged.message_bytes, Ordering::Relaxed);
            }
            crowded |= appended == Appended::Crowded;
            slow += u64::from(appended == Appended::Overflow);
            if (1..=KEPT).contains(&staged.bytes.capacity()) && self.spare.len() < 16 {
                self.spare.push(staged.bytes);
            }
        }
        self.places.clear();
        self.guess = 0;
        self.is_full = false;
        traffic.count_out(messages, bytes, slow);
        crowded
    }
}
