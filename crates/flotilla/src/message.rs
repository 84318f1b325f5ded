//! A message on standard output: for people, or as one line of JSON.

use async_nats::{HeaderMap, Message};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use crate::output::time;

/// What a consumer says about a delivery, in the reply subject to acknowledge it on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) stream: String,
    pub(crate) consumer: String,
    /// How often the message was delivered, this time included.
    pub(crate) delivered: u64,
    pub(crate) stream_sequence: u64,
    pub(crate) consumer_sequence: u64,
    /// When the message was stored, in nanoseconds since 1970.
    pub(crate) stored: i64,
    /// How many messages follow.
    pub(crate) pending: u64,
}

impl Delivery {
    /// Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, and the
    /// later form with domain and account before the stream.
    pub(crate) fn parse(reply: &str) -> Option<Self> {
        let tokens: Vec<&str> = reply.split('.').collect();
        let fields = match (tokens.as_slice(), tokens.len()) {
            (["$JS", "ACK", fields @ ..], 9) => fields,
            (["$JS", "ACK", _domain, _account, fields @ ..], 11..) => fields,
            _ => return None,
        };
        let [stream, consumer, delivered, stream_sequence, consumer_sequence, stored, pending, ..] =
            fields
        else {
            return None;
        };
        Some(Self {
            stream: (*stream).to_owned(),
            consumer: (*consumer).to_owned(),
            delivered: delivered.parse().ok()?,
            stream_sequence: stream_sequence.parse().ok()?,
            consumer_sequence: consumer_sequence.parse().ok()?,
            stored: stored.parse().ok()?,
            pending: pending.parse().ok()?,
        })
    }
}

/// A message as one JSON object. A payload that is not UTF-8 is `data_base64` instead of `data`.
pub(crate) fn json(message: &Message, delivery: Option<&Delivery>) -> Value {
    let mut object = Map::new();
    object.insert("subject".into(), message.subject.as_str().into());
    if let Some(delivery) = delivery {
        let position = json!({
            "stream": delivery.stream, "consumer": delivery.consumer,
            "stream_seq": delivery.stream_sequence, "consumer_seq": delivery.consumer_sequence,
            "delivered": delivery.delivered, "pending": delivery.pending,
            "time": time::from_nanoseconds(delivery.stored),
        });
        if let Value::Object(position) = position {
            object.extend(position);
        }
    } else if let Some(reply) = &message.reply {
        object.insert("reply".into(), reply.as_str().into());
    }
    if let Some(headers) = &message.headers {
        let headers = sorted(headers).map(|(name, values)| (name.to_owned(), values.into()));
        object.insert("headers".into(), Value::Object(headers.collect()));
    }
    match std::str::from_utf8(&message.payload) {
        Ok(text) => object.insert("data".into(), text.into()),
        Err(_) => object.insert("data_base64".into(), BASE64.encode(&message.payload).into()),
    };
    Value::Object(object)
}

/// A message for people: a line about it, its headers, its payload.
pub(crate) fn text(message: &Message, delivery: Option<&Delivery>) -> String {
    let mut text = match delivery {
        Some(delivery) => format!(
            "[{}] subject: {} / tries: {} / consumer seq: {} / stream seq: {} / pending: {}\n",
            time::local(&time::from_nanoseconds(delivery.stored)),
            message.subject,
            delivery.delivered,
            delivery.consumer_sequence,
            delivery.stream_sequence,
            delivery.pending
        ),
        None => match &message.reply {
            Some(reply) => {
                format!("[{}] subject: {} / reply: {reply}\n", time::of_day(), message.subject)
            }
            None => format!("[{}] subject: {}\n", time::of_day(), message.subject),
        },
    };
    for (name, values) in message.headers.iter().flat_map(sorted) {
        for value in values {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(&message.payload));
    text.push('\n');
    text
}

/// Headers in the order of their names: the client keeps none.
fn sorted(headers: &HeaderMap) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let mut sorted: Vec<_> = headers
        .iter()
        .map(|(name, values)| (name.as_ref(), values.iter().map(|value| value.as_str()).collect()))
        .collect();
    sorted.sort_unstable();
    sorted.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &'static [u8]) -> Message {
        let mut headers = HeaderMap::new();
        headers.insert("B", "2");
        headers.append("A", "1");
        headers.append("A", "0");
        Message {
            subject: "ORDERS.new".into(),
            reply: None,
            payload: payload.into(),
            headers: Some(headers),
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn both_forms_of_the_ack_subject_are_read() {
        let short = Delivery::parse("$JS.ACK.ORDERS.c1.1.7.3.1600000000000000000.42").unwrap();
        let long =
            Delivery::parse("$JS.ACK._.hash.ORDERS.c1.1.7.3.1600000000000000000.42.rnd").unwrap();
        assert_eq!(short, long);
        assert_eq!((short.stream_sequence, short.consumer_sequence, short.pending), (7, 3, 42));
        for reply in
            ["_INBOX.x", "$JS.ACK.a.b.c", "$JS.ACK.S.c.x.7.3.1.42", "", "$JS.ACK._.h.a.b.1.2.3.4"]
        {
            assert_eq!(Delivery::parse(reply), None, "{reply:?}");
        }
    }

    #[test]
    fn json_keeps_every_header_and_every_byte() {
        let value = json(&message(b"hello"), None);
        let expected = json!({"subject": "ORDERS.new", "headers": {"A": ["1", "0"], "B": ["2"]}, "data": "hello"});
        assert_eq!(value, expected);
        assert_eq!(json(&message(b"\xff"), None)["data_base64"], "/w==");
    }

    #[test]
    fn text_shows_headers_then_payload() {
        let text = text(&message(b"hello"), None);
        assert!(text.ends_with("subject: ORDERS.new\nA: 1\nA: 0\nB: 2\n\nhello\n"), "{text}");
    }
}
