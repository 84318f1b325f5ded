//! Publish acknowledgements, written by hand: they are the one JSON on the hot path.

use bytes::{BufMut, Bytes, BytesMut};
use flotilla_jsapi::{ApiError, ErrorKind};
use flotilla_stream::PublishOutcome;

/// An acknowledgement is not longer than this and the stream's name.
const LONGEST: usize = 64;

/// The acknowledgements of an entry's messages. All that are stored are slices of one piece of memory.
pub(crate) fn outcomes(stream: &str, outcomes: &[PublishOutcome]) -> impl Iterator<Item = Bytes> {
    let mut text = BytesMut::with_capacity(outcomes.len() * (stream.len() + LONGEST));
    outcomes.iter().map(move |outcome| {
        match outcome {
            PublishOutcome::Stored { seq } => put_stored(&mut text, stream, *seq, false),
            PublishOutcome::Duplicate { seq } => put_stored(&mut text, stream, *seq, true),
            PublishOutcome::Refused(error) => {
                let api = ErrorKind::from_number(error.code())
                    .map_or_else(|| ErrorKind::StreamStoreFailed.because(error), ErrorKind::error);
                return refused(stream, &ApiError { description: error.to_string().into(), ..api });
            }
        }
        text.split().freeze()
    })
}

fn put_stored(json: &mut BytesMut, stream: &str, seq: u64, duplicate: bool) {
    json.put_slice(b"{\"stream\":\"");
    // A stream's name has no character that JSON would escape: see the validation of names.
    json.put_slice(stream.as_bytes());
    json.put_slice(b"\",\"seq\":");
    put_decimal(json, seq);
    json.put_slice(if duplicate { b",\"duplicate\":true}" } else { b"}" });
}

fn put_decimal(to: &mut BytesMut, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    to.put_slice(&digits[at..]);
}

/// The refusal of one publish.
pub(crate) fn refused(stream: &str, error: &ApiError) -> Bytes {
    serde_json::to_vec(&serde_json::json!({ "error": error, "stream": stream, "seq": 0 }))
        .unwrap_or_default()
        .into()
}
