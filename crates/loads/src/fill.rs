//! Messages that have to be there before something is measured.

use memchr::memmem;

use crate::error::LoadError;
use crate::servers::{Address, Servers};
use crate::wire::{Connection, random};

/// How many messages are unacknowledged at most.
const IN_FLIGHT: u64 = 8_192;
/// How many of them are written at once.
const TOGETHER: u64 = 2_048;

/// Publishes so many messages of `size` bytes, at the stream's leader and as fast as it takes them.
///
/// # Errors
/// Nobody leads, a server that leads is not among those, or it refuses a message.
pub async fn fill_stream(
    servers: &Servers,
    stream: &str,
    subject: &str,
    size: usize,
    messages: u64,
) -> Result<(), LoadError> {
    let mut client = Connection::open(servers.first()).await?;
    let leader = client.stream_leader(stream, servers).await?;
    fill(&leader, subject, size, messages).await
}

pub(crate) async fn fill(
    leader: &Address,
    subject: &str,
    size: usize,
    messages: u64,
) -> Result<(), LoadError> {
    let mut connection = Connection::open(leader).await?;
    let inbox = format!("_INBOX.{:x}", random());
    connection.subscribe(&inbox, "1").await?;
    let payload = "x".repeat(size);
    let message = format!("PUB {subject} {inbox} {size}\r\n{payload}\r\n");
    let together = message.repeat(usize::try_from(TOGETHER).unwrap_or(1)).into_bytes();
    let (mut sent, mut acknowledged, mut refusal) = (0, 0, None);
    while acknowledged < messages {
        while sent < messages && sent + TOGETHER <= acknowledged + IN_FLIGHT {
            let count = TOGETHER.min(messages - sent);
            let bytes = usize::try_from(count).unwrap_or(1) * message.len();
            connection.write(&together[..bytes]).await?;
            sent += count;
        }
        connection
            .messages(|message| {
                acknowledged += 1;
                if memmem::find(message.payload, b"\"error\"").is_some() {
                    refusal = Some(String::from_utf8_lossy(message.payload).into_owned());
                }
            })
            .await?;
        if let Some(refusal) = refusal {
            return Err(connection.said(&refusal));
        }
    }
    Ok(())
}
