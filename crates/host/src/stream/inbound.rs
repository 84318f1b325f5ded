//! What clients published, on its way into entries.

use std::collections::VecDeque;

use bytes::Bytes;

/// Up to this size a payload is copied: a slice would hold the whole buffer that it was read into.
const COPIED: usize = 4096;
/// Counted for each message beside its bytes.
const OVERHEAD: usize = 64;

/// Messages for one stream, as clients published them, in the order in which they came. All small parts of them lie one
/// behind the other, so that a message costs no memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inbound {
    /// Subject and reply subject of each.
    subjects: String,
    /// Headers of each, and its payload if that is small.
    bodies: Vec<u8>,
    /// The larger payloads.
    large: VecDeque<Bytes>,
    shapes: VecDeque<Shape>,
    /// Where the first message that is left begins.
    front: Place,
    size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    subject: usize,
    /// 0 without one.
    reply: usize,
    headers: usize,
    payload: usize,
}

/// How much memory messages take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    subjects: usize,
    bodies: usize,
    messages: usize,
}

impl Capacity {
    /// What each of `count` takes of this, on average, and a quarter more.
    #[must_use]
    pub fn each_of(self, count: usize) -> Self {
        let each = |all: usize| all.checked_div(count).map_or(0, |each| each + each / 4);
        let Self { subjects, bodies, messages } = self;
        Self { subjects: each(subjects), bodies: each(bodies), messages: each(messages) }
    }

    /// Takes `each` out, or as much of it as there is.
    #[must_use]
    pub fn take(&mut self, each: Self) -> Self {
        let take = |from: &mut usize, most: usize| {
            let taken = most.min(*from);
            *from -= taken;
            taken
        };
        Self {
            subjects: take(&mut self.subjects, each.subjects),
            bodies: take(&mut self.bodies, each.bodies),
            messages: take(&mut self.messages, each.messages),
        }
    }
}

impl std::ops::AddAssign for Capacity {
    fn add_assign(&mut self, other: Self) {
        self.subjects += other.subjects;
        self.bodies += other.bodies;
        self.messages += other.messages;
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    subjects: usize,
    bodies: usize,
    large: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundMessage<'a> {
    /// Its subject; valid, and one that the stream captures.
    pub subject: &'a str,
    /// Where the acknowledgement goes; empty if none is wanted.
    pub reply: &'a str,
    /// Its header block, without a status; or nothing.
    pub headers: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

impl InboundMessage<'_> {
    /// What it counts for, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        Inbound::size_of(self.subject, self.reply, self.headers, self.payload)
    }
}

impl Inbound {
    /// None yet, with room for some.
    #[must_use]
    pub fn with_capacity(capacity: Capacity) -> Self {
        Self {
            subjects: String::with_capacity(capacity.subjects),
            bodies: Vec::with_capacity(capacity.bodies),
            shapes: VecDeque::with_capacity(capacity.messages),
            ..Self::default()
        }
    }

    /// The memory that all that were pushed take, but for large payloads.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        Capacity {
            subjects: self.subjects.len(),
            bodies: self.bodies.len(),
            messages: self.shapes.len(),
        }
    }

    /// What such a message counts for, in bytes.
    #[must_use]
    pub fn size_of(subject: &str, reply: &str, headers: &[u8], payload: &[u8]) -> usize {
        subject.len() + reply.len() + headers.len() + payload.len() + OVERHEAD
    }

    /// Adds a message behind the others. `reply` is empty if no acknowledgement is wanted.
    pub fn push(&mut self, subject: &str, reply: &str, headers: &[u8], payload: &Bytes) {
        self.subjects.push_str(subject);
        self.subjects.push_str(reply);
        self.bodies.extend_from_slice(headers);
        if payload.len() <= COPIED {
            self.bodies.extend_from_slice(payload);
        } else {
            self.large.push_back(payload.clone());
        }
        let (headers_len, payload_len) = (headers.len(), payload.len());
        let shape = Shape {
            subject: subject.len(),
            reply: reply.len(),
            headers: headers_len,
            payload: payload_len,
        };
        self.shapes.push_back(shape);
        self.size += Self::size_of(subject, reply, headers, payload);
    }

    /// How many messages are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// What those that are left count for, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Those that are left.
    pub fn iter(&self) -> impl Iterator<Item = InboundMessage<'_>> {
        let mut place = self.front;
        self.shapes.iter().map(move |shape| self.message(&mut place, shape))
    }

    /// The message at `place`, which is behind it then. Each part is where `push` has put it.
    fn message(&self, place: &mut Place, shape: &Shape) -> InboundMessage<'_> {
        let subject_end = place.subjects + shape.subject;
        let reply_end = subject_end + shape.reply;
        let headers_end = place.bodies + shape.headers;
        let subject = self.subjects.get(place.subjects..subject_end).unwrap_or_default();
        let reply = self.subjects.get(subject_end..reply_end).unwrap_or_default();
        let headers = self.bodies.get(place.bodies..headers_end).unwrap_or_default();
        let payload = if shape.payload <= COPIED {
            self.bodies.get(headers_end..headers_end + shape.payload).unwrap_or_default()
        } else {
            self.large.get(place.large).map_or(&[][..], |payload| &payload[..])
        };
        place.pass(shape);
        InboundMessage { subject, reply, headers, payload }
    }

    /// Takes the first `count` messages out.
    pub fn skip(&mut self, count: usize) {
        for shape in self.shapes.drain(..count.min(self.shapes.len())) {
            self.size -= shape.subject + shape.reply + shape.headers + shape.payload + OVERHEAD;
            self.front.pass(&shape);
        }
        // What is large is given back at once.
        self.large.drain(..std::mem::take(&mut self.front.large));
    }
}

impl Place {
    fn pass(&mut self, shape: &Shape) {
        self.subjects += shape.subject + shape.reply;
        self.bodies += shape.headers + if shape.payload <= COPIED { shape.payload } else { 0 };
        self.large += usize::from(shape.payload > COPIED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (String, String, Vec<u8>, Vec<u8>);

    fn left(inbound: &Inbound) -> Vec<Parts> {
        let parts = |m: InboundMessage<'_>| {
            (m.subject.to_owned(), m.reply.to_owned(), m.headers.to_vec(), m.payload.to_vec())
        };
        inbound.iter().map(parts).collect()
    }

    #[test]
    fn messages_are_as_they_were_pushed_however_many_are_taken_before_them() {
        let all: Vec<Parts> = (0..20_usize)
            .map(|n| {
                let reply = if n.is_multiple_of(3) { String::new() } else { format!("_R.{n}") };
                let length = if n.is_multiple_of(4) { COPIED + n } else { n * 10 };
                (format!("s.{n}"), reply, vec![b'h'; n % 5], vec![n as u8; length])
            })
            .collect();
        let mut whole = Inbound::default();
        for (subject, reply, headers, payload) in &all {
            whole.push(subject, reply, headers, &payload.clone().into());
        }
        for step in 1..=21 {
            let mut inbound = whole.clone();
            let mut taken = 0;
            while !inbound.is_empty() {
                assert_eq!(left(&inbound), all[taken..]);
                assert_eq!(inbound.size(), inbound.iter().map(|m| m.size()).sum::<usize>());
                inbound.skip(step);
                taken += step;
                assert_eq!(inbound.len(), all.len().saturating_sub(taken));
            }
            assert_eq!((inbound.size(), inbound.large.len()), (0, 0));
        }
    }

    #[test]
    fn a_small_payload_is_copied_and_a_large_one_is_not() {
        let large = Bytes::from(vec![7; COPIED + 1]);
        for (payload, same) in [(large.slice(1..), false), (large, true)] {
            let mut inbound = Inbound::default();
            inbound.push("a", "", b"", &payload);
            let kept = inbound.iter().next().map(|m| m.payload.as_ptr());
            assert_eq!(kept == Some(payload.as_ptr()), same);
        }
    }
}
