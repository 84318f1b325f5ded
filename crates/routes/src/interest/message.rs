//! A message on its way to another server.

use bytes::{BufMut, Bytes, BytesMut};

use super::{DecodeError, EncodeError, Input, kind, length};
use crate::outbox::Parts;

/// The message has a reply subject, maybe an empty one.
const REPLY: u8 = 1;
/// The message has headers, maybe empty ones.
const HEADERS: u8 = 2;
/// The message has a subject that receivers are shown in place of its own.
const SHOWN: u8 = 4;

/// A message for another server's subscribers.
///
/// ```text
/// kind 1 (u8) | flags (u8) | headers length (u32) | queue groups (u16)
/// account (u16 length, bytes) | subject (same) | reply (same, with flag 1) | shown subject (same, with flag 4)
/// queue groups (same each)
/// headers | payload (the rest)
/// ```
///
/// The receiver delivers it to all plain subscriptions that match, and to one member of each queue
/// group in `queues`: the sender has chosen the receiver for these, and others for the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutedMessage {
    /// Account that the message is in.
    pub account: Bytes,
    /// Subject.
    pub subject: Bytes,
    /// The subject that receivers are shown in its place.
    pub shown: Option<Bytes>,
    /// Reply subject.
    pub reply: Option<Bytes>,
    /// The whole header block as NATS writes it, from the version line to the empty line.
    pub headers: Option<Bytes>,
    /// Payload.
    pub payload: Bytes,
    /// Queue groups that the receiver has to serve.
    pub queues: Vec<Bytes>,
}

impl RoutedMessage {
    /// Writes the frame; headers and payload stay where they are.
    pub fn encode(&self) -> Result<Parts, EncodeError> {
        let headers = self.headers.as_ref().map_or(0, Bytes::len);
        let headers = u32::try_from(headers).map_err(|_| EncodeError::Headers(headers))?;
        let mut flags = 0;
        flags |= if self.reply.is_some() { REPLY } else { 0 };
        flags |= if self.headers.is_some() { HEADERS } else { 0 };
        flags |= if self.shown.is_some() { SHOWN } else { 0 };
        let mut head = BytesMut::with_capacity(64 + self.account.len() + self.subject.len());
        head.put_u8(kind::MESSAGE);
        head.put_u8(flags);
        head.put_u32_le(headers);
        head.put_u16_le(length("number of queue groups", self.queues.len())?);
        let names = [("account", &self.account), ("subject", &self.subject)];
        let names = names.into_iter().chain(self.reply.iter().map(|reply| ("reply", reply)));
        let names = names.chain(self.shown.iter().map(|shown| ("shown subject", shown)));
        for (field, name) in names.chain(self.queues.iter().map(|queue| ("queue group", queue))) {
            head.put_u16_le(length(field, name.len())?);
            head.put_slice(name);
        }
        let mut parts = Parts::from_iter([head.freeze()]);
        parts.extend(self.headers.clone());
        parts.push(self.payload.clone());
        Ok(parts)
    }

    /// Reads what follows the kind.
    pub(super) fn read(mut input: Input) -> Result<Self, DecodeError> {
        let flags = input.u8()?;
        if flags & !(REPLY | HEADERS | SHOWN) != 0 {
            return Err(DecodeError::Flags(flags));
        }
        let headers = input.u32()?;
        let groups = input.u16()?;
        let (account, subject) = (input.name()?, input.name()?);
        let reply = if flags & REPLY != 0 { Some(input.name()?) } else { None };
        let shown = if flags & SHOWN != 0 { Some(input.name()?) } else { None };
        let mut queues = Vec::new();
        for _ in 0..groups {
            queues.push(input.name()?);
        }
        let headers = match flags & HEADERS {
            0 if headers > 0 => return Err(DecodeError::Flags(flags)),
            0 => None,
            _ => Some(input.take(usize::try_from(headers).map_err(|_| DecodeError::Short)?)?),
        };
        Ok(Self { account, subject, shown, reply, headers, payload: input.0, queues })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Frame, LONGEST};
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = Bytes> {
        vec(any::<u8>(), 0..40).prop_map(Bytes::from)
    }

    fn message() -> impl Strategy<Value = RoutedMessage> {
        let optional = || proptest::option::of(name());
        (name(), name(), optional(), optional(), optional(), name(), vec(name(), 0..4)).prop_map(
            |(account, subject, shown, reply, headers, payload, queues)| RoutedMessage {
                account,
                subject,
                shown,
                reply,
                headers,
                payload,
                queues,
            },
        )
    }

    fn flat(parts: &Parts) -> Bytes {
        parts.concat().into()
    }

    #[test]
    fn payload_and_headers_are_not_copied() {
        let payload = Bytes::from(vec![1; 100]);
        let headers = Bytes::from_static(b"NATS/1.0\r\n\r\n");
        let message = RoutedMessage {
            payload: payload.clone(),
            headers: Some(headers.clone()),
            ..RoutedMessage::default()
        };
        let parts = message.encode().unwrap();
        assert_eq!(parts[1].as_ptr(), headers.as_ptr());
        assert_eq!(parts[2].as_ptr(), payload.as_ptr());
        let frame = flat(&parts);
        let Ok(Frame::Message(decoded)) = Frame::decode(frame.clone()) else { panic!() };
        assert!(frame.as_ptr_range().contains(&decoded.payload.as_ptr()));
    }

    #[test]
    fn a_name_too_long_is_an_error() {
        let subject = Bytes::from(vec![b'a'; LONGEST + 1]);
        let message = RoutedMessage { subject, ..RoutedMessage::default() };
        let error = EncodeError::TooLong { field: "subject", length: LONGEST + 1 };
        assert_eq!(message.encode(), Err(error));
    }

    proptest! {
        #[test]
        fn messages_survive_their_encoding(message in message()) {
            let frame = flat(&message.encode().unwrap());
            prop_assert_eq!(Frame::decode(frame), Ok(Frame::Message(message)));
        }

        /// Cut before its payload begins, a message is an error; within, only the payload differs.
        #[test]
        fn a_cut_head_is_noticed(message in message(), at in any::<prop::sample::Index>()) {
            let frame = flat(&message.encode().unwrap());
            let at = at.index(frame.len());
            let cut = Frame::decode(frame.slice(..at));
            if at < frame.len() - message.payload.len() {
                prop_assert_eq!(cut, Err(DecodeError::Short));
            } else {
                prop_assert!(cut.is_ok());
            }
        }

        /// There is one spelling for each frame, so that garbage that decodes is not garbage.
        #[test]
        fn decoding_is_strict(bytes in vec(any::<u8>(), 0..80)) {
            let bytes = Bytes::from([&[kind::MESSAGE, 0, 0, 0, 0, 0], &bytes[..]].concat());
            if let Ok(Frame::Message(message)) = Frame::decode(bytes.clone()) {
                prop_assert_eq!(flat(&message.encode().unwrap()), bytes);
            }
        }
    }
}
