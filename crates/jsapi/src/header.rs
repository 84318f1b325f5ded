//! Header blocks: `NATS/1.0[ status][ text]CRLF`, lines of `Name: value` CRLF, an empty line.
//!
//! The server compares names byte by byte, in contrast to most clients.

/// What a header block begins with.
pub(crate) const VERSION: &[u8] = b"NATS/1.0";
/// What ends each line.
pub(crate) const LINE_END: &[u8] = b"\r\n";

/// The names and values of a block, in order. A line without a colon is passed over; a block that
/// breaks off ends with its last whole line.
pub(crate) fn lines(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = split_line(block).map_or(&[][..], |(_version, rest)| rest);
    std::iter::from_fn(move || {
        let (line, after) = split_line(rest)?;
        rest = after;
        Some(line)
    })
    .filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        Some((name, skip_spaces(&value[1..])))
    })
}

/// The value of the first line with this name, if it is not empty.
pub(crate) fn value<'a>(block: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut found = lines(block).filter(|(given, _)| *given == name.as_bytes());
    found.next().map(|(_, value)| value).filter(|value| !value.is_empty())
}

fn split_line(block: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = block.windows(LINE_END.len()).position(|bytes| bytes == LINE_END)?;
    Some((&block[..end], &block[end + LINE_END.len()..]))
}

fn skip_spaces(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|byte| *byte != b' ').unwrap_or(value.len());
    &value[start..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: &[u8] = b"NATS/1.0 100 Idle\r\nA: 1\r\nB:2\r\nno colon\r\nA: 3\r\nC:\r\n\r\n";

    #[test]
    fn the_first_of_a_name_counts_and_names_are_case_sensitive() {
        assert_eq!(value(BLOCK, "A"), Some(&b"1"[..]));
        assert_eq!(value(BLOCK, "B"), Some(&b"2"[..]));
        assert_eq!(value(BLOCK, "a"), None);
        assert_eq!(value(BLOCK, "C"), None, "an empty value is no value");
        assert_eq!(lines(BLOCK).count(), 4);
    }

    #[test]
    fn a_block_that_breaks_off_is_read_up_to_there() {
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(lines(b"NATS/1.0\r\nA: 1").count(), 0);
        assert_eq!(lines(b"NATS/1.0\r\nA: 1\r\nB").count(), 1);
    }

    proptest! {
        #[test]
        fn no_block_panics(block in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), any::<u8>()], 0..60)) {
            let _ = lines(&block).count();
        }
    }
}
