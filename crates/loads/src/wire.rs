//! A client that does as little as possible: what is measured is the server.

use std::time::Duration;

use memchr::memmem;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::LoadError;
use crate::servers::Address;

/// How long a server may be silent although something is asked of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is read at once.
const READ: usize = 256 * 1024;
/// The subscription that answers to requests come to.
const ANSWERS: &str = "0";

/// A connection that was greeted.
pub(crate) struct Connection {
    address: String,
    server_name: String,
    stream: TcpStream,
    /// What was read and not yet taken: it begins with a whole or an incomplete message.
    unread: Vec<u8>,
    chunk: Vec<u8>,
    /// Where answers come to, and how many were asked for.
    inbox: Option<(String, u64)>,
}

/// A message to a subscription.
pub(crate) struct Message<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) sid: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    /// The header block; empty without one.
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(server: &Address) -> Result<Self, LoadError> {
        let address = server.address.clone();
        let io = |source| LoadError::Io { address: address.clone(), source };
        let stream = TcpStream::connect(&server.address).await.map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        let mut connection = Self {
            address: server.address.clone(),
            server_name: String::new(),
            stream,
            unread: Vec::new(),
            chunk: vec![0; READ],
            inbox: None,
        };
        let mut connect = json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "echo": true, "protocol": 1,
            "name": "bench", "lang": "rust", "version": env!("CARGO_PKG_VERSION"),
        });
        if let Some((user, password)) = &server.user {
            connect["user"] = user.as_str().into();
            connect["pass"] = password.as_str().into();
        }
        connection.write(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).await?;
        while memmem::find(&connection.unread, b"PONG\r\n").is_none() {
            connection.read().await?;
        }
        connection.server_name = connection.greeting()?;
        connection.unread.clear();
        Ok(connection)
    }

    /// The name in the `INFO` that was read.
    fn greeting(&self) -> Result<String, LoadError> {
        let text = String::from_utf8_lossy(&self.unread);
        let info = text.lines().find_map(|line| line.strip_prefix("INFO "));
        let info = info.and_then(|json| serde_json::from_str::<Value>(json).ok());
        let name = info.and_then(|info| info["server_name"].as_str().map(str::to_owned));
        name.ok_or_else(|| self.said(&text))
    }

    /// `server_name` of who is at the other end.
    pub(crate) fn server_name(&self) -> &str {
        &self.server_name
    }

    pub(crate) fn said(&self, what: &str) -> LoadError {
        LoadError::Server { address: self.address.clone(), what: what.trim().to_owned() }
    }

    fn silent(&self) -> LoadError {
        LoadError::Silent { address: self.address.clone(), waited: PATIENCE }
    }

    fn io(&self, source: std::io::Error) -> LoadError {
        LoadError::Io { address: self.address.clone(), source }
    }

    pub(crate) async fn subscribe(&mut self, subject: &str, sid: &str) -> Result<(), LoadError> {
        self.write(format!("SUB {subject} {sid}\r\n").as_bytes()).await
    }

    /// Waits until the server has taken what was written before.
    pub(crate) async fn flush(&mut self) -> Result<(), LoadError> {
        self.write(b"PING\r\n").await?;
        while memmem::find(&self.unread, b"PONG\r\n").is_none() {
            self.read().await?;
        }
        Ok(())
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        match timeout(PATIENCE, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.io(error)),
            Err(_) => Err(self.silent()),
        }
    }

    async fn read(&mut self) -> Result<(), LoadError> {
        let length = match timeout(PATIENCE, self.stream.read(&mut self.chunk)).await {
            Ok(Ok(length)) => length,
            Ok(Err(error)) => return Err(self.io(error)),
            Err(_) => return Err(self.silent()),
        };
        if length == 0 {
            let unread = String::from_utf8_lossy(&self.unread).into_owned();
            return Err(self.said(&format!("the connection was closed: {unread}")));
        }
        self.unread.extend_from_slice(&self.chunk[..length]);
        Ok(())
    }

    /// Waits for something to read and forgets it. Returns how many bytes it was.
    pub(crate) async fn waste(&mut self) -> Result<usize, LoadError> {
        if self.unread.is_empty() {
            self.read().await?;
        }
        let length = self.unread.len();
        self.unread.clear();
        Ok(length)
    }

    /// Hands every whole message that was read to `take`; waits for something to read if there is none.
    pub(crate) async fn messages(
        &mut self,
        mut take: impl FnMut(Message<'_>),
    ) -> Result<(), LoadError> {
        loop {
            let taken = self.take_messages(&mut take).await?;
            if taken > 0 {
                return Ok(());
            }
            self.read().await?;
        }
    }

    async fn take_messages(
        &mut self,
        take: &mut impl FnMut(Message<'_>),
    ) -> Result<usize, LoadError> {
        let (mut at, mut pings, mut taken) = (0, 0, 0);
        while let Some(end) = memchr::memchr(b'\n', &self.unread[at..]).map(|end| at + end + 1) {
            let line = self.unread[at..end].trim_ascii_end();
            if let Some(head) = Head::parse(line) {
                let Some(body) = self.unread.get(end..end + head.size + 2) else { break };
                let (headers, payload) = body[..head.size].split_at(head.headers.min(head.size));
                let Head { subject, sid, reply, .. } = head;
                take(Message { subject, sid, reply, headers, payload });
                taken += 1;
                at = end + head.size + 2;
                continue;
            }
            if line.starts_with(b"-ERR") {
                return Err(self.said(&String::from_utf8_lossy(line)));
            }
            pings += usize::from(line.starts_with(b"PING"));
            at = end;
        }
        self.unread.drain(..at);
        for _ in 0..pings {
            self.write(b"PONG\r\n").await?;
        }
        Ok(taken)
    }

    /// Sends a request, and waits for the answer. Nothing else must be subscribed to on this connection.
    pub(crate) async fn request(
        &mut self,
        subject: &str,
        body: &Value,
    ) -> Result<Value, LoadError> {
        if self.inbox.is_none() {
            let inbox = format!("_INBOX.{:016x}", random());
            self.subscribe(&format!("{inbox}.*"), ANSWERS).await?;
            self.inbox = Some((inbox, 0));
        }
        let Some((inbox, asked)) = &mut self.inbox else { return Err(self.silent()) };
        *asked += 1;
        let (reply, body) = (format!("{inbox}.{asked}"), body.to_string());
        let publish = format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len());
        self.write(publish.as_bytes()).await?;
        let mut answer = None;
        while answer.is_none() {
            self.messages(|message| {
                if message.sid == ANSWERS.as_bytes() && message.subject == reply.as_bytes() {
                    answer = Some(match message.payload {
                        [] => json!({ "error": { "description": "nobody answers" } }),
                        payload => serde_json::from_slice(payload).unwrap_or_default(),
                    });
                }
            })
            .await?;
        }
        let answer = answer.unwrap_or_default();
        match answer["error"]["description"].as_str() {
            Some(error) => {
                let (subject, description) = (subject.to_owned(), error.to_owned());
                Err(LoadError::Refused { subject, description })
            }
            None => Ok(answer),
        }
    }
}

/// Something that no other connection has.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}

/// A `MSG` or `HMSG` line.
struct Head<'a> {
    subject: &'a [u8],
    sid: &'a [u8],
    reply: Option<&'a [u8]>,
    headers: usize,
    size: usize,
}

impl<'a> Head<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (line, has_headers) = match line.strip_prefix(b"MSG ") {
            Some(rest) => (rest, false),
            None => (line.strip_prefix(b"HMSG ")?, true),
        };
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let (subject, sid) = (words.next()?, words.next()?);
        let rest: [Option<&[u8]>; 4] = std::array::from_fn(|_| words.next());
        let number = |word: &[u8]| str::from_utf8(word).ok()?.parse::<usize>().ok();
        let (reply, headers, size) = match (has_headers, rest) {
            (false, [Some(size), None, ..]) => (None, 0, number(size)?),
            (false, [Some(reply), Some(size), None, _]) => (Some(reply), 0, number(size)?),
            (true, [Some(headers), Some(size), None, _]) => (None, number(headers)?, number(size)?),
            (true, [Some(reply), Some(headers), Some(size), None]) => {
                (Some(reply), number(headers)?, number(size)?)
            }
            _ => return None,
        };
        Some(Self { subject, sid, reply, headers, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_messages_are_read_with_and_without_reply_and_headers() {
        let read = |line: &'static str| {
            let head = Head::parse(line.as_bytes())?;
            Some((head.reply.map(<[u8]>::len), head.headers, head.size))
        };
        assert_eq!(read("MSG a.b 1 5"), Some((None, 0, 5)));
        assert_eq!(read("MSG a.b 1 re 5"), Some((Some(2), 0, 5)));
        assert_eq!(read("HMSG a.b 1 12 17"), Some((None, 12, 17)));
        assert_eq!(read("HMSG a.b 1 reply 12 17"), Some((Some(5), 12, 17)));
        assert_eq!(read("PING"), None);
        assert_eq!(read("MSG a.b 1"), None);
    }
}
