//! The headers of a message that its stream obeys.

/// The header block's values that decide about a publish, as slices of the block.
///
/// Names are compared byte by byte, as NATS does; the first of several equal names counts, and an
/// empty value is no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PublishHeaders<'a> {
    /// `Nats-Msg-Id`.
    pub(crate) msg_id: Option<&'a [u8]>,
    /// `Nats-Expected-Stream`.
    pub(crate) expected_stream: Option<&'a [u8]>,
    /// `Nats-Expected-Last-Sequence`.
    pub(crate) expected_last_seq: Option<&'a [u8]>,
    /// `Nats-Expected-Last-Msg-Id`.
    pub(crate) expected_last_msg_id: Option<&'a [u8]>,
    /// `Nats-Expected-Last-Subject-Sequence`.
    pub(crate) expected_last_subject_seq: Option<&'a [u8]>,
    /// `Nats-Expected-Last-Subject-Sequence-Subject`.
    pub(crate) expected_subject: Option<&'a [u8]>,
    /// `Nats-Rollup`.
    pub(crate) rollup: Option<&'a [u8]>,
}

impl<'a> PublishHeaders<'a> {
    /// Reads `block` in one pass. It accepts anything: what is not a header line is skipped.
    pub(crate) fn parse(block: &'a [u8]) -> Self {
        let mut found = Self::default();
        // The version line cannot name a header, and is not one.
        for line in lines(block).skip(1).filter(|line| line.starts_with(b"Nats-")) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii_start());
            if value.is_empty() {
                continue;
            }
            if let Some(field) = found.field(name) {
                field.get_or_insert(value);
            }
        }
        found
    }

    fn field(&mut self, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        match name {
            b"Nats-Msg-Id" => Some(&mut self.msg_id),
            b"Nats-Expected-Stream" => Some(&mut self.expected_stream),
            b"Nats-Expected-Last-Sequence" => Some(&mut self.expected_last_seq),
            b"Nats-Expected-Last-Msg-Id" => Some(&mut self.expected_last_msg_id),
            b"Nats-Expected-Last-Subject-Sequence" => Some(&mut self.expected_last_subject_seq),
            b"Nats-Expected-Last-Subject-Sequence-Subject" => Some(&mut self.expected_subject),
            b"Nats-Rollup" => Some(&mut self.rollup),
            _ => None,
        }
    }
}

/// The lines of `block`, each without its CRLF.
fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r\n").unwrap_or(line))
}

/// An expected sequence. What is not a decimal number expects a sequence that never is, so that the
/// publish is refused rather than taken unchecked.
pub(crate) fn expected_sequence(value: &[u8]) -> u64 {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_names_counts_and_case_matters() {
        let block = b"NATS/1.0\r\nNats-Msg-Id:  a b \r\nnats-rollup: sub\r\nNats-Msg-Id: c\r\n\
            Nats-Expected-Stream:\r\nX: y\r\n\r\n";
        let found = PublishHeaders::parse(block);
        assert_eq!(found.msg_id, Some(&b"a b "[..]));
        assert_eq!(found.rollup, None);
        assert_eq!(found.expected_stream, None);
    }

    #[test]
    fn the_version_line_is_no_header() {
        let found = PublishHeaders::parse(b"Nats-Msg-Id: a\r\nNats-Rollup:all\r\n\r\n");
        assert_eq!(found.msg_id, None);
        assert_eq!(found.rollup, Some(&b"all"[..]));
    }

    #[test]
    fn what_is_no_number_expects_the_impossible() {
        assert_eq!(expected_sequence(b"17"), 17);
        for wrong in [&b"-1"[..], b"+1", b"1 ", b"99999999999999999999", b"\xff"] {
            assert_eq!(expected_sequence(wrong), u64::MAX);
        }
    }
}
