//! The headers of a publish that the stream looks at.

use crate::error::{ApiError, ErrorKind};
use crate::{decimal, header};

/// Names of headers, spelled as they are compared: byte by byte.
pub mod name {
    /// Identifies the message, so that it is stored once within the duplicate window.
    pub const MSG_ID: &str = "Nats-Msg-Id";
    /// The stream that must take the message.
    pub const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
    /// The sequence the stream's last message must have.
    pub const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
    /// The sequence the subject's last message must have; 0 when there must be none.
    pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
    /// The subject that check is made on, when it is not the message's own.
    pub const EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT: &str =
        "Nats-Expected-Last-Subject-Sequence-Subject";
    /// The identity the stream's last message must have.
    pub const EXPECTED_LAST_MSG_ID: &str = "Nats-Expected-Last-Msg-Id";
    /// Replaces what was stored before by this message.
    pub const ROLLUP: &str = "Nats-Rollup";
    /// How long this message is kept.
    pub const TTL: &str = "Nats-TTL";
    /// What a counter is changed by.
    pub const INCREMENT: &str = "Nats-Incr";
    /// Which atomic batch the message belongs to.
    pub const BATCH_ID: &str = "Nats-Batch-Id";
    /// When the message is to be published.
    pub const SCHEDULE: &str = "Nats-Schedule";
}

/// What a message replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollup {
    /// What was stored on its subject.
    Subject,
    /// Everything in the stream.
    All,
}

/// What the headers of one message ask for. Values are slices of the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishHeaders<'a> {
    /// The message's identity.
    pub msg_id: Option<&'a [u8]>,
    /// The stream that must take it.
    pub expected_stream: Option<&'a [u8]>,
    /// The sequence the stream must end with. What is not a number is `u64::MAX`, which none has.
    pub expected_last_sequence: Option<u64>,
    /// The sequence its subject must end with. What is not a number is `u64::MAX`.
    pub expected_last_subject_sequence: Option<u64>,
    /// Another subject, or pattern, for that check.
    pub expected_last_subject: Option<&'a [u8]>,
    /// The identity the stream must end with.
    pub expected_last_msg_id: Option<&'a [u8]>,
    /// What the message replaces.
    pub rollup: Option<Rollup>,
}

impl<'a> PublishHeaders<'a> {
    /// Reads the block of a message in one pass, without allocating. Of several lines with one name
    /// the first counts; an empty value is none.
    ///
    /// # Errors
    /// 10111 for a rollup that is neither `sub` nor `all`, 10193 for the subject of a check without
    /// its sequence, and what each feature has for a header of a feature no stream here can have:
    /// storing such a message as if the header were not there would break the publisher's trust.
    pub fn parse(block: &'a [u8]) -> Result<Self, ApiError> {
        let mut headers = Self::default();
        let mut rollup = None;
        for (given, value) in header::lines(block).filter(|(_, value)| !value.is_empty()) {
            let Ok(given) = std::str::from_utf8(given) else { continue };
            match given {
                name::MSG_ID => first(&mut headers.msg_id, value),
                name::EXPECTED_STREAM => first(&mut headers.expected_stream, value),
                name::EXPECTED_LAST_SEQUENCE => {
                    first(&mut headers.expected_last_sequence, sequence(value));
                }
                name::EXPECTED_LAST_SUBJECT_SEQUENCE => {
                    first(&mut headers.expected_last_subject_sequence, sequence(value));
                }
                name::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT => {
                    first(&mut headers.expected_last_subject, value);
                }
                name::EXPECTED_LAST_MSG_ID => first(&mut headers.expected_last_msg_id, value),
                name::ROLLUP => first(&mut rollup, value),
                name::TTL => return Err(ErrorKind::MessageTtlDisabled.error()),
                name::INCREMENT => return Err(ErrorKind::MessageIncrDisabled.error()),
                name::BATCH_ID => return Err(ErrorKind::AtomicPublishDisabled.error()),
                name::SCHEDULE => return Err(ErrorKind::MessageSchedulesDisabled.error()),
                _ => {}
            }
        }
        headers.rollup = rollup.map(parse_rollup).transpose()?;
        let check_is_whole = headers.expected_last_subject_sequence.is_some();
        if headers.expected_last_subject.is_some() && !check_is_whole {
            return Err(ErrorKind::StreamExpectedLastSeqPerSubjectInvalid.error());
        }
        Ok(headers)
    }
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

fn sequence(value: &[u8]) -> u64 {
    decimal::parse(value).unwrap_or(u64::MAX)
}

fn parse_rollup(value: &[u8]) -> Result<Rollup, ApiError> {
    if value.eq_ignore_ascii_case(b"sub") {
        Ok(Rollup::Subject)
    } else if value.eq_ignore_ascii_case(b"all") {
        Ok(Rollup::All)
    } else {
        let shown = String::from_utf8_lossy(value).to_lowercase();
        let cause = format_args!("rollup value invalid: {shown:?}");
        Err(ErrorKind::StreamRollupFailed.because(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(lines: &[&str]) -> Vec<u8> {
        format!("NATS/1.0\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes()
    }

    #[test]
    fn all_checks_are_found() {
        let block = block(&[
            "Nats-Msg-Id: id-1",
            "Other: x",
            "Nats-Expected-Stream: ORDERS",
            "Nats-Expected-Last-Sequence: 7",
            "Nats-Expected-Last-Subject-Sequence:0",
            "Nats-Expected-Last-Subject-Sequence-Subject: orders.>",
            "Nats-Expected-Last-Msg-Id: id-0",
            "Nats-Rollup: SUB",
            "Nats-Msg-Id: id-2",
        ]);
        let headers = PublishHeaders::parse(&block).unwrap();
        assert_eq!(
            headers,
            PublishHeaders {
                msg_id: Some(b"id-1"),
                expected_stream: Some(b"ORDERS"),
                expected_last_sequence: Some(7),
                expected_last_subject_sequence: Some(0),
                expected_last_subject: Some(b"orders.>"),
                expected_last_msg_id: Some(b"id-0"),
                rollup: Some(Rollup::Subject),
            }
        );
    }

    #[test]
    fn names_are_compared_byte_by_byte_and_empty_values_are_none() {
        let block = block(&["nats-msg-id: a", "Nats-Rollup:", "Nats-Expected-Last-Sequence: "]);
        assert_eq!(PublishHeaders::parse(&block).unwrap(), PublishHeaders::default());
        assert_eq!(PublishHeaders::parse(b"").unwrap(), PublishHeaders::default());
    }

    #[test]
    fn a_sequence_that_is_no_number_matches_nothing() {
        for value in ["x", "-1", "1 ", "99999999999999999999"] {
            let block = block(&[&format!("Nats-Expected-Last-Sequence: {value}")]);
            let headers = PublishHeaders::parse(&block).unwrap();
            assert_eq!(headers.expected_last_sequence, Some(u64::MAX), "{value:?}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let table = [
            ("Nats-Rollup: Some", 10111, r#"rollup value invalid: "some""#),
            (
                "Nats-Expected-Last-Subject-Sequence-Subject: a",
                10193,
                "missing sequence for expected last sequence per subject",
            ),
            ("Nats-TTL: 1s", 10166, "per-message TTL is disabled"),
            ("Nats-Incr: 1", 10168, "message counters is disabled"),
            ("Nats-Batch-Id: 1", 10174, "atomic publish is disabled"),
            ("Nats-Schedule: @every 1s", 10188, "message schedules is disabled"),
        ];
        for (line, err_code, description) in table {
            let error = PublishHeaders::parse(&block(&[line])).unwrap_err();
            assert_eq!(error.err_code, err_code, "{line}");
            assert_eq!(error.description, description, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_block_panics(block: Vec<u8>) {
            let _ = PublishHeaders::parse(&block);
        }
    }
}
