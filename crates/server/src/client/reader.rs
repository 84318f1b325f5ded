//! The reading task of one connection.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connection::Connection;
use super::session::Session;
use crate::router::CloseReason;

/// The first and smallest read, in bytes.
const SMALLEST_READ: usize = 1024;
/// The largest read of ordinary traffic, in bytes; a larger message may take larger ones.
const LARGEST_READ: usize = 64 * 1024;
/// How long a client pauses that others cannot keep up with.
const PAUSE: Duration = Duration::from_millis(5);
/// How long to read on after a farewell. To close with unread input resets the connection, and the client may never
/// see why.
const LINGER: Duration = Duration::from_millis(250);

/// Reads and applies what the client sends, until the connection ends.
pub(super) async fn read_loop(
    session: &mut Session,
    connection: &Connection,
    socket: &mut OwnedReadHalf,
) -> CloseReason {
    let outbox = &connection.client.outbox;
    let mut input = Input::new();
    let mut timer = std::pin::pin!(sleep_until(session.deadline()));
    loop {
        input.make_room(session.missing(input.buffer.len()));
        let read = tokio::select! {
            biased;
            () = outbox.nudged() => {
                let closing = outbox.close_reason().map_or(Ok(()), Err);
                if let Err(reason) = closing.and_then(|()| session.refresh(Instant::now())) {
                    return reason;
                }
                timer.as_mut().reset(session.deadline());
                continue;
            }
            read = socket.read_buf(&mut input.buffer) => read,
            () = &mut timer => {
                if let Err(reason) = session.on_time(Instant::now()) {
                    return reason;
                }
                timer.as_mut().reset(session.deadline());
                continue;
            }
        };
        let size = match read {
            Ok(0) => return CloseReason::ClientClosed,
            Ok(size) => size,
            Err(error) => return of_error(&error),
        };
        let may_have_more = input.note_read(size);
        match session.process(&mut input.buffer, Instant::now()) {
            Err(reason) => return reason,
            Ok(true) => sleep(PAUSE).await,
            // The writers of this thread wait for their turn.
            Ok(false) if may_have_more => tokio::task::yield_now().await,
            Ok(false) => {}
        }
        if timer.deadline() != session.deadline() {
            timer.as_mut().reset(session.deadline());
        }
    }
}

/// Reads on for a moment and throws it away.
pub(super) async fn linger(socket: &mut OwnedReadHalf) {
    let mut waste = vec![0; SMALLEST_READ * 16];
    let drain = async { while matches!(socket.read(&mut waste).await, Ok(1..)) {} };
    // Either outcome is fine: the client went, or had its chance.
    let _ = timeout(LINGER, drain).await;
}

fn of_error(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            CloseReason::ClientClosed
        }
        _ => CloseReason::ReadError,
    }
}

/// The read buffer, as large as the traffic asks for.
struct Input {
    buffer: BytesMut,
    read_size: usize,
    /// Reads in a row that needed less than half.
    small_reads: u32,
}

impl Input {
    fn new() -> Self {
        Self { buffer: BytesMut::new(), read_size: SMALLEST_READ, small_reads: 0 }
    }

    /// Makes room for the next read. For a large message of which `missing` bytes are to come the buffer at most
    /// doubles: memory follows what arrives, not what was announced.
    fn make_room(&mut self, missing: usize) {
        if self.buffer.is_empty() && self.buffer.capacity() > LARGEST_READ * 2 {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(self.read_size.max(missing.min(self.buffer.len())));
    }

    /// Adapts to the size of a read. Answers whether more seems to wait.
    fn note_read(&mut self, size: usize) -> bool {
        if size >= self.read_size {
            self.read_size = (self.read_size * 2).min(LARGEST_READ);
            self.small_reads = 0;
            return true;
        }
        if size >= self.read_size / 2 || self.read_size == SMALLEST_READ {
            self.small_reads = 0;
            return false;
        }
        self.small_reads += 1;
        if self.small_reads > 8 {
            self.read_size /= 2;
            self.small_reads = 0;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_follows_what_arrives() {
        let mut input = Input::new();
        for _ in 0..20 {
            input.make_room(1);
            let room = input.buffer.capacity();
            input.note_read(room.min(input.read_size));
        }
        assert_eq!(input.read_size, LARGEST_READ);
        for _ in 0..200 {
            input.note_read(10);
        }
        assert_eq!(input.read_size, SMALLEST_READ);

        let mut input = Input::new();
        input.buffer.extend_from_slice(&[0; 100]);
        input.make_room(900 << 20);
        assert!(input.buffer.capacity() < 1 << 16, "announced bytes reserve nothing");
    }
}
