//! Ports nobody uses, for servers that must keep theirs across restarts.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below the range from which systems take the ports of outgoing connections: a port chosen here stays free
/// while its server is down.
const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that is free for TCP and for UDP, and that no other call of this process gets.
///
/// # Errors
/// All are taken.
pub(crate) fn free() -> Result<u16> {
    // Processes that test at the same time begin at different places.
    let start = u16::try_from(process::id() % 150).unwrap_or(0) * 100;
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = (Ipv4Addr::LOCALHOST, FIRST + offset);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(FIRST + offset);
        }
    }
    bail!("no port from {FIRST} to {} is free", FIRST + COUNT)
}
