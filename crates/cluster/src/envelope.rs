//! Frames of the messages lane, beyond what the routes know of them.
//!
//! The kinds of [`flotilla_routes::interest`] are interest and messages for the receiver's router. One more is for
//! JetStream on the receiver:
//!
//! ```text
//! kind 16 (u8) | a frame with a message
//! ```

use std::str::Utf8Error;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flotilla_routes::Parts;
use flotilla_routes::interest::{DecodeError, EncodeError, Frame, RoutedMessage, Statement};
use thiserror::Error;

const FORWARDED: u8 = 16;

/// A frame of the messages lane.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// A message for the receiver's subscribers.
    Message(RoutedMessage),
    /// Interest of the sender.
    Statement(Statement),
    /// A pull request or an acknowledgement.
    Forwarded(RoutedMessage),
}

/// A frame that no server of this version sends.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum FrameError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("a name in a messages frame is not UTF-8: {0}")]
    Name(#[from] Utf8Error),
    #[error("a frame for JetStream holds no message")]
    NoMessage,
}

impl Envelope {
    /// Reads a frame. Its parts are slices of it.
    pub(crate) fn decode(mut frame: Bytes) -> Result<Self, FrameError> {
        let is_forwarded = frame.first() == Some(&FORWARDED);
        if is_forwarded {
            frame.advance(1);
        }
        match Frame::decode(frame)? {
            Frame::Message(message) if is_forwarded => Ok(Self::Forwarded(message)),
            Frame::Message(message) => Ok(Self::Message(message)),
            Frame::Statement(_) if is_forwarded => Err(FrameError::NoMessage),
            Frame::Statement(statement) => Ok(Self::Statement(statement)),
        }
    }
}

/// The names in a message.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) account: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) shown: Option<&'a str>,
    pub(crate) reply: Option<&'a str>,
    pub(crate) queues: &'a [Arc<str>],
}

/// A message for another server's subscribers; headers and payload stay where they are.
pub(crate) fn routed(
    names: Names<'_>,
    headers: Option<&Bytes>,
    payload: &Bytes,
) -> Result<Parts, EncodeError> {
    let Names { account, subject, shown, reply, queues } = names;
    let optional = [shown, reply].into_iter().flatten();
    let all = [account, subject].into_iter().chain(optional).chain(queues.iter().map(|q| &**q));
    // One allocation for all names.
    let mut room = BytesMut::with_capacity(all.map(str::len).sum());
    let mut name = |text: &str| {
        room.put_slice(text.as_bytes());
        room.split().freeze()
    };
    let message = RoutedMessage {
        account: name(account),
        subject: name(subject),
        shown: shown.map(&mut name),
        reply: reply.map(&mut name),
        headers: headers.cloned(),
        payload: payload.clone(),
        queues: queues.iter().map(|queue| name(queue)).collect(),
    };
    message.encode()
}

/// A message for JetStream on another server.
pub(crate) fn forwarded(
    names: Names<'_>,
    headers: Option<&Bytes>,
    payload: &Bytes,
) -> Result<Parts, EncodeError> {
    let mut parts = Parts::from_iter([Bytes::from_static(&[FORWARDED])]);
    parts.extend(routed(names, headers, payload)?);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Names<'static> {
        Names { account: "$G", subject: "a.b", shown: None, reply: Some("r"), queues: &[] }
    }

    fn frame(parts: &Parts) -> Bytes {
        parts.concat().into()
    }

    #[test]
    fn names_survive_and_the_payload_is_not_copied() {
        let payload = Bytes::from_static(b"payload");
        let queues = ["q".into(), "p".into()];
        let names = Names { shown: Some("orders.new"), queues: &queues, ..names() };
        let parts = routed(names, None, &payload).unwrap();
        assert_eq!(parts.last().map(|part| part.as_ptr()), Some(payload.as_ptr()));
        let Ok(Envelope::Message(message)) = Envelope::decode(frame(&parts)) else {
            panic!("no message");
        };
        let expected = RoutedMessage {
            account: "$G".into(),
            subject: "a.b".into(),
            shown: Some("orders.new".into()),
            reply: Some("r".into()),
            headers: None,
            payload,
            queues: vec!["q".into(), "p".into()],
        };
        assert_eq!(message, expected);
    }

    #[test]
    fn what_is_for_jetstream_is_told_apart() {
        let headers = Bytes::from_static(b"NATS/1.0\r\n\r\n");
        let parts = forwarded(names(), Some(&headers), &Bytes::new()).unwrap();
        let Ok(Envelope::Forwarded(message)) = Envelope::decode(frame(&parts)) else {
            panic!("not forwarded");
        };
        assert_eq!(message.headers, Some(headers));
        let statement = Statement::default().encode().unwrap();
        let wrong = [&[FORWARDED], &statement[..]].concat();
        assert_eq!(Envelope::decode(wrong.into()), Err(FrameError::NoMessage));
    }

    proptest! {
        #[test]
        fn a_damaged_frame_is_an_error_and_never_a_panic(at: usize, byte: u8, cut: usize) {
            let parts = forwarded(names(), None, &Bytes::from_static(b"x")).unwrap();
            let mut bytes = parts.concat();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(cut % (length + 1));
            drop(Envelope::decode(bytes.into()));
        }
    }
}
