//! Asking a server whether it is healthy.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether `GET /healthz` at this monitoring address is answered with 200.
pub(super) async fn is_ok(address: SocketAddr) -> bool {
    matches!(timeout(PATIENCE, ask(address)).await, Ok(Ok(true)))
}

async fn ask(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    // The status line is enough, and no server's first packet is shorter.
    let mut head = [0_u8; 12];
    stream.read_exact(&mut head).await?;
    Ok(head.starts_with(b"HTTP/1.") && head.ends_with(b" 200"))
}
