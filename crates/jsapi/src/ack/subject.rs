//! `$JS.ACK.…`: everything the server needs to know about a delivery, carried by the client.

use flotilla_stream::Timestamp;

use crate::decimal;

/// What the reply subjects of delivered messages begin with.
pub const ACK_PREFIX: &str = "$JS.ACK.";

/// Tokens of the older form, without domain and account.
const TOKENS_V1: usize = 9;
/// Tokens of the newer form; more may follow.
const TOKENS_V2: usize = 11;
/// Those of the prefix.
const PREFIX_TOKENS: usize = 2;
/// What the newer form has in place of no domain.
const NO_DOMAIN: &str = "_";

/// One delivery of one message to one consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSubject<'a> {
    /// The domain; only in the newer form.
    pub domain: Option<&'a str>,
    /// A hash of the account; only in the newer form.
    pub account: Option<&'a str>,
    /// The stream that holds the message.
    pub stream: &'a str,
    /// The consumer that delivered it.
    pub consumer: &'a str,
    /// How often the message was delivered, this time included.
    pub delivered: u64,
    /// The message's sequence in the stream.
    pub stream_sequence: u64,
    /// The sequence of this delivery among all of the consumer.
    pub consumer_sequence: u64,
    /// When the message was stored.
    pub timestamp: Timestamp,
    /// How many messages the consumer had yet to deliver.
    pub pending: u64,
}

impl<'a> AckSubject<'a> {
    /// Reads either form without allocating. `None` when it is not a delivery of ours: the reference
    /// passes over such acknowledgements.
    #[must_use]
    pub fn parse(subject: &'a str) -> Option<Self> {
        let (tokens, count) = tokens(subject.strip_prefix(ACK_PREFIX)?);
        let mut tokens = tokens.into_iter().take(count);
        let (domain, account) = match PREFIX_TOKENS + count {
            TOKENS_V1 => (None, None),
            TOKENS_V2.. => (tokens.next().filter(|domain| *domain != NO_DOMAIN), tokens.next()),
            _ => return None,
        };
        let stream = tokens.next()?;
        let consumer = tokens.next()?;
        if stream.is_empty() || consumer.is_empty() {
            return None;
        }
        let mut number = || decimal::parse(tokens.next()?.as_bytes());
        Some(Self {
            domain,
            account,
            stream,
            consumer,
            delivered: number()?,
            stream_sequence: number()?,
            consumer_sequence: number()?,
            timestamp: Timestamp(i64::try_from(number()?).ok()?),
            pending: number()?,
        })
    }

    /// Appends the older form, which all clients understand.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(ACK_PREFIX.as_bytes());
        out.extend_from_slice(self.stream.as_bytes());
        out.push(b'.');
        out.extend_from_slice(self.consumer.as_bytes());
        for number in [self.delivered, self.stream_sequence, self.consumer_sequence] {
            out.push(b'.');
            decimal::push(out, number);
        }
        out.push(b'.');
        decimal::push_signed(out, self.timestamp.0);
        out.push(b'.');
        decimal::push(out, self.pending);
    }
}

/// The first tokens behind the prefix, as many as are read, and how many of these there are. In one pass: clients send one for
/// each message, and the library's search for a character is made for longer pieces.
fn tokens(text: &str) -> ([&str; TOKENS_V2 - PREFIX_TOKENS], usize) {
    let mut tokens = [""; TOKENS_V2 - PREFIX_TOKENS];
    let (mut count, mut start) = (0, 0);
    for (end, byte) in text.bytes().chain([b'.']).enumerate() {
        if byte == b'.' {
            let Some(token) = tokens.get_mut(count) else { break };
            *token = text.get(start..end).unwrap_or_default();
            (count, start) = (count + 1, end + 1);
        }
    }
    (tokens, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_are_read() {
        let expected = AckSubject {
            domain: None,
            account: None,
            stream: "ORDERS",
            consumer: "C1",
            delivered: 1,
            stream_sequence: 2,
            consumer_sequence: 3,
            timestamp: Timestamp(1_795_177_390_210_367_923),
            pending: 4,
        };
        let tail = "ORDERS.C1.1.2.3.1795177390210367923.4";
        let v1 = format!("$JS.ACK.{tail}");
        assert_eq!(AckSubject::parse(&v1), Some(expected));
        let mut built = Vec::new();
        expected.write(&mut built);
        assert_eq!(built, v1.as_bytes());

        let v2 = AckSubject { account: Some("hash"), ..expected };
        assert_eq!(AckSubject::parse(&format!("$JS.ACK._.hash.{tail}")), Some(v2));
        let v2 = AckSubject { domain: Some("hub"), ..v2 };
        assert_eq!(AckSubject::parse(&format!("$JS.ACK.hub.hash.{tail}.rnd.more")), Some(v2));
    }

    #[test]
    fn what_is_no_delivery_is_refused() {
        for subject in [
            "",
            "$JS.ACK.",
            "$JS.ACK.S.C",
            "$JS.ACK.S.C.1.1.1.1",
            "$JS.ACK.h.S.C.1.1.1.1.1",
            "$JS.ACK.S.C.x.1.1.1.1",
            "$JS.ACK.S.C.-1.1.1.1.1",
            "$JS.ACK.S.C..1.1.1.1",
            "$JS.ACK.S.C.1.1.1.99999999999999999999.1",
            "$JS.ACK..C.1.1.1.1.1",
            "$JS.FC.S.C.1.1.1.1.1",
        ] {
            assert_eq!(AckSubject::parse(subject), None, "{subject:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(
            numbers in any::<[u64; 4]>(),
            nanos in 0..=i64::MAX,
            stream in "[a-zA-Z0-9_-]{1,12}",
            consumer in "[a-zA-Z0-9_-]{1,12}",
        ) {
            let [delivered, stream_sequence, consumer_sequence, pending] = numbers;
            let subject = AckSubject {
                domain: None,
                account: None,
                stream: &stream,
                consumer: &consumer,
                delivered,
                stream_sequence,
                consumer_sequence,
                timestamp: Timestamp(nanos),
                pending,
            };
            let mut out = Vec::new();
            subject.write(&mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(AckSubject::parse(&text), Some(subject));
        }

        #[test]
        fn tokens_stand_between_dots(text in r"([0-9a-zü]{0,3}\.?){0,14}") {
            let (tokens, count) = tokens(&text);
            let expected: Vec<_> = text.split('.').take(TOKENS_V2 - PREFIX_TOKENS).collect();
            prop_assert_eq!(&tokens[..count], &expected[..]);
        }

        #[test]
        fn no_subject_panics(subject in r"(\$JS\.ACK\.)?([0-9a-z_-]{0,3}\.?){0,14}") {
            let _ = AckSubject::parse(&subject);
        }
    }
}
