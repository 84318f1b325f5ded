//! What a client says about a delivery.

use serde::Deserialize;

use crate::duration::GoDuration;

/// What a client says about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind<'a> {
    /// It is done.
    Ack,
    /// It is to be delivered again.
    Nak {
        /// After how many nanoseconds; at once when not said, or said in a way that makes no sense.
        delay: Option<u64>,
    },
    /// It is being worked on: the time for its acknowledgement begins anew.
    Progress,
    /// It is done, and here is the next pull request (for [`crate::pull::PullRequest::parse`]).
    Next(&'a [u8]),
    /// It is not to be delivered again, though it was not done.
    Terminate {
        /// Why; empty when not said.
        reason: &'a [u8],
    },
}

impl<'a> AckKind<'a> {
    /// Reads the body of an acknowledgement. `None` for words the protocol does not have: they
    /// change nothing.
    #[must_use]
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        match body {
            b"" | b"+ACK" | b"+OK" => Some(Self::Ack),
            b"+WPI" => Some(Self::Progress),
            _ => {
                if let Some(rest) = body.strip_prefix(b"-NAK") {
                    Some(Self::Nak { delay: parse_delay(rest.trim_ascii()) })
                } else if let Some(rest) = body.strip_prefix(b"+NXT") {
                    Some(Self::Next(rest.trim_ascii()))
                } else {
                    let reason = body.strip_prefix(b"+TERM")?.trim_ascii();
                    Some(Self::Terminate { reason })
                }
            }
        }
    }
}

/// `{"delay":<nanoseconds>}` or a Go duration. A delay below zero is none to wait for.
fn parse_delay(text: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Delay {
        #[serde(default)]
        delay: i64,
    }

    if text.starts_with(b"{") {
        let Delay { delay } = serde_json::from_slice(text).ok()?;
        return Some(u64::try_from(delay).unwrap_or(0));
    }
    GoDuration::parse(std::str::from_utf8(text).ok()?).map(|duration| duration.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_words_are_understood() {
        let nak = |delay| AckKind::Nak { delay };
        let table: [(&[u8], AckKind<'_>); 17] = [
            (b"", AckKind::Ack),
            (b"+ACK", AckKind::Ack),
            (b"+OK", AckKind::Ack),
            (b"+WPI", AckKind::Progress),
            (b"-NAK", nak(None)),
            (b"-NAK {\"delay\":1500}", nak(Some(1500))),
            (b"-NAK {\"delay\":-5}", nak(Some(0))),
            (b"-NAK {}", nak(Some(0))),
            (b"-NAK 1.5s", nak(Some(1_500_000_000))),
            (b"-NAK soon", nak(None)),
            (b"-NAK {x", nak(None)),
            (b"-NAK \xff", nak(None)),
            (b"+NXT", AckKind::Next(b"")),
            (b"+NXT 5", AckKind::Next(b"5")),
            (b"+NXT {\"batch\":5}", AckKind::Next(b"{\"batch\":5}")),
            (b"+TERM", AckKind::Terminate { reason: b"" }),
            (b"+TERM no such order ", AckKind::Terminate { reason: b"no such order" }),
        ];
        for (body, expected) in table {
            assert_eq!(AckKind::parse(body), Some(expected), "{}", body.escape_ascii());
        }
        for body in [&b"+ACK "[..], b"ack", b"+WPI x", b"x", b"+"] {
            assert_eq!(AckKind::parse(body), None, "{}", body.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(word in prop::sample::select(vec!["-NAK", "+NXT", "+TERM", ""]), rest: Vec<u8>) {
            let body = [word.as_bytes(), &rest].concat();
            let _ = AckKind::parse(&body);
        }
    }
}
