//! The subject that acknowledges a delivery, and what its payload says.

use std::fmt;

use crate::Timestamp;

/// The fields of `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`,
/// the reply subject of every delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckSubject<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// The consumer's name.
    pub consumer: &'a str,
    /// How often the message was delivered.
    pub deliveries: u64,
    /// The message's sequence in the stream.
    pub stream_seq: u64,
    /// The delivery's sequence.
    pub consumer_seq: u64,
    /// When the message was stored.
    pub time: Timestamp,
    /// How many messages came after it for this consumer.
    pub pending: u64,
}

impl<'a> AckSubject<'a> {
    /// Reads the form above (9 tokens), or the later one with a domain and an account hash before the
    /// stream (11 tokens, or more). `None` for any other subject.
    #[must_use]
    pub fn parse(subject: &'a str) -> Option<Self> {
        let rest = subject.strip_prefix("$JS.ACK.")?;
        let skipped = match rest.split('.').count() {
            7 => 0,
            tokens if tokens >= 9 => 2,
            _ => return None,
        };
        let mut tokens = rest.split('.').skip(skipped);
        let (stream, consumer) = (tokens.next()?, tokens.next()?);
        Some(Self {
            stream,
            consumer,
            deliveries: tokens.next()?.parse().ok()?,
            stream_seq: tokens.next()?.parse().ok()?,
            consumer_seq: tokens.next()?.parse().ok()?,
            time: Timestamp(tokens.next()?.parse().ok()?),
            pending: tokens.next()?.parse().ok()?,
        })
    }

    /// The length of its text.
    #[must_use]
    pub fn text_len(&self) -> usize {
        let digits = |number: u64| number.checked_ilog10().unwrap_or(0) as usize + 1;
        let sign = usize::from(self.time.0 < 0);
        "$JS.ACK.".len()
            + 6
            + self.stream.len()
            + self.consumer.len()
            + digits(self.deliveries)
            + digits(self.stream_seq)
            + digits(self.consumer_seq)
            + digits(self.time.0.unsigned_abs())
            + sign
            + digits(self.pending)
    }
}

impl fmt::Display for AckSubject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, consumer, deliveries, stream_seq, consumer_seq, time, pending } = self;
        write!(
            f,
            "$JS.ACK.{stream}.{consumer}.{deliveries}.{stream_seq}.{consumer_seq}.{}.{pending}",
            time.0
        )
    }
}

/// The verb of an acknowledgement's payload, with what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckVerb<'a> {
    /// Nothing, `+ACK` or `+OK`: done.
    Ack,
    /// `-NAK`: again, after the delay in the argument (`{"delay":<ns>}` or a Go duration) if any.
    Nak(&'a [u8]),
    /// `+WPI`: in progress.
    Progress,
    /// `+NXT`: done, and a pull request in the argument.
    Next(&'a [u8]),
    /// `+TERM`: never again, for the reason in the argument.
    Term(&'a [u8]),
}

impl<'a> AckVerb<'a> {
    /// Reads a payload; `None` when it is no acknowledgement, which NATS ignores.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        match payload {
            b"" | b"+ACK" | b"+OK" => Some(Self::Ack),
            b"+WPI" => Some(Self::Progress),
            [b'-', b'N', b'A', b'K', argument @ ..] => Some(Self::Nak(argument.trim_ascii())),
            [b'+', b'N', b'X', b'T', argument @ ..] => Some(Self::Next(argument.trim_ascii())),
            [b'+', b'T', b'E', b'R', b'M', argument @ ..] => {
                Some(Self::Term(argument.trim_ascii()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_the_short_one_is_written() {
        let text = "$JS.ACK.ORDERS.worker.2.1000.1205.1700000000000000000.42";
        let subject = AckSubject::parse(text).unwrap();
        assert_eq!((subject.stream, subject.consumer), ("ORDERS", "worker"));
        assert_eq!((subject.deliveries, subject.stream_seq, subject.consumer_seq), (2, 1000, 1205));
        assert_eq!(subject.to_string(), text);
        assert_eq!(subject.text_len(), text.len());
        for before in ["0.0.0.-5.0", "9.99.10.0.1"] {
            let text = format!("$JS.ACK.S.C.{before}");
            assert_eq!(AckSubject::parse(&text).unwrap().text_len(), text.len());
        }

        let later = "$JS.ACK._.hash.ORDERS.worker.2.1000.1205.1700000000000000000.42.random";
        assert_eq!(AckSubject::parse(later).unwrap(), subject);
        for wrong in ["$JS.ACK.S.C.1.2.3.4", "$JS.ACK.S.C.1.2.3.4.x", "JS.ACK.S.C.1.2.3.4.5", ""] {
            assert_eq!(AckSubject::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn verbs_are_told_from_their_arguments() {
        let cases: [(&[u8], Option<AckVerb<'_>>); 8] = [
            (b"", Some(AckVerb::Ack)),
            (b"+ACK", Some(AckVerb::Ack)),
            (b"-NAK", Some(AckVerb::Nak(b""))),
            (b"-NAK {\"delay\": 5}", Some(AckVerb::Nak(b"{\"delay\": 5}"))),
            (b"+WPI", Some(AckVerb::Progress)),
            (b"+NXT 5", Some(AckVerb::Next(b"5"))),
            (b"+TERM bad input", Some(AckVerb::Term(b"bad input"))),
            (b"+WPI x", None),
        ];
        for (payload, expected) in cases {
            assert_eq!(AckVerb::parse(payload), expected);
        }
    }
}
