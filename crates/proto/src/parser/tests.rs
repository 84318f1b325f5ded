use proptest::prelude::*;

use super::*;

/// Everything `parser` says about `chunks`, up to the error that closes the connection.
fn parse_chunks<'a>(
    limits: Limits,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<ClientOp, ProtocolError>> {
    let mut parser = Parser::new(limits);
    let mut buffer = BytesMut::new();
    let mut said = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match parser.next(&mut buffer) {
                Ok(None) => break,
                Ok(Some(op)) => said.push(Ok(op)),
                Err(error) => {
                    let closes = error.closes();
                    said.push(Err(error));
                    if closes {
                        return said;
                    }
                }
            }
        }
        let waiting = limits.max_control_line.max(limits.max_payload) + 16;
        assert!(buffer.len() <= waiting + chunk.len(), "an unfinished operation is bounded");
        assert!(parser.missing(buffer.len()) <= waiting);
    }
    said
}

fn parse(text: &[u8]) -> Vec<Result<ClientOp, ProtocolError>> {
    parse_chunks(Limits::default(), [text])
}

/// An operation in short, for tables.
fn describe(said: &Result<ClientOp, ProtocolError>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match said {
        Err(error) => match error.reply() {
            Some(reply) => format!("-ERR {reply}{}", if error.closes() { ", close" } else { "" }),
            None => "close".to_owned(),
        },
        Ok(ClientOp::Connect(json)) => format!("CONNECT {}", text(json)),
        Ok(ClientOp::Publish(message)) => format!(
            "{} [{}] {:?} {}",
            message.subject(),
            message.reply().unwrap_or_default(),
            message.headers.as_deref().map(text),
            text(&message.payload)
        ),
        Ok(ClientOp::Subscribe { subject, queue, sid }) => {
            format!("SUB {subject} {queue:?} {}", text(sid))
        }
        Ok(ClientOp::Unsubscribe { sid, max }) => format!("UNSUB {} {max:?}", text(sid)),
        Ok(op) => format!("{op:?}"),
    }
}

#[test]
fn single_operations_are_read_as_the_reference_server_reads_them() {
    let table: &[(&[u8], &str)] = &[
        (b"CONNECT {\"verbose\":false}\r\n", "CONNECT {\"verbose\":false}"),
        (b"connect {}\n", "CONNECT {}"),
        (b"PUB a 5\r\nhello\r\n", "a [] None hello"),
        (b"pub\ta\tr \t5 \nhello\r\n", "a [r] None hello"),
        (b"PUB a 0\r\n\r\n", "a [] None "),
        (b"PUB a 4\r\n\r\n\r\n\r\n", "a [] None \r\n\r\n"),
        (b"PUB a 000000001\r\nx\r\n", "a [] None x"),
        (b"PUB a.* 1\r\nx\r\n", "a.* [] None x"),
        (b"HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n", "a [] Some(\"NATS/1.0\\r\\n\\r\\n\") x"),
        (b"HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\n", "a [r] Some(\"NATS/1.0\\r\\n\\r\\n\") "),
        (b"SUB a.> 1\r\n", "SUB a.> None 1"),
        (b"sub   a \t q  77  \r\n", "SUB a Some(\"q\") 77"),
        (b"SUB a..b 1\r\n", "SUB a..b None 1"),
        (b"UNSUB 1\r\n", "UNSUB 1 None"),
        (b"UNSUB 1 5\r\n", "UNSUB 1 Some(5)"),
        (b"UNSUB 1 0\r\n", "UNSUB 1 None"),
        (b"UNSUB 1 x\r\n", "UNSUB 1 None"),
        (b"PING\r\n", "Ping"),
        (b"PINGx y\r\n", "Ping"),
        (b"pong\n", "Pong"),
        (b"INFO {}\r\n", "Info"),
        (b"+ok\r\n", "Ok"),
    ];
    for (text, expected) in table {
        let said: Vec<_> = parse(text).iter().map(describe).collect();
        assert_eq!(said, [*expected], "{}", text.escape_ascii());
    }
}

#[test]
fn violations_have_the_reference_servers_consequences() {
    let unknown = "-ERR Unknown Protocol Operation, close";
    let table: &[(&[u8], &str)] = &[
        (b"\r\n", unknown),
        (b"GET / HTTP/1.1\r\n", unknown),
        (b"G", unknown),
        (b"\x16\x03\x01", unknown),
        (b"CXX", unknown),
        (b"UNSUB\r\n", unknown),
        (b"PUBa 1\r\n", unknown),
        (b"MSG a 1 0\r\n", unknown),
        (b"RS+ a\r\n", unknown),
        (b"PUB a 1\r\nxyz\r\n", unknown),
        (b"PUB a 1\r\nx\n\n", unknown),
        (b"PUB a\r\n", "close"),
        (b"PUB a b c 1\r\n", "close"),
        (b"PUB a x\r\n", "close"),
        (b"PUB a -1\r\n", "close"),
        (b"PUB a 0000000001\r\n", "close"),
        (b"PUB a 99999999999999999999\r\n", "close"),
        (b"HPUB a 12\r\n", "close"),
        (b"HPUB a 13 12\r\n", "close"),
        (b"HPUB a r s 12 12\r\n", "close"),
        (b"SUB a\r\n", "close"),
        (b"SUB a b c d\r\n", "close"),
        (b"UNSUB \r\n", "close"),
        (b"UNSUB 1 2 3\r\n", "close"),
        (b"-ERR 'x'\r\n", "close"),
        (b"PUB a 1048577\r\n", "-ERR Maximum Payload Violation, close"),
        (b"HPUB a 12 1048577\r\n", "-ERR Maximum Payload Violation, close"),
        (b"SUB \xff 1\r\n", "-ERR Invalid Subject"),
        (b"SUB a \xff 1\r\n", "-ERR Invalid Subject"),
        (b"PUB \xff 1\r\nx\r\n", "-ERR Invalid Publish Subject"),
        (b"PUB a \xff 1\r\nx\r\n", "-ERR Invalid Publish Subject"),
    ];
    for (text, expected) in table {
        let said: Vec<_> = parse(text).iter().map(describe).collect();
        assert_eq!(said, [*expected], "{}", text.escape_ascii());
    }
}

#[test]
fn after_a_violation_that_keeps_the_connection_parsing_goes_on() {
    let said = parse(b"SUB \xff 1\r\nPUB \xff 1\r\nx\r\nPING\r\n");
    assert_eq!(said.last(), Some(&Ok(ClientOp::Ping)));
    assert_eq!(said.len(), 3);
}

#[test]
fn the_longest_line_is_just_accepted() {
    let line = |size: usize| [b"SUB ", "a".repeat(size - 2).as_bytes(), b" 1\r\n"].concat();
    assert!(parse(&line(4096))[0].is_ok());
    let too_long = ProtocolError::ControlLineTooLong { limit: 4096 };
    assert_eq!(parse(&line(4097)), [Err(too_long.clone())]);
    // Nobody waits for the end of a line that is too long already.
    let endless = [&b"PUB "[..], &[b'a'; 4096]].concat();
    assert_eq!(parse(&endless), []);
    assert_eq!(parse(&[&endless[..], b"\r"].concat()), []);
    assert_eq!(parse(&[&endless[..], b"a"].concat()), [Err(too_long.clone())]);
    assert_eq!(parse(&[&b"PING"[..], &[b' '; 5000]].concat()), [Err(too_long)]);
}

#[test]
fn payloads_are_slices_of_what_was_read() {
    let mut buffer = BytesMut::from(&b"PUB a 5\r\nhello\r\nPING\r\n"[..]);
    let payload_at = buffer[9..].as_ptr();
    let Ok(Some(ClientOp::Publish(message))) = Parser::new(Limits::default()).next(&mut buffer)
    else {
        panic!("a message");
    };
    assert_eq!(message.payload.as_ptr(), payload_at);
    assert_eq!(&buffer[..], b"PING\r\n");
}

#[test]
fn a_parser_knows_what_is_missing() {
    let mut parser = Parser::new(Limits::default());
    let mut buffer = BytesMut::from(&b"PUB a 1000\r\nabc"[..]);
    assert_eq!(parser.missing(buffer.len()), 1);
    assert_eq!(parser.next(&mut buffer), Ok(None));
    assert_eq!(buffer.len(), 3);
    assert_eq!(parser.missing(buffer.len()), 999);
}

/// Text that is mostly protocol, with faults in it.
fn traffic() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(&b"PUB a.b 3\r\nxyz\r\n"[..]),
        Just(&b"PUB a.b reply 0\r\n\r\n"[..]),
        Just(&b"HPUB a 12 15\r\nNATS/1.0\r\n\r\nabc\r\n"[..]),
        Just(&b"SUB foo.* q 9\r\n"[..]),
        Just(&b"UNSUB 9 1\r\n"[..]),
        Just(&b"PING\n"[..]),
        Just(&b"PUB \xff 1\r\nx\r\n"[..]),
        Just(&b"CONNECT {}\r\n"[..]),
        Just(&b"PUB a 60\r\nxyz"[..]),
        Just(&b"SUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1\r\n"[..]),
        Just(&b"PUB "[..]),
        Just(&b" \r"[..]),
        Just(&b"\r\n"[..]),
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn how_the_bytes_are_cut_changes_nothing(
        bytes in traffic(),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let limits = Limits { max_control_line: 40, max_payload: 50 };
        let whole = parse_chunks(limits, [&bytes[..]]);
        let chunks = cut(&bytes, &cuts);
        prop_assert_eq!(&whole, &parse_chunks(limits, chunks.iter().map(|chunk| &chunk[..])));
        prop_assert_eq!(&whole, &parse_chunks(limits, bytes.chunks(1)));
    }

    #[test]
    fn random_bytes_neither_panic_nor_pile_up(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        verb in prop::sample::select(vec!["", "PUB ", "HPUB ", "SUB ", "UNSUB ", "CONNECT ", "PING"]),
    ) {
        let limits = Limits { max_control_line: 20, max_payload: 20 };
        let bytes = [verb.as_bytes(), &bytes].concat();
        parse_chunks(limits, bytes.chunks(7));
    }
}
