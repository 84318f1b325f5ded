//! A client that does as little as possible: what is measured is the server.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a server may be silent although something is asked of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is read at once.
const READ: usize = 256 * 1024;

/// A connection that was greeted.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What was read and not yet taken: it begins with a whole or an incomplete message.
    unread: Vec<u8>,
    chunk: Vec<u8>,
}

/// A message to the subscription: the last token of its subject, and whether it acknowledges a publish.
pub(crate) struct Ack {
    pub(crate) slot: usize,
    pub(crate) is_stored: bool,
}

impl Connection {
    /// Connects to `address` (`host:port`) and subscribes to `<inbox>.*`.
    pub(crate) async fn open(address: &str, inbox: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| address.to_owned())?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream, unread: Vec::new(), chunk: vec![0; READ] };
        let greeting = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
            \"name\":\"bench\",\"lang\":\"rust\",\"version\":\"0\"}}\r\nSUB {inbox}.* 1\r\nPING\r\n"
        );
        connection.write(greeting.as_bytes()).await?;
        while memmem::find(&connection.unread, b"PONG\r\n").is_none() {
            connection.read().await.context("no greeting")?;
        }
        connection.unread.clear();
        Ok(connection)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .context("the server takes nothing")??;
        Ok(())
    }

    async fn read(&mut self) -> Result<()> {
        let read = timeout(PATIENCE, self.stream.read(&mut self.chunk)).await;
        match read.context("the server is silent")?? {
            0 => {
                bail!("the server closed the connection: {}", String::from_utf8_lossy(&self.unread))
            }
            length => self.unread.extend_from_slice(&self.chunk[..length]),
        }
        Ok(())
    }

    /// Waits for something to read, and hands every whole message in it to `take`.
    pub(crate) async fn acks(&mut self, mut take: impl FnMut(Ack)) -> Result<()> {
        self.read().await?;
        let mut at = 0;
        let mut pings = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.unread[at..]).map(|end| at + end + 1) {
            let line = self.unread[at..end].trim_ascii_end();
            let size = match line.split(|byte| *byte == b' ').next() {
                Some(b"MSG" | b"HMSG") => size(line)? + 2,
                Some(b"PING") => {
                    pings += 1;
                    0
                }
                Some(b"-ERR") => bail!("{}", String::from_utf8_lossy(line)),
                _ => 0,
            };
            let Some(payload) = self.unread.get(end..end + size) else { break };
            if size > 0 {
                take(Ack { slot: slot(line)?, is_stored: is_stored(payload) });
            }
            at = end + size;
        }
        self.unread.drain(..at);
        for _ in 0..pings {
            self.write(b"PONG\r\n").await?;
        }
        Ok(())
    }
}

fn is_stored(payload: &[u8]) -> bool {
    memmem::find(payload, b"\"seq\":").is_some() && memmem::find(payload, b"\"error\"").is_none()
}

/// The last number of a `MSG` or `HMSG` line.
fn size(line: &[u8]) -> Result<usize> {
    number(line.rsplit(|byte| *byte == b' ').next(), line)
}

/// The last token of the subject of a `MSG` or `HMSG` line.
fn slot(line: &[u8]) -> Result<usize> {
    let subject = line.split(|byte| *byte == b' ').nth(1);
    number(subject.and_then(|subject| subject.rsplit(|byte| *byte == b'.').next()), line)
}

fn number(text: Option<&[u8]>, line: &[u8]) -> Result<usize> {
    let number = text.and_then(|text| str::from_utf8(text).ok()?.parse().ok());
    number.with_context(|| format!("cannot read {:?}", String::from_utf8_lossy(line)))
}
