//! Direct gets: one message, in its own bytes, from any replica. Errors are statuses.

use flotilla_stream::Timestamp;

use crate::message::{GetRequest, Selector};
use crate::status::Status;
use crate::time::Time;
use crate::{decimal, header};

/// What a direct get asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectGet {
    /// Which message.
    pub selector: Selector,
    /// Whether neither the message's headers nor those about it are sent.
    pub no_headers: bool,
}

impl DirectGet {
    /// Reads the body of a request whose subject names only the stream.
    ///
    /// # Errors
    /// A 408 status, for the client.
    pub fn parse(body: &[u8]) -> Result<Self, Status> {
        if body.is_empty() {
            return Err(Status::EmptyRequest);
        }
        let request = read(body)?;
        if request.selects_nothing() {
            return Err(Status::EmptyRequest);
        }
        let no_headers = request.no_hdr;
        let selector = request.selector().map_err(|_| Status::ContradictoryRequest)?;
        Ok(Self { selector, no_headers })
    }

    /// Reads the body of a request whose subject names the message's subject too.
    ///
    /// # Errors
    /// A 408 status, for the client.
    pub fn parse_last(subject: &str, body: &[u8]) -> Result<Self, Status> {
        let request = if body.is_empty() { GetRequest::default() } else { read(body)? };
        let allowed = GetRequest { no_hdr: request.no_hdr, ..GetRequest::default() };
        if request != allowed {
            return Err(Status::ContradictoryRequest);
        }
        Ok(Self { selector: Selector::Last(subject.to_owned()), no_headers: request.no_hdr })
    }
}

fn read(body: &[u8]) -> Result<GetRequest, Status> {
    // A field this version does not know may change which message is meant, so that passing over
    // it, as the reference does, could hand out the wrong one.
    crate::request::decode(body).map_err(|_| Status::MalformedRequest)
}

/// The headers that tell where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The stream it is stored in.
    pub stream: &'a str,
    /// The subject it was published on.
    pub subject: &'a str,
    /// Its sequence.
    pub sequence: u64,
    /// When it was stored.
    pub timestamp: Timestamp,
    /// The sequence of the message sent before it in this answer, or published before it on this
    /// subject.
    pub last_sequence: Option<u64>,
}

impl Origin<'_> {
    /// Appends the message's own header block (empty for none) with the lines about it at its end.
    pub fn write(&self, own: &[u8], out: &mut Vec<u8>) {
        match own.strip_suffix(header::LINE_END) {
            Some(lines) => out.extend_from_slice(lines),
            None => {
                out.extend_from_slice(header::VERSION);
                out.extend_from_slice(header::LINE_END);
            }
        }
        line(out, "Nats-Stream", |out| out.extend_from_slice(self.stream.as_bytes()));
        line(out, "Nats-Subject", |out| out.extend_from_slice(self.subject.as_bytes()));
        line(out, "Nats-Sequence", |out| decimal::push(out, self.sequence));
        line(out, "Nats-Time-Stamp", |out| {
            out.extend_from_slice(Time::from(self.timestamp).to_string().as_bytes());
        });
        if let Some(sequence) = self.last_sequence {
            line(out, "Nats-Last-Sequence", |out| decimal::push(out, sequence));
        }
        out.extend_from_slice(header::LINE_END);
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    value(out);
    out.extend_from_slice(header::LINE_END);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_get_selects_one_message() {
        let get = DirectGet::parse(br#"{"seq":5,"no_hdr":true}"#).unwrap();
        assert_eq!(get, DirectGet { selector: Selector::Sequence(5), no_headers: true });
        let get = DirectGet::parse_last("$KV.b.k", b"").unwrap();
        let last = Selector::Last("$KV.b.k".to_owned());
        assert_eq!(get, DirectGet { selector: last.clone(), no_headers: false });
        let get = DirectGet::parse_last("$KV.b.k", br#"{"no_hdr":true}"#).unwrap();
        assert_eq!(get, DirectGet { selector: last, no_headers: true });
    }

    #[test]
    fn refusals_are_those_of_the_reference() {
        let table: [(&[u8], Status); 5] = [
            (b"", Status::EmptyRequest),
            (b"{}", Status::EmptyRequest),
            (b"{x", Status::MalformedRequest),
            (br#"{"seq":1,"last_by_subj":"a"}"#, Status::ContradictoryRequest),
            (br#"{"multi_last":["a"]}"#, Status::ContradictoryRequest),
        ];
        for (body, status) in table {
            assert_eq!(DirectGet::parse(body), Err(status), "{}", body.escape_ascii());
        }
        let refused = DirectGet::parse_last("a", br#"{"seq":1}"#);
        assert_eq!(refused, Err(Status::ContradictoryRequest));
    }

    #[test]
    fn headers_about_the_message_follow_its_own() {
        let origin = Origin {
            stream: "FULL",
            subject: "full.a",
            sequence: 100,
            timestamp: Timestamp(1_795_177_390_217_069_622),
            last_sequence: None,
        };
        let about = "Nats-Stream: FULL\r\nNats-Subject: full.a\r\nNats-Sequence: 100\r\n\
                     Nats-Time-Stamp: 2026-11-20T12:23:10.217069622Z\r\n";
        let mut out = Vec::new();
        origin.write(b"", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("NATS/1.0\r\n{about}\r\n"));

        let mut out = Vec::new();
        let origin = Origin { last_sequence: Some(9), ..origin };
        origin.write(b"NATS/1.0\r\nX-A: b\r\n\r\n", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("NATS/1.0\r\nX-A: b\r\n{about}Nats-Last-Sequence: 9\r\n\r\n")
        );
    }
}
