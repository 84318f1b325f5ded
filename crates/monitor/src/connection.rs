//! Connections, bounded: so many at a time, and none that just sits there.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long a connection may stand still. A scraper asks more often; one that does not connects again.
const IDLE: Duration = Duration::from_secs(120);

/// Accepts a connection only when there is a place for it; the others wait in the system's queue.
pub(crate) struct BoundedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    cut: CancellationToken,
}

impl BoundedListener {
    /// At most `connections` at a time, all of which end when `cut` is cancelled.
    pub(crate) fn new(listener: TcpListener, connections: usize, cut: CancellationToken) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections)), cut }
    }
}

impl Listener for BoundedListener {
    type Io = Connection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed; without a place nothing is accepted.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Connection::new(stream, place, self.cut.clone()), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing moves on it for [`IDLE`], or when it is cut.
pub(crate) struct Connection<S> {
    stream: S,
    idle: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<S> Connection<S> {
    fn new(stream: S, place: Option<OwnedSemaphorePermit>, cut: CancellationToken) -> Self {
        let (idle, cut) = (Box::pin(sleep(IDLE)), Box::pin(cut.cancelled_owned()));
        Self { stream, idle, cut, _place: place }
    }

    /// Passes on what the stream says, and ends what waits too long.
    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
            return polled;
        }
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        ready!(self.idle.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.bounded(cx, polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_stands_still_ends_and_one_that_moves_does_not() {
        let (mut client, server) = duplex(16);
        let mut server = Connection::new(server, None, CancellationToken::new());
        for _ in 0..3 {
            tokio::time::advance(IDLE * 2 / 3).await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'x');
        }
        // The paused clock runs to the next timer once everything waits.
        let error = server.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_ends_too() {
        let (_client, server) = duplex(16);
        let mut server = Connection::new(server, None, CancellationToken::new());
        let error = server.write_all(&[0; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// The paused clock moves only once no socket has news, so waiting in vain takes no time and misses nothing.
    #[tokio::test(start_paused = true)]
    async fn more_connections_than_places_wait_for_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listener = BoundedListener::new(listener, 1, CancellationToken::new());
        let _clients = [TcpStream::connect(address).await, TcpStream::connect(address).await];
        let (first, _) = listener.accept().await;
        let waited = tokio::time::timeout(Duration::from_secs(1), listener.accept()).await;
        assert!(waited.is_err(), "there was no place for it");
        drop(first);
        let (_second, _) = listener.accept().await;
    }

    #[tokio::test(start_paused = true)]
    async fn cutting_ends_what_waits() {
        let (_client, server) = duplex(16);
        let cut = CancellationToken::new();
        let mut server = Connection::new(server, None, cut.clone());
        let reading = tokio::spawn(async move { server.read_u8().await });
        tokio::task::yield_now().await;
        cut.cancel();
        let error = reading.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
