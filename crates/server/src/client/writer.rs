//! The writing task of one connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::timeout;

use super::connection::Connection;
use super::service::Service;
use crate::router::CloseReason;

/// Chunks that go into one system call.
const SLICES: usize = 64;

/// Writes what the outbox holds until the connection closes, then ends the stream.
pub(super) async fn write_loop(
    service: &Service,
    connection: &Connection,
    mut socket: OwnedWriteHalf,
) {
    let outbox = &connection.client.outbox;
    let mut chunks = VecDeque::new();
    while let Some(next) = outbox.take(chunks).await {
        chunks = next;
        let deadline = service.settings().options.write_deadline;
        match write_all(&mut socket, &chunks, deadline).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                service.router.traffic().count_slow_consumer();
                return outbox.close(CloseReason::SlowConsumerWriteDeadline);
            }
            Err(_) => return outbox.close(CloseReason::WriteError),
        }
    }
    let deadline = service.settings().options.write_deadline;
    // If even the end cannot be written, there is nothing left to do for this client.
    let _ = timeout(deadline, socket.shutdown()).await;
}

/// Writes all of `chunks`. Fails with [`io::ErrorKind::TimedOut`] if nothing can be written for as long as `deadline`.
async fn write_all(
    socket: &mut OwnedWriteHalf,
    chunks: &VecDeque<Vec<u8>>,
    deadline: Duration,
) -> io::Result<()> {
    let mut first = 0;
    let mut offset = 0;
    while first < chunks.len() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks.range(first..)) {
            let skipped = if count == 0 { offset } else { 0 };
            *slice = IoSlice::new(chunk.get(skipped..).unwrap_or_default());
            count += 1;
        }
        let mut written = timeout(deadline, socket.write_vectored(&slices[..count])).await??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(chunk) = chunks.get(first) {
            let left = chunk.len() - offset;
            if written < left {
                offset += written;
                break;
            }
            written -= left;
            first += 1;
            offset = 0;
        }
    }
    Ok(())
}
